// The line below a stock phrase: it says that the grey text is one and, where this is switched on, asks whether it was
// useful. The answers stay in this browser, until the user saves them as a file, or deletes them.

import { createSwitch } from "./drawer.js";
import { saveLines } from "./elements.js";
import { decimal, message, onLanguage } from "./i18n.js";
import { load, store } from "./storage.js";

const MOST_ANSWERS = 500; // the oldest go first
const MOST_CHARACTERS = 60; // of what was typed before a phrase
const answers = () => (load("answers") ?? "").split("\n").filter(Boolean); // each a line of JSON

/**
 * @param {{line: HTMLElement, toggle: HTMLInputElement, kept: HTMLElement}} elements
 * @param {{model(): string, say(text: string): void, leave(): void}} handlers
 * @typedef {{before: string, text: string}} Phrase the text that it was offered for, and the whole phrase
 */
export function createFeedback({ line, toggle, kept }, handlers) {
  const [label, useful, useless] = line.children;
  const [count, save, wipe] = kept.children;
  let phrase = null; // the last one, which is grey or was just taken
  let taken = false;
  let [judged, outcome] = [null, ""]; // the last phrase that was answered for, and what the line says of it then
  const render = () => {
    const isJudged = phrase !== null && phrase === judged;
    line.hidden = !phrase || (taken && !isOn());
    useful.hidden = useless.hidden = !isOn() || isJudged;
    label.textContent = message(isJudged ? outcome : taken ? "phraseTaken" : "stockPhrase");
    const n = answers().length;
    kept.hidden = !n;
    count.textContent = message("answers", { n: decimal(n) });
  };
  const isOn = createSwitch(toggle, render);
  const show = (shown, isTaken = false) => {
    [phrase, taken] = [shown, isTaken];
    render();
  };
  const judge = (isUseful) => {
    const answer = {
      time: new Date().toISOString(),
      model: handlers.model(),
      text: [...phrase.before].slice(-MOST_CHARACTERS).join(""),
      phrase: phrase.text,
      useful: isUseful,
    };
    const isKept = store("answers", [...answers(), JSON.stringify(answer)].slice(-MOST_ANSWERS).join("\n"));
    [judged, outcome] = [phrase, isKept ? "kept" : "notKept"];
    if (line.contains(document.activeElement)) handlers.leave();
    render();
    handlers.say(message(outcome));
  };
  for (const button of [useful, useless]) {
    button.addEventListener("mousedown", (event) => event.preventDefault()); // the text keeps the focus
    button.addEventListener("click", () => judge(button === useful));
  }
  save.addEventListener("click", () => saveLines("kammil-phrases.jsonl", answers()));
  wipe.addEventListener("click", () => {
    store("answers", "");
    toggle.focus(); // the button is gone
    render();
  });
  onLanguage(render);

  return {
    /** Say that the grey text is this phrase, or, for null, is none. */
    show(shown) {
      if (shown || !taken) show(shown);
    },
    /** Ask about a phrase that was taken. */
    take: (shown) => show(shown, true),
    /** Go on: something else was typed. */
    leave: () => taken && show(null),
  };
}
