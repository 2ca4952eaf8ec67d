// The heat map: how much each character of a text surprised the model, and what it expected instead.

import { element } from "./elements.js";
import { letters } from "./letters.js";
import { decimal, message, onLanguage, percent } from "./i18n.js";

const LEVELS = 8; // colours of levels.css: one for each whole bit, the last one for 7 and more
const PLACEHOLDERS = ["\u{1f517}", "\u{1f464}", "\ufffd"]; // for links, handles and unknown characters: nobody types them
const MOST_ALTERNATIVES = 5;
const levelOf = (bits) => Math.min(Math.max(Math.floor(bits), 0), LEVELS - 1);

/** Fill the scale; return functions that show a score, draw it and clear it. */
export function createHeatMap({ heat, detail, mean, scale }) {
  let score = null;
  let select = () => {};
  let selected = -1;
  onLanguage(() => {
    const said = (level) => decimal(level) + (level === LEVELS - 1 ? "+" : "");
    scale.replaceChildren(...Array.from({ length: LEVELS }, (_, i) => element("span", { className: "l" + i }, said(i))));
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
      const text = element("p", { dir: "auto" }, score.text);
      heat.replaceChildren(text);
      select = letters(text, score.characters.map((character) => levelOf(character.bits)), (i) => {
        selected = i;
        detail.replaceChildren(...characterDetail(score.characters[i]));
      });
      renderMessages();
    },
  };
}

/** Return what to show of a selected character: its bits and probability, and the alternatives. */
function characterDetail({ character, bits, alternatives }) {
  const figures = [message("bits", { bits: decimal(bits, 1) }), message("probability", { share: percent(2 ** -bits) })];
  const head = element("p", {}, glyph(character), " " + figures.join(" · "));
  const lead = element("p", { className: "quiet" }, message("expected"));
  const list = element("ol");
  const offered = alternatives.filter((one) => one.character === character || !PLACEHOLDERS.includes(one.character));
  for (const alternative of offered.slice(0, MOST_ALTERNATIVES)) {
    const item = element("li", {}, glyph(alternative.character), " ", percent(alternative.probability));
    item.style.setProperty("--share", String(alternative.probability));
    if (alternative.character === character) item.className = "true";
    list.append(item);
  }
  return [head, lead, list];
}

/** Return an element that makes a single character visible. */
function glyph(character) {
  const names = { "": "end", " ": "space", "\ufffd": "unknown" };
  if (character in names) return element("bdi", { className: "named" }, message(names[character]));
  const code = "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  const seen = /\p{M}/u.test(character) ? "\u25cc" + character : /[\p{C}\p{Z}]/u.test(character) ? code : character;
  return element("bdi", { className: "glyph" }, seen);
}
