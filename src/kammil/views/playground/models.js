// The choice of a model, and what is known of it.

import { listModels } from "./api.js";
import { $, element } from "./elements.js";
import { decimal, message, onLanguage, percent, translated } from "./i18n.js";
import { load, store } from "./storage.js";

const FAMILIES = ["ngram", "gru", "attention", "transformer", "words", "subwords", "blend"];
const CARD = {
  name: String,
  family: familyName,
  licence: translated,
  parameters: (value) => decimal(value),
  bits_per_character: (value) => decimal(value, 2),
  top1: percent,
  top3: percent,
};
const select = $("model");
const listeners = [];
let models = [];
const chosen = () => models.find(({ id }) => id === select.value)?.card;

export const model = {
  get id() {
    return select.value || undefined;
  },
  /** Whether it can learn while it runs. */
  get learns() {
    return chosen()?.learns === true;
  },
  /** Whether it reads what was said before. */
  get reads() {
    return chosen()?.reads_context === true;
  },
  /** Whether it knows all characters of a text. */
  knows: (text) => [...text].every((character) => chosen()?.characters?.includes(character) ?? true),
};
/** Call a listener when another model is chosen. */
export const onModel = (listener) => listeners.push(listener);
/** Return all models of the server: `{id, card}`. */
export const allModels = () => models;

/** Describe a family in words, before its name in commands. */
export function familyName(family) {
  return FAMILIES.includes(family) ? `${message(family)} (${family})` : family;
}

/** Ask the server for its models. */
export async function loadModels() {
  models = (await listModels()).data;
  select.replaceChildren(...models.map(({ id }) => new Option(id, id)));
  const stored = load("model");
  if (models.some(({ id }) => id === stored)) select.value = stored;
  change();
}

function change() {
  showCard();
  for (const listener of listeners) listener();
}

function showCard() {
  const { figures, faults = "", ...about } = chosen() ?? {};
  const entries = Object.entries(CARD).flatMap(([name, format]) => {
    const value = about[name] ?? figures?.[name] ?? "";
    if (value === "") return [];
    return [element("dt", {}, message(name)), element("dd", {}, element("bdi", {}, format(value)))];
  });
  $("known-faults").hidden = !faults;
  $("known-faults").textContent = translated(faults);
  $("card").replaceChildren(...entries);
}

select.addEventListener("change", () => {
  store("model", select.value);
  change();
});
onLanguage(showCard);
