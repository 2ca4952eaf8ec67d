// The options of a completion (presets and sliders) and of the ghost text, stored in the browser.

import { load, store } from "./storage.js";
import { decimal, message, onLanguage, ungrouped } from "./i18n.js";

const SLIDERS = {
  temperature: { min: 0, max: 1.5, step: 0.05, value: 0.7, format: (value) => decimal(value, 2) },
  top_p: { min: 0.05, max: 1, step: 0.05, value: 1, format: (value) => decimal(value, 2) },
  length: { min: 5, max: 200, step: 5, value: 30, format: ungrouped },
};
// Where Kammil's presets put the sliders; `custom` leaves them as they are.
const PRESETS = {
  sensible: { temperature: 0.7, top_p: 1 },
  predictive: { temperature: 0, top_p: 1 },
  creative: { temperature: 1, top_p: 1 },
  exact: {},
  custom: {},
};

const HELP = {
  sensible: "sensibleHelp",
  predictive: "predictiveHelp",
  creative: "creativeHelp",
  exact: "exactHelp",
  custom: "customHelp",
};
const SEEDS = 2 ** 31;

/** Build the form; return a function that reads it as fields of a request. */
export function createOptions({ form, presets, help, sliders }) {
  const radios = Object.fromEntries(Object.keys(PRESETS).map((name) => [name, createRadio(presets, name)]));
  const ranges = Object.fromEntries(
    Object.entries(SLIDERS).map(([name, range]) => [name, createSlider(sliders, name, range)]),
  );
  const preset = () => form.elements.preset.value;
  const value = (name) => Number(ranges[name].value);

  const render = () => {
    // `exact` searches for the most probable text, so it samples nothing.
    for (const name of ["temperature", "top_p"]) ranges[name].disabled = preset() === "exact";
    help.textContent = message(HELP[preset()]);
    for (const [name, { format }] of Object.entries(SLIDERS)) {
      ranges[name].setAttribute("aria-valuetext", (ranges[name].output.textContent = format(value(name))));
    }
  };
  const save = () => {
    const values = Object.fromEntries(Object.keys(SLIDERS).map((name) => [name, value(name)]));
    store("options", JSON.stringify({ preset: preset(), ...values }));
    render();
  };
  const choosePreset = (name) => {
    radios[name].checked = true;
    for (const [slider, position] of Object.entries(PRESETS[name])) ranges[slider].value = position;
    save();
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  presets.addEventListener("change", () => choosePreset(preset()));
  sliders.addEventListener("input", (event) => {
    if (["temperature", "top_p"].includes(event.target.id)) radios.custom.checked = true;
    save();
  });
  const stored = loadOptions();
  choosePreset(stored.preset in PRESETS ? stored.preset : "sensible");
  for (const name of Object.keys(SLIDERS)) if (Number.isFinite(stored[name])) ranges[name].value = stored[name];
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

// How readily ghost text is shown: the steps of the server's dial, and their messages.
const GHOST_LEVELS = { quiet: "ghostQuiet", balanced: "ghostBalanced", eager: "ghostEager" };

/** Create the dial of the ghost text; return a function that reads it as a field of a request. */
export function createGhostDial(parent, onChange) {
  const label = Object.assign(document.createElement("label"), { htmlFor: "ghost-level" });
  const select = Object.assign(document.createElement("select"), { id: "ghost-level" });
  select.append(...Object.keys(GHOST_LEVELS).map((name) => Object.assign(document.createElement("option"), { value: name })));
  parent.append(label, select);
  const stored = load("ghost");
  select.value = stored in GHOST_LEVELS ? stored : "balanced";
  select.addEventListener("change", () => {
    store("ghost", select.value);
    onChange();
  });
  onLanguage(() => {
    label.textContent = message("ghostLevel");
    for (const option of select.options) option.textContent = message(GHOST_LEVELS[option.value]);
  });
  return () => select.value;
}

function loadOptions() {
  try {
    return JSON.parse(load("options")) ?? {};
  } catch {
    return {};
  }
}

function createRadio(parent, name) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "preset", value: name });
  const text = document.createElement("span");
  label.append(input, text);
  parent.append(label);
  onLanguage(() => (text.textContent = message(name)));
  return input;
}

function createSlider(parent, name, { min, max, step, value }) {
  const row = document.createElement("div");
  const label = Object.assign(document.createElement("label"), { htmlFor: name });
  const input = Object.assign(document.createElement("input"), { type: "range", id: name, min, max, step, value });
  input.output = Object.assign(document.createElement("output"), { htmlFor: name });
  row.append(label, input.output, input);
  parent.append(row);
  onLanguage(() => (label.textContent = message(name)));
  return input;
}
