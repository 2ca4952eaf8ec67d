// Examples to tap, which type themselves into the text field.

import { $, element } from "./elements.js";
import { model, onModel } from "./models.js";
import { editor, keep } from "./text.js";

const EXAMPLES = ["صباح ال", "عيد ميلاد سع", "انا بالطريق، خمس دق", "sba7 el kh"]; // the Arabic ones are followed by ghost text
const KEY_DELAY = 70; // milliseconds between two characters
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
let timer = 0;
let typed = ""; // the last example
const stop = () => clearInterval(timer);

function typeOut(example) {
  stop();
  const { text } = editor;
  if (text.trim() && !typed.startsWith(text)) keep(); // what somebody wrote is not lost
  if (text) editor.replaceText("");
  typed = example;
  const left = [...example];
  if (reducedMotion.matches) return editor.type(example);
  timer = setInterval(() => (left.length ? editor.type(left.shift()) : stop()), KEY_DELAY);
}

const buttons = EXAMPLES.map((example) => {
  const properties = { type: "button", lang: "ar", dir: "auto", onclick: () => typeOut(example) };
  return element("button", properties, example.trim() + "…");
});
$("examples").append(...buttons);
onModel(() => {
  buttons.forEach((button, i) => (button.hidden = !model.knows(EXAMPLES[0] + EXAMPLES[i]))); // Latin letters become Arabic
  $("examples").hidden = buttons.every((button) => button.hidden); // the openings stay
});
// A user who types, or presses anything else, takes over.
document.addEventListener("keydown", stop);
document.addEventListener("pointerdown", stop);
