// Finished texts, and whether the model learns them: only while it is switched on, and until it is told to forget.

import { forget, learn } from "./api.js";
import { decimal, message, onLanguage } from "./i18n.js";

/**
 * @param {{toggle: HTMLInputElement, status: HTMLElement, button: HTMLButtonElement, shared: HTMLElement, list: HTMLElement}} elements
 * @param {{model(): {id?: string, learns: boolean, shared: boolean}, reopen(text: string): void,
 *   reportErrors(action: () => Promise<void>): void}} handlers
 */
export function createLearning({ toggle, status, button, shared, list }, handlers) {
  let numLearnt = 0;
  let forgotten = false;
  const render = () => {
    const { learns, shared: isShared } = handlers.model();
    toggle.disabled = !learns;
    if (!learns) toggle.checked = false;
    button.disabled = !learns;
    shared.hidden = !(learns && isShared);
    const progress = numLearnt ? message("learnt", { n: decimal(numLearnt) }) : forgotten ? message("wiped") : "";
    status.textContent = learns ? progress : message("cannotLearn");
  };
  button.addEventListener("click", () =>
    handlers.reportErrors(async () => {
      await forget(handlers.model().id);
      numLearnt = 0;
      forgotten = true;
      render();
    }),
  );
  onLanguage(() => {
    render();
    for (const reopen of list.querySelectorAll("button")) reopen.textContent = message("reopen");
  });

  return {
    /** Begin again with another model. */
    reset() {
      numLearnt = 0;
      forgotten = false;
      render();
    },
    /** List a finished text, and let the model learn it if that is switched on. */
    finish(text) {
      const item = document.createElement("li");
      const reopen = Object.assign(document.createElement("button"), { type: "button", textContent: message("reopen") });
      reopen.addEventListener("click", () => handlers.reopen(text));
      item.append(Object.assign(document.createElement("p"), { dir: "auto", textContent: text }), reopen);
      list.prepend(item);
      if (!toggle.checked) return;
      handlers.reportErrors(async () => {
        await learn({ text, model: handlers.model().id });
        numLearnt += 1;
        render();
      });
    },
  };
}
