// Several completions side by side, shown while they are generated.

import { streamCompletion } from "./api.js";
import { ApiError } from "./errors.js";
import { pause } from "./debounce.js";
import { element } from "./elements.js";
import { endOf } from "./ghost.js";
import { message, onLanguage } from "./i18n.js";

const MOST_TRIES = 10; // of a busy server, after the first

/**
 * @param {{form: HTMLFormElement, write: HTMLElement, list: HTMLElement, stop: HTMLElement}} elements
 * @param {{prompt(): string, options(): object, use(text: string): void, report(error: ApiError | null): void}} handlers
 */
export function createCompletions({ form, write, list, stop }, handlers) {
  let latest = new AbortController();
  let cards = [];
  let prompt = "";
  const render = () => {
    write.textContent = message(cards.length ? "writeMore" : "write");
    for (const card of cards) card.render();
  };
  onLanguage(render);

  let waiting = false; // whether the page says that a busy server is asked again
  const wait = (error) => {
    waiting = error !== null;
    handlers.report(error);
  };

  /** Show what is written, as it comes; a busy server is asked again a few times. */
  const receive = async (body, signal, tries = MOST_TRIES) => {
    try {
      for await (const choice of streamCompletion(body, signal)) {
        if (waiting) wait(null);
        cards[choice.index]?.append(choice);
        highlight(cards);
      }
    } catch (error) {
      if (signal.aborted || error.kind !== "busy" || tries === 0) throw error;
      error.retries = true;
      wait(error);
      await pause(1000 * error.retryAfter, signal);
      await receive(body, signal, tries - 1);
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    latest.abort();
    const { signal } = (latest = new AbortController());
    const options = handlers.options();
    prompt = handlers.prompt();
    cards = Array.from({ length: options.n }, () => createCard(prompt, handlers.use));
    list.replaceChildren(...cards.map((card) => card.item));
    render();
    highlight(cards);
    stop.hidden = false;
    list.setAttribute("aria-busy", "true");
    let written = false;
    waiting = false;
    try {
      await receive({ prompt, ...options }, signal);
      written = true;
      handlers.report(null);
    } catch (error) {
      if (signal.aborted) {
        if (waiting) wait(null); // nobody asks again
      } else {
        if (!(error instanceof ApiError)) throw error;
        handlers.report(error);
      }
    } finally {
      if (signal === latest.signal) finish(written);
    }
  });
  stop.addEventListener("click", () => latest.abort());

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
    if (document.activeElement === stop) write.focus();
    stop.hidden = true;
    list.removeAttribute("aria-busy");
    render();
    highlight(cards);
  }

  const clear = () => {
    latest.abort();
    latest = new AbortController();
    cards = [];
    list.replaceChildren();
    finish(false);
  };
  return {
    /** Remove all completions. */
    clear,
    /** Remove them unless they are of this text, or it is one of them. */
    clearUnless(text) {
      if (cards.length && text !== prompt && !cards.some((card) => card.text === text)) clear();
    },
  };
}

/** Colour the generated text; prompt and completion stay one text node, so that their letters join. */
function highlight(cards) {
  if ("highlights" in CSS) CSS.highlights.set("written", new Highlight(...cards.map((card) => card.range())));
}

function createCard(prompt, use) {
  let begin = prompt; // its last Latin letters are perhaps read as Arabic
  let context = endOf(begin);
  const node = document.createTextNode(context);
  const note = element("p", { className: "quiet", hidden: true });
  const row = element("div", { className: "row", hidden: true });
  const item = element("li", {}, element("p", { dir: "auto" }, node), note, row);
  let completion = "";
  let isStock = false;
  const addButton = (name, onClick) => {
    const button = element("button", { type: "button" });
    button.dataset.name = name;
    button.addEventListener("click", () => onClick(button));
    row.append(button);
  };
  const render = () => {
    for (const button of row.children) button.textContent = message(button.dataset.name);
    note.textContent = message(isStock ? "stockPhrase" : "noCompletion");
  };
  addButton("use", () => use(begin + completion));
  // There is no clipboard on a page without HTTPS that is not on this machine.
  if (navigator.clipboard)
    addButton("copy", async (button) => {
      await navigator.clipboard.writeText(begin + completion);
      button.dataset.name = "copied";
      render();
    });
  return {
    item,
    render,
    /** The prompt as it was read, and what was written after it. */
    get text() {
      return begin + completion;
    },
    range() {
      const range = new Range();
      range.setStart(node, context.length);
      range.setEnd(node, node.length);
      return range;
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
      return completion;
    },
  };
}
