// The options of a completion (presets and sliders) and of the ghost text, stored in the browser.

import { HERE } from "./api.js";
import { element } from "./elements.js";
import { GHOST, GHOST_LEVELS, PRESETS } from "./facts.js";
import { load, store } from "./storage.js";
import { decimal, message, onLanguage } from "./i18n.js";

const SLIDERS = { temperature: 2, top_p: 2, length: 0 }; // decimals
const SEEDS = 2 ** 31;

/** Let the form of presets and sliders work; return a function that reads it as fields of a request. */
export function createOptions(form, help) {
  const { preset: radios } = form.elements;
  const slider = (name) => form.elements.namedItem(name); // `length` alone is their number
  const preset = () => radios.value;
  const value = (name) => Number(slider(name).value);

  const render = () => {
    // `exact` searches for the most probable text, so it samples nothing.
    for (const name of ["temperature", "top_p"]) slider(name).disabled = preset() === "exact";
    help.textContent = message(preset() + "Help");
    for (const [name, digits] of Object.entries(SLIDERS)) {
      const shown = decimal(value(name), digits);
      slider(name).setAttribute("aria-valuetext", shown);
      slider(name).previousElementSibling.textContent = shown;
    }
  };
  const save = () => {
    const values = Object.fromEntries(Object.keys(SLIDERS).map((name) => [name, value(name)]));
    store("options", JSON.stringify({ preset: preset(), ...values }));
    render();
  };
  const choosePreset = (chosen) => {
    radios.value = chosen;
    for (const [name, position] of Object.entries(PRESETS[chosen] ?? {})) slider(name).value = position;
    save();
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target }) => {
    if (target.name === "preset") return choosePreset(target.value);
    if (target.id !== "length") radios.value = "custom";
    save();
  });
  const stored = loadOptions();
  choosePreset("sensible");
  if ([...radios].some((radio) => radio.value === stored.preset)) choosePreset(stored.preset);
  if (HERE) choosePreset("custom"); // without a server there is temperature alone
  for (const part of [help.parentElement, slider("top_p").parentElement]) part.hidden = HERE;
  for (const name of Object.keys(SLIDERS)) if (Number.isFinite(stored[name])) slider(name).value = stored[name];
  onLanguage(render);

  return () => {
    const sampling = { temperature: value("temperature"), top_p: value("top_p") };
    const isServerPreset = preset() !== "custom";
    return {
      max_tokens: value("length"),
      // At temperature 0 all texts would be the same, so there is only one.
      n: value("temperature") === 0 && preset() !== "exact" ? 1 : 3,
      seed: Math.floor(Math.random() * SEEDS), // another one each time
      whole_words: true,
      ...(isServerPreset ? { preset: preset() } : sampling),
    };
  };
}

function loadOptions() {
  try {
    return JSON.parse(load("options")) ?? {};
  } catch {
    return {};
  }
}

/** Fill the dial of the ghost text with the server's levels; return a function that reads it. */
export function createGhostDial(select, onChange) {
  select.append(...GHOST_LEVELS.map((level) => element("option", { value: level })));
  onLanguage(() => [...select.options].forEach((option) => (option.textContent = message(option.value))));
  const stored = load("ghost");
  select.value = GHOST_LEVELS.includes(stored) ? stored : GHOST;
  select.addEventListener("change", () => {
    store("ghost", select.value);
    onChange();
  });
  return () => select.value;
}
