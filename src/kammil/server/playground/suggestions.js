// Suggestions: three buttons in the direction of the text, which the arrow keys reach too.

import { message, onLanguage, percent } from "./i18n.js";
import { remainingSuggestion } from "./ghost.js";

/**
 * @param {HTMLElement} group
 * @param {{use(completion: string, replaced: number): void, leave(): void, percentages(): boolean}} handlers
 */
export function createSuggestions(group, handlers) {
  let prefix = "";
  let suggestions = []; // the server's, after `prefix`
  let visible = []; // those that agree with what was typed since
  let latest = ""; // the text as it is now
  const buttons = [0, 1, 2].map((i) => {
    const button = document.createElement("button");
    const word = document.createElement("bdi");
    const probability = document.createElement("small");
    button.type = "button";
    button.hidden = true;
    button.append(word, " ", probability);
    button.addEventListener("mousedown", (event) => event.preventDefault()); // the text keeps the focus
    button.addEventListener("click", () => visible[i] && handlers.use(visible[i].completion, visible[i].replaced));
    return button;
  });
  group.append(...buttons);
  group.addEventListener("keydown", (event) => {
    const step = getComputedStyle(group).direction === "rtl" ? -1 : 1;
    const from = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: from + step, ArrowLeft: from - step, Home: 0, End: visible.length - 1 }[event.key];
    if (["ArrowUp", "Escape"].includes(event.key)) handlers.leave();
    else if (to === undefined) return;
    else if (to >= 0 && to < visible.length) buttons[to].focus();
    event.preventDefault();
  });

  const render = (text) => {
    latest = text;
    visible = suggestions
      .map((suggestion) => remainingSuggestion(prefix, text, suggestion))
      .filter((suggestion) => suggestion)
      .slice(0, buttons.length);
    if (buttons.indexOf(document.activeElement) >= visible.length) handlers.leave();
    buttons.forEach((button, i) => {
      button.hidden = i >= visible.length;
      if (button.hidden) return;
      button.firstChild.textContent = visible[i].replaced ? visible[i].completion : visible[i].text;
      const typed = visible[i].replaced && text.slice(-visible[i].replaced);
      button.classList.toggle("corrects", Boolean(typed));
      button.title = typed ? message("corrects", { text: typed }) : "";
      button.lastChild.textContent = handlers.percentages() ? percent(visible[i].probability) : "";
    });
  };

  onLanguage(() => render(latest));

  return {
    /**
     * Show suggestions that the server made after `requestPrefix`, now that the text is `text`.
     *
     * @param {{text: string, completion: string, probability: number, replaces?: number}[]} received
     */
    show(requestPrefix, received, text, direction) {
      [prefix, suggestions] = [requestPrefix, received];
      group.dir = direction;
      render(text);
    },
    /** Keep the suggestions that agree with the text as it is now. */
    update: render,
    /** Move the focus to the first suggestion, if there is one. */
    focus() {
      if (visible.length) buttons[0].focus();
    },
  };
}
