// Three words that may come next: buttons in the direction of the text, reached with the arrow keys as well.

import { share } from "./i18n.js";
import { leftOver } from "./ghost.js";

/**
 * @param {HTMLElement} group
 * @param {{use(completion: string): void, leave(): void}} heard
 */
export function chips(group, heard) {
  let asked = "";
  let offered = [];
  let shown = []; // what is left of them, after what was typed since
  const buttons = [0, 1, 2].map((i) => {
    const button = document.createElement("button");
    const word = document.createElement("bdi");
    const chance = document.createElement("small");
    button.type = "button";
    button.hidden = true;
    button.append(word, " ", chance);
    button.addEventListener("mousedown", (event) => event.preventDefault()); // typing goes on in the text
    button.addEventListener("click", () => shown[i] && heard.use(shown[i].completion));
    return button;
  });
  group.append(...buttons);
  group.addEventListener("keydown", (event) => {
    const step = getComputedStyle(group).direction === "rtl" ? -1 : 1;
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: at + step, ArrowLeft: at - step, Home: 0, End: shown.length - 1 }[event.key];
    if (["ArrowUp", "Escape"].includes(event.key)) heard.leave();
    else if (to === undefined) return;
    else if (to >= 0 && to < shown.length) buttons[to].focus();
    event.preventDefault();
  });

  const render = (text) => {
    shown = offered
      .map((one) => ({ ...one, completion: leftOver(asked, text, one.completion) }))
      .filter(({ completion }) => completion)
      .slice(0, buttons.length);
    if (buttons.indexOf(document.activeElement) >= shown.length) heard.leave();
    buttons.forEach((button, i) => {
      button.hidden = i >= shown.length;
      if (button.hidden) return;
      button.firstChild.textContent = shown[i].text;
      button.lastChild.textContent = share(shown[i].probability);
    });
  };

  return {
    /**
     * Take words that were asked for after `prefix`, now that the text is `text`.
     *
     * @param {{text: string, completion: string, probability: number}[]} suggestions
     */
    show(prefix, suggestions, text, direction) {
      [asked, offered] = [prefix, suggestions];
      group.dir = direction;
      render(text);
    },
    /** Keep those that agree with the text as it is now. */
    typed: render,
    /** Go to the first one, if there is any. */
    enter() {
      if (shown.length) buttons[0].focus();
    },
  };
}
