// The options of a completion (presets and sliders), the dial of the ghost text, and switches: all stored in the browser.

import { HERE } from "./api.js";
import { $, element } from "./elements.js";
import { GHOST, GHOST_LEVELS, PRESETS } from "./facts.js";
import { decimal, message, onLanguage, say } from "./i18n.js";
import { load, store } from "./storage.js";

const SLIDERS = { temperature: 2, top_p: 2, length: 0 }; // decimals
const SEEDS = 2 ** 31;
const radios = $("options").elements.preset;
const value = (name) => Number($(name).value);

function render() {
  $("preset-help").textContent = message(radios.value + "Help");
  for (const [name, digits] of Object.entries(SLIDERS)) {
    const shown = decimal(value(name), digits);
    $(name).setAttribute("aria-valuetext", shown);
    $(name).previousElementSibling.textContent = shown;
  }
}

function save() {
  const values = Object.fromEntries(Object.keys(SLIDERS).map((name) => [name, value(name)]));
  store("options", JSON.stringify({ preset: radios.value, ...values }));
  render();
}

function choosePreset(chosen) {
  radios.value = chosen;
  for (const [name, position] of Object.entries(PRESETS[chosen] ?? {})) $(name).value = position;
  save();
}

$("options").addEventListener("submit", (event) => event.preventDefault());
$("options").addEventListener("input", ({ target }) => {
  if (target.name === "preset") return choosePreset(target.value);
  if (target.id !== "length") radios.value = "custom";
  save();
});
const stored = JSON.parse(load("options")) ?? {};
choosePreset("sensible");
if ([...radios].some((radio) => radio.value === stored.preset)) choosePreset(stored.preset);
if (HERE) choosePreset("custom"); // without a server there is temperature alone
for (const part of [$("preset-help").parentElement, $("top_p").parentElement]) part.hidden = HERE;
for (const name of Object.keys(SLIDERS)) if (Number.isFinite(stored[name])) $(name).value = stored[name];
onLanguage(render);

/** Return the options as fields of a request. */
export function readOptions() {
  const preset = radios.value, sampling = { temperature: value("temperature"), top_p: value("top_p") };
  return {
    max_tokens: value("length"),
    // At temperature 0 all texts would be the same, so there is only one.
    n: sampling.temperature === 0 ? 1 : 3,
    seed: Math.floor(Math.random() * SEEDS), // another one each time
    whole_words: true,
    ...(preset === "custom" ? sampling : { preset }),
  };
}

/** Fill the dial of the ghost text with the server's levels; return a function that reads it. */
export function createGhostDial(onChange) {
  const select = $("ghost-level"), level = load("ghost");
  select.append(...GHOST_LEVELS.map((level) => say(element("option", { value: level }), level)));
  select.value = GHOST_LEVELS.includes(level) ? level : GHOST;
  select.addEventListener("change", () => {
    store("ghost", select.value);
    onChange();
  });
  return () => select.value;
}

/** Let a switch work, which is stored under its id; return whether it is on. */
export function createSwitch(id, onChange, atFirst = "off") {
  const input = $(id);
  input.checked = (load(id) ?? atFirst) === "on";
  input.addEventListener("change", () => {
    store(id, input.checked ? "on" : "off");
    onChange();
  });
  return () => input.checked;
}
