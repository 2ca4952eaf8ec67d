// Several completions side by side, shown while they are generated.

import { streamCompletion } from "./api.js";
import { reporting } from "./debounce.js";
import { $, element } from "./elements.js";
import { endOf } from "./ghost.js";
import { say } from "./i18n.js";
import { model, onModel } from "./models.js";
import { readOptions } from "./options.js";
import * as problem from "./problem.js";
import { allowed, context, editor, onInput } from "./text.js";

const MOST_TRIES = 10; // of a busy server, after the first

const list = $("completions");
let latest = new AbortController();
let cards = [];
let prompt = "";

/** Show what is written, as it comes; a busy server is asked again a few times. */
$("writing").addEventListener("submit", async (event) => {
  event.preventDefault();
  latest.abort();
  const { signal } = (latest = new AbortController()), options = { model: model.id, ...readOptions(), ...allowed(), ...context() };
  prompt = editor.text;
  cards = Array.from({ length: options.n }, () => createCard(prompt));
  list.replaceChildren(...cards.map((card) => card.item));
  render();
  $("stop").hidden = false;
  list.setAttribute("aria-busy", "true");
  let [written, tries, said] = [false, 0, null];
  const report = (error) => problem.report((said = error));
  const write = async () => {
    for await (const choice of streamCompletion({ prompt, ...options }, signal)) {
      if (said) report(null);
      cards[choice.index]?.append(choice);
      highlight();
    }
    written = true;
  };
  await reporting(report, write, signal, ({ kind }) => kind === "busy" && tries++ < MOST_TRIES);
  if (signal.aborted && said) report(null); // nobody asks again
  if (signal === latest.signal) finish(written);
});
$("stop").addEventListener("click", () => latest.abort());

/** Keep the cards of different texts; an empty one only where the model has written it to its end. */
function finish(written) {
  const texts = new Set();
  cards = cards.filter((card) => {
    const text = card.finish();
    const keeps = !texts.has(text) && (text !== "" || written);
    texts.add(text);
    if (!keeps) card.item.remove();
    return keeps;
  });
  if (document.activeElement === $("stop")) $("write").focus();
  $("stop").hidden = true;
  list.removeAttribute("aria-busy");
  render();
}

function clear() {
  latest.abort();
  latest = new AbortController();
  cards = [];
  list.replaceChildren();
  finish(false);
}

function render() {
  say($("write"), cards.length ? "writeMore" : "write");
  highlight();
}

/** Colour the generated text; prompt and completion stay one text node, so that their letters join. */
function highlight() {
  if ("highlights" in CSS) CSS.highlights.set("written", new Highlight(...cards.map((card) => card.written)));
}

render();
onModel(clear);
onInput((text) => {
  if (cards.length && text !== prompt && !cards.some((card) => card.text === text)) clear();
});
$("done").addEventListener("click", clear);

function createCard(prompt) {
  let begin = prompt; // its last Latin letters are perhaps read as Arabic
  let context = endOf(begin);
  let completion = "";
  let isStock = false;
  const node = document.createTextNode(context);
  const note = element("p", { className: "quiet", hidden: true });
  const use = say(element("button", { type: "button", onclick: () => editor.replaceText(begin + completion) }), "use");
  // There is no clipboard on a page without HTTPS that is not on this machine.
  const copy = say(element("button", { type: "button", hidden: !navigator.clipboard }), "copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(begin + completion);
    say(copy, "copied");
  });
  const row = element("div", { className: "row", hidden: true }, use, copy);
  return {
    item: element("li", {}, element("p", { dir: "auto" }, node), note, row),
    /** The prompt as it was read, and what was written after it. */
    get text() {
      return begin + completion;
    },
    get written() {
      const ends = { startContainer: node, startOffset: context.length, endContainer: node, endOffset: node.length };
      return new StaticRange(ends);
    },
    append({ text, stock, reading, replaces }) {
      if (replaces) begin = [...prompt].slice(0, -replaces).join("") + reading;
      context = endOf(begin);
      completion += text;
      isStock ||= stock === true;
      node.data = context + completion;
    },
    /** Show what can be done with the text, and what is to be said of it; return it. */
    finish() {
      row.hidden = completion === "";
      note.hidden = completion !== "" && !isStock;
      say(note, isStock ? "stockPhrase" : "noCompletion");
      return completion;
    },
  };
}
