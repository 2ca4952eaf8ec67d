// The language of the page: stored, and changed without a reload; listeners update what they show.

import { HERE } from "./api.js";
import { element } from "./elements.js";
import { CARDS, LANGUAGES, MESSAGES } from "./messages.js";
import { load, store } from "./storage.js";

const FILLED = { "data-message": "textContent", "data-message-label": "ariaLabel", "data-message-placeholder": "placeholder" };
const LOCALES = { ar: "ar-LB", en: "en" }; // ar-LB has the digits that Levantine print uses

let language = load("language");
if (!LANGUAGES.includes(language)) language = navigator.languages.some((tag) => tag.startsWith("ar")) ? "ar" : "en";
const listeners = new Set();

/** Return a message in the language of the page; where the model is in this browser, one that ends in `Here` goes first. */
export function message(name, values = {}) {
  const languages = (HERE && MESSAGES[name + "Here"]) || MESSAGES[name];
  return languages[LANGUAGES.indexOf(language)].replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all);
}

/** Return a message as nodes: each name in braces becomes an element that holds a value, from left to right. */
export function messageNodes(name, tag, values) {
  return message(name).split(/\{(\w+)\}/).map((part, i) => (i % 2 ? element(tag, { dir: "ltr" }, values[part]) : part));
}

/** Let an element of the page say a message, in another language too once that is chosen; return it. */
export function say(element, name) {
  element.dataset.message = name;
  element.textContent = message(name);
  return element;
}

/** Return what the card of a bundled model says in the language of the page; any other text as it is. */
export const translated = (text) => (language === "ar" && CARDS[text]) || text;

/** Format a number with a fixed number of decimals. */
export function decimal(value, digits = 0) {
  return new Intl.NumberFormat(LOCALES[language], { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Format a probability; one below a thousandth as such. */
export function percent(value) {
  if (value > 0 && value < 0.001) return "<\u00a0" + percent(0.001);
  const digits = value < 0.1 ? 1 : 0;
  return new Intl.NumberFormat(LOCALES[language], { style: "percent", maximumFractionDigits: digits }).format(value);
}

/** Call a listener now, and whenever the language changes, until the signal is aborted. */
export function onLanguage(listener, signal) {
  listeners.add(listener);
  signal?.addEventListener("abort", () => listeners.delete(listener));
  listener();
}

/** Return `rtl` or `ltr`, the direction of the page and of a text without letters. */
export const pageDirection = () => (language === "ar" ? "rtl" : "ltr");

/** Speak the language of this tag, or else English. */
export function setLanguage(tag) {
  language = /^ar\b/i.test(tag) ? "ar" : "en";
  for (const listener of listeners) listener();
}

/** Fill in the elements with `data-message`, and let the button change the language. */
export function setUpLanguage(button) {
  onLanguage(() => {
    document.documentElement.lang = language;
    document.documentElement.dir = pageDirection();
    for (const [attribute, property] of Object.entries(FILLED))
      for (const one of document.querySelectorAll(`[${attribute}]`)) one[property] = message(one.getAttribute(attribute));
    button.textContent = message("otherLanguage");
    button.lang = language === "ar" ? "en" : "ar";
  });
  button.addEventListener("click", () => {
    setLanguage(language === "ar" ? "en" : "ar");
    store("language", language);
  });
}
