// The drawer of settings, and its switches, which the browser stores.

import { load, store } from "./storage.js";

/** Let one button open the drawer, and another one, Esc or a click beside it close it. */
export function createDrawer({ drawer, open, close }) {
  open.addEventListener("click", () => drawer.showModal());
  close.addEventListener("click", () => drawer.close());
  drawer.addEventListener("click", (event) => {
    if (event.target === drawer) drawer.close();
  });
}

/** Let a switch work, which is off at first and stored under its id; return whether it is on. */
export function createSwitch(input, onChange) {
  input.checked = load(input.id) === "on";
  input.addEventListener("change", () => {
    store(input.id, input.checked ? "on" : "off");
    onChange();
  });
  return () => input.checked;
}
