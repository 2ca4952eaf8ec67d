// Texts that were finished, and whether the model learns them: not unless it is switched on, and never for good.

import { learn, wipe } from "./api.js";
import { number, say, spoken } from "./i18n.js";

/**
 * @param {{toggle: HTMLInputElement, status: HTMLElement, button: HTMLButtonElement, shared: HTMLElement, list: HTMLElement}} parts
 * @param {{model(): {id?: string, learns: boolean, shared: boolean}, reopen(text: string): void, guard(act: () => Promise<void>): void}} heard
 */
export function learning({ toggle, status, button, shared, list }, heard) {
  let learnt = 0;
  let wiped = false;
  const told = () => {
    const able = heard.model().learns;
    toggle.disabled = !able;
    if (!able) toggle.checked = false;
    button.disabled = !able;
    shared.hidden = !(able && heard.model().shared);
    const known = learnt ? say("learnt", { n: number(learnt) }) : wiped ? say("wiped") : "";
    status.textContent = able ? known : say("cannotLearn");
  };
  button.addEventListener("click", () =>
    heard.guard(async () => {
      await wipe(heard.model().id);
      learnt = 0;
      wiped = true;
      told();
    }),
  );
  spoken(() => {
    told();
    for (const again of list.querySelectorAll("button")) again.textContent = say("reopen");
  });

  return {
    /** Another model was chosen. */
    changed() {
      learnt = 0;
      wiped = false;
      told();
    },
    /** A text is finished: keep it on the page, and learn it if that was switched on. */
    finish(text) {
      const item = document.createElement("li");
      const again = Object.assign(document.createElement("button"), { type: "button", textContent: say("reopen") });
      again.addEventListener("click", () => heard.reopen(text));
      item.append(Object.assign(document.createElement("p"), { dir: "auto", textContent: text }), again);
      list.prepend(item);
      if (!toggle.checked) return;
      heard.guard(async () => {
        await learn({ text, model: heard.model().id });
        learnt += 1;
        told();
      });
    },
  };
}
