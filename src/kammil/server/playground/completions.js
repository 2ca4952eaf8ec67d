// Several completions side by side, shown while they are written.

import { Problem, stream } from "./api.js";
import { say, spoken } from "./i18n.js";
import { tail, wholeWords } from "./ghost.js";

/**
 * @param {{form: HTMLFormElement, list: HTMLElement, stop: HTMLElement}} parts
 * @param {{prompt(): string, options(): object, use(text: string): void, report(problem: Problem | null): void}} heard
 */
export function writing({ form, list, stop }, heard) {
  let running = new AbortController();

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    running.abort();
    const own = (running = new AbortController());
    const prompt = heard.prompt();
    const asked = heard.options();
    const cards = Array.from({ length: asked.n }, () => card(prompt, heard.use));
    list.replaceChildren(...cards.map((made) => made.item));
    paint(cards);
    stop.hidden = false;
    list.setAttribute("aria-busy", "true");
    try {
      for await (const choice of stream({ prompt, ...asked }, own.signal)) {
        cards[choice.index]?.write(choice.text, choice.finish_reason === "length");
        paint(cards);
      }
      heard.report(null);
    } catch (error) {
      if (!own.signal.aborted) {
        if (!(error instanceof Problem)) throw error;
        heard.report(error);
      }
    } finally {
      for (const made of cards) made.end();
      if (own === running) {
        stop.hidden = true;
        list.removeAttribute("aria-busy");
        paint(cards);
      }
    }
  });
  stop.addEventListener("click", () => running.abort());
  return {
    /** None are left. */
    clear() {
      running.abort();
      list.replaceChildren();
    },
  };
}

/** Colour what was written; the letters of prompt and completion stay one run. */
function paint(cards) {
  if ("highlights" in CSS) CSS.highlights.set("written", new Highlight(...cards.map((made) => made.range())));
}

function card(prompt, use) {
  const before = tail(prompt);
  const item = document.createElement("li");
  const text = Object.assign(document.createElement("p"), { dir: "auto" });
  const node = document.createTextNode(before);
  const note = Object.assign(document.createElement("p"), { className: "quiet", hidden: true });
  const row = Object.assign(document.createElement("div"), { className: "row", hidden: true });
  let written = "";
  let cut = false; // by its length
  const button = (name, act) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: say(name) });
    made.addEventListener("click", () => act(made));
    row.append(made);
  };
  button("use", () => use(prompt + written));
  button("copy", async (made) => {
    await navigator.clipboard?.writeText(prompt + written);
    made.textContent = say("copied");
  });
  if (!navigator.clipboard) row.lastChild.remove(); // none where the page did not come over a safe way
  text.append(node);
  item.append(text, note, row);
  return {
    item,
    range() {
      const range = new Range();
      range.setStart(node, before.length);
      range.setEnd(node, node.length);
      return range;
    },
    write(piece, ended) {
      written += piece;
      cut ||= ended;
      node.data = before + written;
    },
    end() {
      if (cut) node.data = before + (written = wholeWords(written));
      row.hidden = written === "";
      note.hidden = written !== "";
      note.textContent = say("nothing");
    },
  };
}
