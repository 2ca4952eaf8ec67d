// Several models on one text: what each suggests, how surprised it is, and how it goes on.

import { complete, score, suggest } from "./api.js";
import { element } from "./elements.js";
import { endOf } from "./ghost.js";
import { decimal, message, messageNodes, onLanguage } from "./i18n.js";
import { familyName } from "./models.js";

const LENGTH = 30; // characters of each completion

/**
 * @param {{button: HTMLButtonElement, list: HTMLElement, hint: HTMLElement}} elements
 * @param {{models(): {id: string, family: string}[], text(): string, options(): object,
 *   reportErrors(action: () => Promise<void>): void}} handlers
 */
export function createComparison({ button, list, hint }, handlers) {
  let latest = new AbortController();
  let results = [];
  const update = () => (button.disabled = !handlers.text().trim());
  const render = () => {
    const several = handlers.models().length > 1;
    update();
    button.hidden = !several;
    hint.replaceChildren(...messageNodes(several ? "compareHelp" : "compareOne", "code", { command: "kammil serve levantine FOLDER" }));
    list.replaceChildren(...results.map(createRow));
  };
  const clear = () => {
    latest.abort();
    results = [];
    render();
  };
  button.addEventListener("click", () =>
    handlers.reportErrors(async () => {
      clear();
      const controller = (latest = new AbortController());
      const { signal } = controller;
      const text = handlers.text();
      try {
        for (const { id: model, family } of handlers.models()) {
          const { suggestions } = await suggest({ model, prefix: text, k: 3 }, signal);
          const { bits_per_character: bits } = await score({ model, text, top: 0 }, signal);
          const completion = await complete({ ...handlers.options(), model, prompt: text, max_tokens: LENGTH, n: 1 }, signal);
          results.push({ model, family, text, bits, words: suggestions.map((one) => one.text), completion });
          render();
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }),
  );
  onLanguage(render);
  return { clear, update };
}

function createRow({ model, family, text, bits, words, completion }) {
  const next = words.flatMap((word) => [element("bdi", { className: "word" }, word), " "]);
  const surprise = bits === null ? "" : message("surprise", { bits: decimal(bits, 2) });
  return element(
    "li",
    {},
    element("h3", {}, element("bdi", {}, model), ": " + familyName(family)),
    element("p", {}, ...next),
    element("p", { dir: "auto", className: "text" }, endOf(text) + completion.text),
    element("p", { className: "quiet", hidden: !completion.stock }, message("stockPhrase")),
    element("p", { className: "quiet" }, surprise),
  );
}
