// Several completions side by side, shown while they are generated.

import { ApiError, streamCompletion } from "./api.js";
import { message, onLanguage } from "./i18n.js";
import { endOf } from "./ghost.js";

/**
 * @param {{form: HTMLFormElement, write: HTMLElement, list: HTMLElement, stop: HTMLElement}} elements
 * @param {{prompt(): string, options(): object, use(text: string): void, report(error: ApiError | null): void}} handlers
 */
export function createCompletions({ form, write, list, stop }, handlers) {
  let latest = new AbortController();
  const render = () => (write.textContent = message(list.children.length ? "writeMore" : "write"));
  onLanguage(render);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    latest.abort();
    const controller = (latest = new AbortController());
    const prompt = handlers.prompt();
    const options = handlers.options();
    const cards = Array.from({ length: options.n }, () => createCard(prompt, handlers.use));
    list.replaceChildren(...cards.map((card) => card.item));
    render();
    highlight(cards);
    stop.hidden = false;
    list.setAttribute("aria-busy", "true");
    try {
      for await (const choice of streamCompletion({ prompt, ...options }, controller.signal)) {
        cards[choice.index]?.append(choice.text);
        highlight(cards);
      }
      handlers.report(null);
    } catch (error) {
      if (!controller.signal.aborted) {
        if (!(error instanceof ApiError)) throw error;
        handlers.report(error);
      }
    } finally {
      const texts = new Set();
      for (const card of cards) {
        const text = card.finish();
        if (texts.has(text)) card.item.remove(); // two draws may write the same
        texts.add(text);
      }
      if (controller === latest) {
        stop.hidden = true;
        list.removeAttribute("aria-busy");
        highlight(cards.filter((card) => card.item.isConnected));
      }
    }
  });
  stop.addEventListener("click", () => latest.abort());
  return {
    /** Remove all completions. */
    clear() {
      latest.abort();
      list.replaceChildren();
      render();
    },
  };
}

/** Colour the generated text; prompt and completion stay one text node, so that their letters join. */
function highlight(cards) {
  if ("highlights" in CSS) CSS.highlights.set("written", new Highlight(...cards.map((card) => card.range())));
}

function createCard(prompt, use) {
  const context = endOf(prompt);
  const item = document.createElement("li");
  const paragraph = Object.assign(document.createElement("p"), { dir: "auto" });
  const node = document.createTextNode(context);
  const note = Object.assign(document.createElement("p"), { className: "quiet", hidden: true });
  const row = Object.assign(document.createElement("div"), { className: "row", hidden: true });
  let completion = "";
  const addButton = (name, onClick) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: message(name) });
    button.addEventListener("click", () => onClick(button));
    row.append(button);
  };
  addButton("use", () => use(prompt + completion));
  // There is no clipboard on a page without HTTPS that is not on this machine.
  if (navigator.clipboard)
    addButton("copy", async (button) => {
      await navigator.clipboard.writeText(prompt + completion);
      button.textContent = message("copied");
    });
  paragraph.append(node);
  item.append(paragraph, note, row);
  return {
    item,
    range() {
      const range = new Range();
      range.setStart(node, context.length);
      range.setEnd(node, node.length);
      return range;
    },
    append(text) {
      completion += text;
      node.data = context + completion;
    },
    /** Show what can be done with the text; return it. */
    finish() {
      row.hidden = completion === "";
      note.hidden = completion !== "";
      note.textContent = message("noCompletion");
      return completion;
    },
  };
}
