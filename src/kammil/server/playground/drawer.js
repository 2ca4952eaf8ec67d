// The drawer of settings, and its switches, which the browser stores.

import { load, store } from "./storage.js";
import { message, onLanguage } from "./i18n.js";

/** Let one button open the drawer, and another one, Esc or a click beside it close it. */
export function createDrawer({ drawer, open, close }) {
  open.addEventListener("click", () => drawer.showModal());
  close.addEventListener("click", () => drawer.close());
  drawer.addEventListener("click", (event) => {
    if (event.target === drawer) drawer.close();
  });
}

/**
 * Append a switch that is off at first.
 *
 * @param {HTMLElement} parent
 * @param {string} name of its message, and under which it is stored
 * @param {() => void} onChange
 * @returns {() => boolean} whether it is on
 */
export function createSwitch(parent, name, onChange) {
  const label = Object.assign(document.createElement("label"), { className: "switch" });
  const input = Object.assign(document.createElement("input"), { type: "checkbox", id: name });
  const text = document.createElement("span");
  input.setAttribute("role", "switch");
  input.checked = load(name) === "on";
  input.addEventListener("change", () => {
    store(name, input.checked ? "on" : "off");
    onChange();
  });
  label.append(input, " ", text);
  parent.append(label);
  onLanguage(() => (text.textContent = message(name)));
  return () => input.checked;
}
