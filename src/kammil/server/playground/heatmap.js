// The heat map: how much each character of a text surprised the model, and what it expected instead.

import { letters } from "./letters.js";
import { decimal, message, onLanguage, percent } from "./i18n.js";

const LEVELS = 8; // colours of levels.css: one for each whole bit, the last one for 7 and more
const WORD = /[\p{L}\p{N}_](?:[\p{L}\p{M}\p{N}_]|[\u200c\u200d](?=[\p{L}\p{M}\p{N}_]))*/gu;
const PLACEHOLDERS = ["\u{1f517}", "\u{1f464}", "\ufffd"]; // for links, handles and unknown characters: nobody types them
const MOST_ALTERNATIVES = 5;
const levelOf = (bits) => Math.min(Math.max(Math.floor(bits), 0), LEVELS - 1);

/** Fill the scale; return functions that show a score, draw it and clear it. */
export function createHeatMap({ heat, detail, mean, scale }) {
  let score = null;
  let select = () => {};
  let selected = -1;
  onLanguage(() => {
    scale.replaceChildren(
      ...Array.from({ length: LEVELS }, (_, i) =>
        Object.assign(document.createElement("span"), {
          className: "l" + i,
          textContent: decimal(i) + (i === LEVELS - 1 ? "+" : ""),
        }),
      ),
    );
    if (score) renderMessages();
  });

  function renderMessages() {
    heat.firstChild.setAttribute("aria-label", message("heatLabel"));
    const bits = score.bits_per_character;
    mean.textContent = bits === null ? "" : message("mean", { bits: decimal(bits, 2) });
    if (selected >= 0) select(selected);
  }

  const clear = () => {
    score = null;
    selected = -1;
    select = () => {};
    mean.textContent = "";
    heat.replaceChildren();
    detail.replaceChildren();
  };
  return {
    clear,
    show(newScore) {
      clear();
      score = newScore;
      const text = Object.assign(document.createElement("p"), { dir: "auto" });
      text.append(...markedWords(score));
      heat.replaceChildren(text);
      select = letters(text, score.characters.map((character) => levelOf(character.bits)), (i) => {
        selected = i;
        detail.replaceChildren(...characterDetail(score.characters[i]));
      });
      renderMessages();
    },
  };
}

/** Yield the text, each word marked with the level of its mean, for browsers that cannot colour single letters. */
function* markedWords({ text, characters }) {
  let end = 0;
  const bits = [];
  [...text].forEach((c, i) => bits.push(...Array(c.length).fill(characters[i].bits))); // by UTF-16 unit
  for (const match of text.matchAll(WORD)) {
    const wordBits = bits.slice(match.index, match.index + match[0].length);
    const word = document.createElement("span");
    word.className = "word l" + levelOf(wordBits.reduce((a, b) => a + b, 0) / wordBits.length);
    word.textContent = match[0];
    yield text.slice(end, match.index);
    yield word;
    end = match.index + match[0].length;
  }
  yield text.slice(end);
}

/** Return what to show of a selected character: its bits and probability, and the alternatives. */
function characterDetail({ character, bits, alternatives }) {
  const head = document.createElement("p");
  head.append(glyph(character), ` ${message("bits", { bits: decimal(bits, 1) })} · `);
  head.append(message("probability", { share: percent(2 ** -bits) }));
  const lead = Object.assign(document.createElement("p"), { className: "quiet", textContent: message("expected") });
  const list = document.createElement("ol");
  const offered = alternatives.filter((one) => one.character === character || !PLACEHOLDERS.includes(one.character));
  for (const alternative of offered.slice(0, MOST_ALTERNATIVES)) {
    const item = document.createElement("li");
    item.append(glyph(alternative.character), " ", percent(alternative.probability));
    item.style.setProperty("--share", String(alternative.probability));
    if (alternative.character === character) item.className = "true";
    list.append(item);
  }
  return [head, lead, list];
}

/** Return an element that makes a single character visible. */
function glyph(character) {
  const element = document.createElement("bdi");
  const names = { "": "end", " ": "space", "\ufffd": "unknown" };
  if (character in names) element.textContent = message(names[character]);
  else if (/\p{M}/u.test(character)) element.textContent = "\u25cc" + character;
  else if (/[\p{C}\p{Z}]/u.test(character))
    element.textContent = "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  else element.textContent = character;
  element.className = character in names ? "named" : "glyph";
  return element;
}
