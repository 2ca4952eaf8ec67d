// How much each character of a text surprised the model, and what it expected instead.

import { letters } from "./letters.js";
import { number, say, share, spoken } from "./i18n.js";

const LEVELS = 8; // colours of levels.css: one for each whole bit, the last one for 7 and more
const WORD = /[\p{L}\p{N}_](?:[\p{L}\p{M}\p{N}_]|[\u200c\u200d](?=[\p{L}\p{M}\p{N}_]))*/gu;
const level = (bits) => Math.min(Math.max(Math.floor(bits), 0), LEVELS - 1);

/** Fill the scale, and return what shows a score, and shows none. */
export function surprise({ heat, detail, mean, scale }) {
  let score = null;
  let look = () => {};
  let at = -1;
  spoken(() => {
    scale.replaceChildren(
      ...Array.from({ length: LEVELS }, (_, i) =>
        Object.assign(document.createElement("span"), {
          className: "l" + i,
          textContent: number(i) + (i === LEVELS - 1 ? "+" : ""),
        }),
      ),
    );
    if (score) told();
  });

  function told() {
    heat.firstChild.setAttribute("aria-label", say("heat"));
    const each = score.bits_per_character;
    mean.textContent = each === null ? "" : say("mean", { bits: number(each, 2) });
    if (at >= 0) look(at);
  }

  const clear = () => {
    score = null;
    at = -1;
    look = () => {};
    mean.textContent = "";
    heat.replaceChildren();
    detail.replaceChildren();
  };
  return {
    clear,
    show(answer) {
      clear();
      score = answer;
      const text = Object.assign(document.createElement("p"), { dir: "auto" });
      text.append(...coloured(score));
      heat.replaceChildren(text);
      look = letters(text, score.characters.map((one) => level(one.bits)), (i) => {
        at = i;
        detail.replaceChildren(...described(score.characters[i]));
      });
      told();
    },
  };
}

/** The text, its words marked with the level of their mean: seen where single letters cannot be coloured. */
function* coloured({ text, characters }) {
  let done = 0;
  const bits = [];
  [...text].forEach((c, i) => bits.push(...Array(c.length).fill(characters[i].bits))); // by UTF-16 unit
  for (const found of text.matchAll(WORD)) {
    const of = bits.slice(found.index, found.index + found[0].length);
    const word = document.createElement("span");
    word.className = "word l" + level(of.reduce((a, b) => a + b, 0) / of.length);
    word.textContent = found[0];
    yield text.slice(done, found.index);
    yield word;
    done = found.index + found[0].length;
  }
  yield text.slice(done);
}

function described(one) {
  const head = document.createElement("p");
  const chance = 2 ** -one.bits;
  head.append(glyph(one.character), ` ${say("bits", { bits: number(one.bits, 1) })} · `);
  head.append(say("chance", { share: share(chance) }));
  const lead = Object.assign(document.createElement("p"), { className: "quiet", textContent: say("instead") });
  const list = document.createElement("ol");
  for (const other of one.alternatives) {
    const item = document.createElement("li");
    item.append(glyph(other.character), " ", share(other.probability));
    item.style.setProperty("--share", String(other.probability));
    if (other.character === one.character) item.className = "true";
    list.append(item);
  }
  return [head, lead, list];
}

/** A character by itself, so that it can be seen. */
function glyph(character) {
  const made = document.createElement("bdi");
  const spaces = { "": "end", " ": "space", "\ufffd": "unknown" };
  if (character in spaces) made.textContent = say(spaces[character]);
  else if (/\p{M}/u.test(character)) made.textContent = "\u25cc" + character;
  else if (/[\p{C}\p{Z}]/u.test(character))
    made.textContent = "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  else made.textContent = character;
  made.className = character in spaces ? "named" : "glyph";
  return made;
}
