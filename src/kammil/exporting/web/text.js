// Normalisation of a text before a model reads it; the rules are those of `TextRules` in `kammil/text.py`.

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
  return (text) => {
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

/** How many of the last characters belong to a grapheme that is cut. */
export function cutGrapheme(characters) {
  const last = [...new Intl.Segmenter().segment(characters.join(""))].at(-1).segment;
  return last.endsWith("\u200D") || /^\p{RI}$/v.test(last) ? [...last].length : 0;
}
