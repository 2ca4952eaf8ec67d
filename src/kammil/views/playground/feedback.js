// The line below a stock phrase: it says that the grey text is one and, where this is switched on, asks whether it was
// useful. The answers stay in this browser, until the user saves them as a file, or deletes them.

import { $, saveLines } from "./elements.js";
import { decimal, message, onLanguage } from "./i18n.js";
import { model } from "./models.js";
import { createSwitch } from "./options.js";
import { load, store } from "./storage.js";
import { editor, field, onPhrase, onInput } from "./text.js";

const MOST_ANSWERS = 500; // the oldest go first
const MOST_CHARACTERS = 60; // of what was typed before a phrase
const answers = () => (load("answers") ?? "").split("\n").filter(Boolean); // each a line of JSON

const [label, useful, useless] = $("phrase").children;
const [count, save, wipe] = $("answers").children;
let phrase = null; // the last one, which is grey or was just taken
let taken = false;
let [judged, outcome] = [null, ""]; // the last phrase that was answered for, and what the line says of it then
const isOn = createSwitch("feedback", render);

function render() {
  const isJudged = phrase !== null && phrase === judged;
  $("phrase").hidden = !phrase || (taken && !isOn());
  useful.hidden = useless.hidden = !isOn() || isJudged;
  label.textContent = message(isJudged ? outcome : taken ? "phraseTaken" : "stockPhrase");
  const n = answers().length;
  $("answers").hidden = !n;
  count.textContent = message("answers", { n: decimal(n) });
}

function show(shown, isTaken = false) {
  [phrase, taken] = [shown, isTaken];
  render();
}

function judge(isUseful) {
  const answer = {
    time: new Date().toISOString(),
    model: model.id,
    text: [...phrase.before].slice(-MOST_CHARACTERS).join(""),
    phrase: phrase.text,
    useful: isUseful,
  };
  const isKept = store("answers", [...answers(), JSON.stringify(answer)].slice(-MOST_ANSWERS).join("\n"));
  [judged, outcome] = [phrase, isKept ? "kept" : "notKept"];
  if ($("phrase").contains(document.activeElement)) editor.focus();
  render();
  field.say(message(outcome));
}

for (const button of [useful, useless]) {
  button.addEventListener("mousedown", (event) => event.preventDefault()); // the text keeps the focus
  button.addEventListener("click", () => judge(button === useful));
}
save.addEventListener("click", () => saveLines("kammil-phrases.jsonl", answers()));
wipe.addEventListener("click", () => {
  store("answers", "");
  $("feedback").focus(); // the button is gone
  render();
});
onPhrase((shown, isTaken) => {
  if (shown || !taken) show(shown, isTaken);
});
onInput(() => taken && show(null)); // something else was typed
onLanguage(render);
