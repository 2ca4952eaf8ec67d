// Examples to tap, which type themselves into the text field.

import { element } from "./elements.js";

const EXAMPLES = ["صباح ال", "عيد ميلاد سع", "انا بالطريق، خمس دق", "sba7 el kh"]; // the Arabic ones are followed by ghost text
const KEY_DELAY = 70; // milliseconds between two characters
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Append the examples to a group.
 *
 * @param {HTMLElement} group
 * @param {{text(): string, keep(text: string): void, clear(): void, type(characters: string): void}} editor
 * @returns {(knows: (text: string) => boolean) => void} hides those that a model cannot write
 */
export function createExamples(group, editor) {
  let timer = 0;
  let typed = ""; // the last example
  const stop = () => clearInterval(timer);
  const typeOut = (example) => {
    stop();
    const text = editor.text();
    if (text.trim() && !typed.startsWith(text)) editor.keep(text); // what somebody wrote is not lost
    if (text) editor.clear();
    typed = example;
    const left = [...example];
    if (reducedMotion.matches) return editor.type(left.join(""));
    timer = setInterval(() => (left.length ? editor.type(left.shift()) : stop()), KEY_DELAY);
  };
  const buttons = EXAMPLES.map((example) => {
    const button = element("button", { type: "button", lang: "ar", dir: "auto" }, example.trim() + "…");
    button.addEventListener("click", () => typeOut(example));
    group.append(button);
    return button;
  });
  // A user who types, or presses anything else, takes over.
  document.addEventListener("keydown", stop);
  document.addEventListener("pointerdown", stop);
  return (knows) => {
    buttons.forEach((button, i) => (button.hidden = !knows(EXAMPLES[0] + EXAMPLES[i]))); // Latin letters become Arabic
    group.hidden = buttons.every((button) => button.hidden); // the openings stay
  };
}
