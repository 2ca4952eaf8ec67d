// Which model answers, and what its card says.

import { models as all } from "./api.js";
import { recall, remember } from "./storage.js";
import { number, say, share, spoken } from "./i18n.js";

const WORDS = ["name", "family", "licence"];
const FIGURES = {
  bits_per_character: (v) => number(v, 2),
  top1: share,
  top3: share,
  top5: share,
  keystrokes_saved: share,
};

/**
 * @param {{select: HTMLSelectElement, card: HTMLElement}} parts
 * @param {() => void} changed another model was chosen
 */
export function models({ select, card }, changed) {
  let known = [];
  const chosen = () => known.find((model) => model.id === select.value);
  const show = () => {
    const about = chosen()?.card ?? {};
    const entries = [
      ...WORDS.map((name) => [name, about[name]]),
      ["parameters", Number.isFinite(about.parameters) ? number(about.parameters) : null],
      ...Object.entries(FIGURES).map(([name, show]) => {
        const value = about.figures?.[name];
        return [name, Number.isFinite(value) ? show(value) : null];
      }),
    ];
    card.replaceChildren(...entries.filter(([, value]) => value).flatMap(([name, value]) => entry(say(name), value)));
  };
  select.addEventListener("change", () => {
    remember("model", select.value);
    show();
    changed();
  });
  spoken(show);

  return {
    get id() {
      return select.value || undefined;
    },
    /** Whether the chosen one can learn while it runs. */
    get learns() {
      return chosen()?.card?.learns === true;
    },
    /** Whether others get what it learns here. */
    get shared() {
      return chosen()?.card?.learning === "shared";
    },
    /** Ask the server which there are. */
    async load() {
      known = (await all()).data;
      select.replaceChildren(...known.map(({ id }) => new Option(id, id)));
      const before = recall("model");
      if (known.some(({ id }) => id === before)) select.value = before;
      show();
      changed();
    },
  };
}

function entry(name, value) {
  const term = Object.assign(document.createElement("dt"), { textContent: name });
  const said = document.createElement("dd");
  said.append(Object.assign(document.createElement("bdi"), { textContent: value }));
  return [term, said];
}
