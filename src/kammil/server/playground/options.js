// How a completion is written: presets and sliders, remembered.

import { recall, remember } from "./storage.js";
import { number, plain, say, spoken } from "./i18n.js";

const SLIDERS = {
  temperature: { min: 0, max: 1.5, step: 0.05, value: 0.7, show: (v) => number(v, 2) },
  top_p: { min: 0.05, max: 1, step: 0.05, value: 1, show: (v) => number(v, 2) },
  length: { min: 5, max: 200, step: 5, value: 30, show: plain },
  seed: { min: 0, max: 99, step: 1, value: 0, show: plain },
};
// What the presets of Kammil do to the sliders; `custom` is whatever they are set to.
const PRESETS = {
  predictive: { temperature: 0, top_p: 1 },
  balanced: { temperature: 0.7, top_p: 1 },
  creative: { temperature: 1, top_p: 1 },
  exact: {},
  custom: {},
};

/** Fill the form; returns what reads it. */
export function options({ form, presets, sliders, reseed }) {
  const radios = Object.fromEntries(Object.keys(PRESETS).map((name) => [name, radio(presets, name)]));
  const ranges = Object.fromEntries(Object.entries(SLIDERS).map(([name, of]) => [name, slider(sliders, name, of)]));
  const chosen = () => form.elements.preset.value;
  const value = (name) => Number(ranges[name].value);

  const told = () => {
    // A search for the one most probable text draws nothing.
    for (const name of ["temperature", "top_p", "seed"]) ranges[name].disabled = chosen() === "exact";
    reseed.disabled = chosen() === "exact";
    for (const [name, { show }] of Object.entries(SLIDERS)) {
      ranges[name].setAttribute("aria-valuetext", (ranges[name].output.textContent = show(value(name))));
    }
  };
  const keep = () => {
    const values = Object.fromEntries(Object.keys(SLIDERS).map((name) => [name, value(name)]));
    remember("options", JSON.stringify({ preset: chosen(), ...values }));
    told();
  };
  const choose = (name) => {
    radios[name].checked = true;
    for (const [of, to] of Object.entries(PRESETS[name])) ranges[of].value = to;
    keep();
  };
  presets.addEventListener("change", () => choose(chosen()));
  sliders.addEventListener("input", (event) => {
    if (["temperature", "top_p"].includes(event.target.id)) radios.custom.checked = true;
    keep();
  });
  reseed.addEventListener("click", () => {
    ranges.seed.value = (value("seed") + 1) % (SLIDERS.seed.max + 1);
    keep();
    form.requestSubmit();
  });

  const before = remembered();
  choose(before.preset in PRESETS ? before.preset : "balanced");
  for (const name of Object.keys(SLIDERS)) if (Number.isFinite(before[name])) ranges[name].value = before[name];
  spoken(told);

  return () => {
    const drawn = { temperature: value("temperature"), top_p: value("top_p"), seed: value("seed") };
    const named = ["predictive", "creative", "exact"].includes(chosen());
    return {
      max_tokens: value("length"),
      // The most probable text is one; others are drawn three at a time.
      n: value("temperature") === 0 && chosen() !== "exact" ? 1 : 3,
      ...(named ? { preset: chosen(), seed: drawn.seed } : drawn),
    };
  };
}

function remembered() {
  try {
    return JSON.parse(recall("options")) ?? {};
  } catch {
    return {};
  }
}

function radio(parent, name) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "preset", value: name });
  const text = document.createElement("span");
  label.append(input, text);
  parent.append(label);
  spoken(() => (text.textContent = say(name)));
  return input;
}

function slider(parent, name, { min, max, step, value }) {
  const row = document.createElement("div");
  const label = Object.assign(document.createElement("label"), { htmlFor: name });
  const input = Object.assign(document.createElement("input"), { type: "range", id: name, min, max, step, value });
  input.output = Object.assign(document.createElement("output"), { htmlFor: name });
  row.append(label, input.output, input);
  parent.append(row);
  spoken(() => (label.textContent = say(name)));
  return input;
}
