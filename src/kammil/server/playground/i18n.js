// The language of the page: remembered, switched without a reload, heard by whoever says something that changes.

import { PHRASES } from "./messages.js";
import { recall, remember } from "./storage.js";

const LOCALES = { ar: "ar-LB", en: "en" }; // ar-LB: with the digits that stand in Levantine print
const first = () => (navigator.languages.some((tag) => tag.startsWith("ar")) ? "ar" : "en");
const known = (code) => (code in PHRASES ? code : first());

let code = known(recall("language"));
const listeners = [];

/** A phrase in the language of the page. */
export function say(name, values = {}) {
  return PHRASES[code][name].replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all);
}

/** A number with so many digits after the point. */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(LOCALES[code], { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A number without thousands, such as a seed. */
export function plain(value) {
  return new Intl.NumberFormat(LOCALES[code], { useGrouping: false }).format(value);
}

/** A probability. */
export function share(value) {
  const digits = value < 0.1 ? 1 : 0;
  return new Intl.NumberFormat(LOCALES[code], { style: "percent", maximumFractionDigits: digits }).format(value);
}

/** Call now, and whenever the language changes. */
export function spoken(listener) {
  listeners.push(listener);
  listener();
}

/** `rtl` or `ltr`: where a text without letters begins. */
export function direction() {
  return code === "ar" ? "rtl" : "ltr";
}

/** Fill what `data-say` names in, and let the button switch. */
export function language(button) {
  spoken(() => {
    document.documentElement.lang = code;
    document.documentElement.dir = direction();
    for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
    for (const element of document.querySelectorAll("[data-say-label]"))
      element.setAttribute("aria-label", say(element.dataset.sayLabel));
    for (const element of document.querySelectorAll("[data-say-placeholder]"))
      element.placeholder = say(element.dataset.sayPlaceholder);
    button.textContent = say("other");
    button.lang = code === "ar" ? "en" : "ar";
  });
  button.addEventListener("click", () => {
    code = code === "ar" ? "en" : "ar";
    remember("language", code);
    for (const listener of listeners) listener();
  });
}
