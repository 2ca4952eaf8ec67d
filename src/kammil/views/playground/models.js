// The choice of a model, and what is known of it.

import { listModels } from "./api.js";
import { element } from "./elements.js";
import { load, store } from "./storage.js";
import { decimal, message, onLanguage, percent, translated } from "./i18n.js";

const FAMILIES = ["ngram", "gru", "attention", "transformer", "words", "subwords", "blend"];
const FIGURES = {
  bits_per_character: (value) => decimal(value, 2),
  top1: percent,
  top3: percent,
};

/**
 * @param {{select: HTMLSelectElement, card: HTMLElement, faults: HTMLElement}} elements
 * @param {() => void} onChange called when another model is chosen
 */
export function createModelChooser({ select, card, faults }, onChange) {
  let models = [];
  const chosen = () => models.find((model) => model.id === select.value);
  const showCard = () => {
    const description = chosen()?.card ?? {};
    const entries = [
      ["name", description.name],
      ["family", description.family && familyName(description.family)],
      ["licence", description.licence && translated(description.licence)],
      ["parameters", Number.isFinite(description.parameters) ? decimal(description.parameters) : null],
      ...Object.entries(FIGURES).map(([name, format]) => {
        const value = description.figures?.[name];
        return [name, Number.isFinite(value) ? format(value) : null];
      }),
    ];
    const entry = (name, value) => [element("dt", {}, message(name)), element("dd", {}, element("bdi", {}, value))];
    faults.hidden = !description.faults;
    faults.textContent = translated(description.faults ?? "");
    card.replaceChildren(...entries.flatMap(([name, value]) => (value ? entry(name, value) : [])));
  };
  select.addEventListener("change", () => {
    store("model", select.value);
    showCard();
    onChange();
  });
  onLanguage(showCard);

  return {
    get id() {
      return select.value || undefined;
    },
    /** Whether the chosen model can learn while it runs. */
    get learns() {
      return chosen()?.card?.learns === true;
    },
    /** Whether it knows all characters of a text. */
    knows: (text) => [...text].every((character) => chosen()?.card.characters?.includes(character) ?? true),
    /** All models of the server: `{id, family}`. */
    get all() {
      return models.map(({ id, card: { family } }) => ({ id, family }));
    },
    /** Ask the server for its models. */
    async load() {
      models = (await listModels()).data;
      select.replaceChildren(...models.map(({ id }) => new Option(id, id)));
      const stored = load("model");
      if (models.some(({ id }) => id === stored)) select.value = stored;
      showCard();
      onChange();
    },
  };
}

/** Describe a family in words, before its name in commands. */
export function familyName(family) {
  return FAMILIES.includes(family) ? `${message(family)} (${family})` : family;
}
