// The heat map: how much each character of a text surprised the model, and what it expected instead.

import { score } from "./api.js";
import { debounced } from "./debounce.js";
import { $, element } from "./elements.js";
import { decimal, message, onLanguage, percent } from "./i18n.js";
import { letters } from "./letters.js";
import { model, onModel } from "./models.js";
import { createSwitch } from "./options.js";
import { report } from "./problem.js";
import { context, editor, onInput } from "./text.js";

const DELAY = 300; // milliseconds without a keystroke
const ALTERNATIVES = 8; // of a character, some of which are not shown
const MOST_SHOWN = 5;
const LEVELS = 8; // colours of levels.css: one for each whole bit, the last one for 7 and more
const PLACEHOLDERS = ["\u{1f517}", "\u{1f464}", "\ufffd"]; // for links, handles and unknown characters: nobody types them
const levelOf = (bits) => Math.min(Math.max(Math.floor(bits), 0), LEVELS - 1);

let shown = null; // a score
let selected = -1;
const ask = (text, signal) => score({ model: model.id, text, top: ALTERNATIVES, ...context() }, signal);
const requestScore = debounced(DELAY, ask, show, report);
const coloursLive = createSwitch("liveHeat", () => coloursLive() && follow(editor.text));
$("colour").addEventListener("click", () => requestScore(editor.text));
onInput(follow);
onModel(clear);
onLanguage(() => {
  const said = (level) => decimal(level) + (level === LEVELS - 1 ? "+" : "");
  $("scale").replaceChildren(...Array.from({ length: LEVELS }, (_, i) => element("span", { className: "l" + i }, said(i))));
  render();
});

function follow(text) {
  $("colour").disabled = !text.trim();
  if (coloursLive() && text.trim()) requestScore(text);
  else clear();
}

function clear() {
  requestScore.cancel();
  [shown, selected] = [null, -1];
  $("heat").replaceChildren();
  render();
}

function show(score) {
  [shown, selected] = [score, -1];
  const text = element("p", { dir: "auto" }, score.text);
  $("heat").replaceChildren(text);
  letters(text, score.characters.map(({ bits }) => levelOf(bits)), (i) => {
    selected = i;
    render();
  });
  render();
}

function render() {
  const bits = shown?.bits_per_character ?? null;
  $("mean").textContent = bits === null ? "" : message("mean", { bits: decimal(bits, 2) });
  $("heat").firstChild?.setAttribute("aria-label", message("heatLabel"));
  $("detail").replaceChildren(...(selected < 0 ? [] : characterDetail(shown.characters[selected])));
}

/** Return what to show of a selected character: its bits and probability, and the alternatives. */
function characterDetail({ character, bits, alternatives }) {
  const figures = [message("bits", { bits: decimal(bits, 1) }), message("probability", { share: percent(2 ** -bits) })];
  const head = element("p", {}, glyph(character), " " + figures.join(" · "));
  const lead = element("p", { className: "quiet" }, message("expected"));
  const offered = alternatives.filter((one) => one.character === character || !PLACEHOLDERS.includes(one.character));
  const items = offered.slice(0, MOST_SHOWN).map(({ character: other, probability }) => {
    const item = element("li", {}, glyph(other), " ", percent(probability));
    item.style.setProperty("--share", String(probability));
    item.classList.toggle("true", other === character);
    return item;
  });
  return [head, lead, element("ol", {}, ...items)];
}

/** Return an element that makes a single character visible. */
function glyph(character) {
  const names = { "": "end", " ": "space", "\ufffd": "unknown" };
  if (character in names) return element("bdi", { className: "named" }, message(names[character]));
  const code = "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  const seen = /\p{M}/u.test(character) ? "\u25cc" + character : /[\p{C}\p{Z}]/u.test(character) ? code : character;
  return element("bdi", { className: "glyph" }, seen);
}
