// The page: who hears whom.

import { Problem, score, suggest, unlock } from "./api.js";
import { chips } from "./suggestions.js";
import { editor } from "./editor.js";
import { direction, language, say, spoken } from "./i18n.js";
import { latest } from "./debounce.js";
import { learning } from "./learning.js";
import { models } from "./models.js";
import { options } from "./options.js";
import { directionOf } from "./ghost.js";
import { surprise } from "./heatmap.js";
import { writing } from "./completions.js";

const REST = { ghost: 100, chips: 60, live: 700 }; // milliseconds without a keystroke before something is asked, or said
const GHOST = 8; // words at most
const ENOUGH = 8; // of a ghost are left: no new one is asked for

const $ = (id) => document.getElementById(id);

// What went wrong last; said again when the language changes.
let problem = null;
let tried = false; // a key was given
const told = () => {
  const locked = problem?.kind === "key";
  $("problem").hidden = !problem || (locked && !tried);
  $("problem").textContent = $("problem").hidden
    ? ""
    : say(locked ? "wrongKey" : problem.kind, { message: problem.message });
  $("key").hidden = !locked;
};
const report = (found) => {
  problem = found;
  told();
};
const guard = async (act) => {
  try {
    await act();
    report(null);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    report(error);
  }
};

language($("language"));
spoken(told);
// The keys, with the arrow that goes on in the direction of the text.
let forward = "";
const tellKeys = () => {
  const arrow = typing.direction === "rtl" ? "←" : "→";
  if (forward === arrow) return;
  forward = arrow;
  const keys = { tab: "Tab", word: "Ctrl+" + arrow, esc: "Esc", down: "↓" };
  const marked = Object.fromEntries(Object.keys(keys).map((name) => [name, `\0${name}\0`]));
  const parts = say("keys", marked).split("\0");
  $("keys").replaceChildren(
    ...parts.map((part, i) => {
      if (i % 2 === 0) return part;
      return Object.assign(document.createElement("kbd"), { textContent: keys[part], dir: "ltr" });
    }),
  );
};

const model = models({ select: $("model"), card: $("card") }, () => {
  learnt.changed();
  forget();
  ask();
});

const askGhost = latest(
  REST.ghost,
  (prefix, signal) => suggest({ model: model.id, prefix, k: 1, phrase: GHOST }, signal),
  ({ phrase }, prefix) => typing.offer(prefix, phrase.completion),
  report,
);
const askChips = latest(
  REST.chips,
  (prefix, signal) => suggest({ model: model.id, prefix, k: 3 }, signal),
  ({ suggestions }, prefix) =>
    words.show(
      prefix,
      suggestions,
      typing.text,
      directionOf(prefix + (suggestions[0]?.completion ?? ""), direction()),
    ),
  report,
);

const live = latest(REST.live, async (text) => text, (text) => ($("live").textContent = text), () => {});
const typing = editor(
  { field: $("text"), mirror: $("mirror"), caret: $("caret") },
  {
    typed(text, ghost) {
      const written = text.trim() !== "";
      $("done").disabled = $("colour").disabled = !written;
      if (!written) askGhost.cancel();
      else if (ghost.length < ENOUGH) askGhost(text);
      words.typed(text);
      askChips(text);
      tellKeys();
    },
    shown(ghost) {
      for (const id of ["accept", "accept-word", "dismiss"]) $(id).disabled = !ghost;
      live(ghost && say("ghost", { text: ghost }));
    },
    accepted: (part) => ($("live").textContent = say("accepted", { text: part.trim() })),
    dismissed: () => askGhost.cancel(),
    down: () => words.enter(),
  },
);
const words = chips($("chips"), {
  use: (completion) => typing.append(completion),
  leave: () => typing.focus(),
});
spoken(() => {
  typing.render();
  forward = "";
  tellKeys();
});

/** What a model said of a text, or will say, goes with the one or the other. */
let scoring = new AbortController();
function forget() {
  scoring.abort();
  completions.clear();
  heat.clear();
}

function ask() {
  askChips(typing.text);
  if (!typing.text.trim()) return;
  typing.dismiss();
  askGhost(typing.text);
}

for (const [id, act] of [["accept", typing.all], ["accept-word", typing.word], ["dismiss", typing.dismiss]]) {
  $(id).addEventListener("mousedown", (event) => event.preventDefault()); // the caret stays in the text
  $(id).addEventListener("click", () => {
    act();
    typing.focus();
  });
}

const chosen = options({ form: $("options"), presets: $("presets"), sliders: $("sliders"), reseed: $("reseed") });
const completions = writing(
  { form: $("options"), list: $("completions"), stop: $("stop") },
  {
    prompt: () => typing.text,
    options: () => ({ model: model.id, ...chosen() }),
    use: (text) => typing.replace(text),
    report,
  },
);

const heat = surprise({ heat: $("heat"), detail: $("detail"), mean: $("mean"), scale: $("scale") });
$("colour").addEventListener("click", () =>
  guard(async () => {
    scoring.abort();
    const own = (scoring = new AbortController());
    try {
      const said = await score({ model: model.id, text: typing.text, top: 5 }, own.signal);
      if (!own.signal.aborted) heat.show(said);
    } catch (error) {
      if (!own.signal.aborted) throw error;
    }
  }),
);

const learnt = learning(
  { toggle: $("learn"), status: $("learnt"), button: $("wipe"), shared: $("shared"), list: $("written") },
  { model: () => model, reopen: (text) => typing.replace(text), guard },
);
$("done").addEventListener("click", () => {
  learnt.finish(typing.text.trimEnd()); // without the space after an accepted word
  typing.replace("");
  forget();
});

const load = () =>
  guard(async () => {
    try {
      await model.load();
    } catch (error) {
      if (error.kind === "busy" || error.kind === "unreachable") setTimeout(load, 1000 * (error.wait || 2));
      throw error;
    }
  });
$("key").addEventListener("submit", async (event) => {
  event.preventDefault();
  unlock($("secret").value);
  tried = true;
  await load();
  if (!problem) typing.focus();
});
load();
typing.focus();
