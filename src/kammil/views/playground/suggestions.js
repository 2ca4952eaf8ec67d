// Suggestions: three buttons in the direction of the text, which the arrow keys reach too.

import { HERE } from "./api.js";
import { message, onLanguage, percent } from "./i18n.js";
import { element } from "./elements.js";
import { endOf, remainingSuggestion, scriptOf } from "./ghost.js";

const keepFocus = (event) => event.preventDefault(); // in the text
const CONTEXT = 30; // characters at the end of a text, whose script is looked at

/** Handlers: `use(completion, replaced)`, `leave()`, `room()` and `percentages()`; `signal` ends it. */
export function createSuggestions({ title, group, none }, handlers, signal) {
  let prefix = "";
  let suggestions = []; // the server's, after `prefix`
  let visible = []; // those that agree with what was typed since
  let latest = ""; // the text as it is now
  let loading = HERE; // until there is an answer
  let script; // of the openings of messages: the model's own
  const buttons = [0, 1, 2].map((i) => {
    const use = () => visible[i] && handlers.use(visible[i].completion, visible[i].replaced);
    const properties = { type: "button", hidden: true, onmousedown: keepFocus, onclick: use };
    return element("button", properties, element("bdi"), " ", element("small"));
  });
  group.append(...buttons);
  const focused = () => group.getRootNode().activeElement; // which may be in a shadow tree
  group.addEventListener("keydown", (event) => {
    const step = getComputedStyle(group).direction === "rtl" ? -1 : 1;
    const from = buttons.indexOf(focused());
    const to = { ArrowRight: from + step, ArrowLeft: from - step, Home: 0, End: visible.length - 1 }[event.key];
    if (["ArrowUp", "Escape"].includes(event.key)) handlers.leave();
    else if (to === undefined) return;
    else if (to >= 0 && to < visible.length) buttons[to].focus();
    event.preventDefault();
  });

  const render = (text) => {
    latest = text; // null: nothing is offered
    visible = (text === null ? [] : suggestions)
      .map((suggestion) => remainingSuggestion(prefix, text, suggestion))
      .filter((suggestion) => suggestion && suggestion.completion.length - suggestion.replaced <= handlers.room())
      .slice(0, buttons.length);
    if (buttons.indexOf(focused()) >= visible.length) handlers.leave();
    title.textContent = message(text?.trim() ? "suggestions" : "openings");
    title.hidden = loading || text === null;
    group.hidden = !visible.length;
    none.hidden = !group.hidden || text === null || (!loading && !text.trim());
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

  // Said of the last answer, until there is another, so that it does not flicker while somebody types.
  const sayNone = () => {
    const foreign = script && (scriptOf(endOf(prefix, CONTEXT)) ?? script) !== script;
    none.textContent = message(loading ? "loading" : !foreign ? "noSuggestion" : script === "Arabic" ? "foreignToArabic" : "foreign");
  };
  onLanguage(() => {
    render(latest);
    sayNone();
  }, signal);

  return {
    /** Show suggestions that the server made after `requestPrefix`, now that the text is `text`. */
    show(requestPrefix, received, text, direction) {
      [prefix, suggestions, loading] = [requestPrefix, received, false];
      group.dir = direction;
      if (!prefix) script = scriptOf(received.map((one) => one.text).join(" "));
      sayNone();
      render(text);
    },
    /** Forget the openings, as of another model. */
    reset: () => (script = undefined),
    /** Keep the suggestions that agree with the text as it is now. */
    update: render,
    /** Move the focus to the first suggestion, if there is one. */
    focus() {
      if (visible.length) buttons[0].focus();
    },
  };
}
