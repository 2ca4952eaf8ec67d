// Normalisation of a text before a model reads it; the rules are those of `TextRules` in `kammil/text.py`.

/** Return a text that a program gave, or throw a `TypeError`. */
export function checkedText(text) {
  if (typeof text !== "string") throw new TypeError(`the text is ${String(text)}, but it must be a string`);
  return text;
}

/** The last characters of a text. */
export const lastCharacters = (text, length) => [...text.slice(-2 * length)].slice(-length).join("");

const URL_SIGN = "\u{1F517}", HANDLE_SIGN = "\u{1F464}", NUMBER_SIGN = "\u{1F522}";
const SPACE = "\\p{White_Space}", WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200C\\u200D]";
const inWord = WORD.slice(1, -1);

const URLS = new RegExp(`(?:https?://|www\\.)[^${SPACE}]+`, "giv");
const EMAILS = new RegExp(`[${inWord}.+\\-]+(@[${inWord}\\-]+(?:\\.[${inWord}\\-]+)+)?`, "gv");
const HANDLES = new RegExp(`(?<!${WORD})(?:[@＠]${WORD}+)+`, "gv");
const SPACES = new RegExp(`${SPACE}+`, "gv");
const ACCOUNTS = /(?<!\p{L})[A-Z]{2}\p{Nd}{2}(?:[ \-]?[A-Z0-9]{4}){2,}(?:[ \-]?[A-Z0-9]{1,3})?/gv;
const DAY = "\\p{Nd}{1,2}([.\\/\\-])\\p{Nd}{1,2}\\2(?:\\p{Nd}{4}|\\p{Nd}{2})|\\p{Nd}{4}-\\p{Nd}{2}-\\p{Nd}{2}";
const NUMBERS = new RegExp(
  `((?<!\\p{Nd})(?:${DAY})(?!\\p{Nd}))|(?:\\+[ \\(]?\\p{Nd}|(?<![\\p{L}\\p{Nd}])\\(?[0٠۰])(?:[ \\u00A0\\-.\\/\\(\\)]{0,2}\\p{Nd}){7,}` +
    "|(?<!\\p{Nd})\\p{Nd}{9,}|(?<![\\p{L}\\p{Nd}])\\p{Nd}{4}(?:[ \\-]\\p{Nd}{4}){3}(?!\\p{Nd})",
  "gv",
);
const INVISIBLE = new RegExp(
  "(?<=[\\p{L}\\p{M}\\p{So}\\p{Sk}])[\\u200C\\u200D](?=[\\p{L}\\p{So}])|\\u{1F3F4}[\\u{E0020}-\\u{E007F}]+" +
    "|([[\\p{Cc}\\p{Cf}]--[\\t\\n\\v\\f\\r\\x85]])",
  "gv",
);

const RULES = { nfc: true, invisible: true, tatweel: true, urls: true, handles: true, spaces: true, numbers: false };

/** Return the function that normalises texts by the rules of `model.json`. */
export function textRules(rules) {
  const unknown = Object.keys(rules).find((name) => !(name in RULES));
  if (unknown) throw new Error(`the model has the text rule ${unknown}, which is none of ours; export it anew`);
  const on = { ...RULES, ...rules };
  return (whole) => {
    let text = checkedText(whole);
    if (on.nfc || on.invisible) text = text.toWellFormed();
    if (on.tatweel) text = text.replaceAll("\u0640", "");
    if (on.invisible) text = text.replace(INVISIBLE, (whole, dropped) => (dropped ? "" : whole));
    if (on.nfc) text = text.normalize("NFC");
    if (on.urls) text = text.replace(URLS, URL_SIGN);
    if (on.handles) {
      text = text.replace(EMAILS, (whole, domain) => (domain ? HANDLE_SIGN : whole));
      text = text.replace(HANDLES, HANDLE_SIGN);
    }
    if (on.spaces) text = text.replace(SPACES, " ").replace(/^ +/, "");
    if (on.numbers) {
      text = text.replace(ACCOUNTS, NUMBER_SIGN).replace(NUMBERS, (whole, date) => (date ? whole : NUMBER_SIGN));
      if (on.handles) text = text.replace(HANDLES, HANDLE_SIGN);
    }
    return text;
  };
}

/** Count the last characters that belong to a grapheme that is cut. */
export function cutGrapheme(characters) {
  const last = lastGrapheme(characters.join(""));
  return last.endsWith("\u200D") || /^\p{RI}$/v.test(last) ? [...last].length : 0;
}

const lastGrapheme = (text) => [...new Intl.Segmenter().segment(text)].at(-1).segment;

const MARK = "[\\p{M}\\u0E33\\u0EB3\\uFF9E\\uFF9F]", JOINER = "[\\u200C\\u200D]";
const SCRIPTS = ["Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"].map((name) => `\\p{Script=${name}}`);
const SEPARATE = `[[${SCRIPTS.join("")}〆〱-〵〼ーｰ]&&[[\\p{L}\\p{N}]--${MARK}]]`; // letters of scripts without spaces
const LETTER = `[[\\p{L}\\p{N}_]--${SEPARATE}--${MARK}]`, INSIDE = `[${LETTER}${MARK}]`;
const WORDS = new RegExp(
  `${LETTER}(?:${INSIDE}|${JOINER}+(?=${INSIDE}))*|${SEPARATE}(?:${MARK}|${JOINER}+(?=${MARK}))*`,
  "gv",
);
const [letter, inOpenWord] = [LETTER, `[${INSIDE}${JOINER}]`].map((kind) => new RegExp(`^${kind}$`, "v"));
const UNSPACED_END = new RegExp(`${SEPARATE}${MARK}{0,8}$`, "v");
const NO_SPACE = new RegExp(`[${SCRIPTS.join("")}〆〱-〵〼ーｰﾞﾟ]$`, "v");
const POINTS = /[\p{M}&&[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Inherited}]]/gv;
const MAX_OPEN_WORD = 1000;

/** The unfinished word at the end of a text, or "". */
export function openWord(text) {
  const characters = [...text.slice(-2 * MAX_OPEN_WORD)].slice(-MAX_OPEN_WORD);
  let begin = characters.length;
  for (let at = begin - 1; at >= 0 && inOpenWord.test(characters[at]); at--) if (letter.test(characters[at])) begin = at;
  return characters.slice(begin).join("");
}

export const holds = (text, letters) => [...letters].some((letter) => text.includes(letter));

/** Begin and end of each word. */
export const wordsOf = (text) => Array.from(text.matchAll(WORDS), ({ index, 0: word }) => [index, index + word.length]);

/** Whether the last word is of a script without spaces; its last letter; whether a character is such a letter. */
export const endsUnspaced = (text) => UNSPACED_END.test(text.slice(-40));
export const lastLetter = (text) => (endsUnspaced(text) ? lastGrapheme(text.slice(-40)) : "");
export const isSeparate = (character) => UNSPACED_END.test(character);

/** Letters for comparison: without points and case, variants of a letter by `folds`, three or more as one. */
export function foldSpelling(text, folds) {
  const plain = text.normalize("NFKC").toLowerCase().replaceAll("\u0640", "").replace(POINTS, "");
  const letters = plain.replace(/[^\p{L}\p{M}\p{N}]+/gv, "");
  return Array.from(letters, (c) => folds[c] ?? c).join("").replace(/(\p{L})\1{2,}/gv, "$1");
}

/** Count the keys that a suggestion saves. */
export function keysSaved(added) {
  const letters = [...added.replace(/^ +/, "")].length;
  return letters - Number(letters === 1 || NO_SPACE.test(added));
}
