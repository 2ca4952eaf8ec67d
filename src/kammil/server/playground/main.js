// The page: creates its parts and connects them.

import { ApiError, score, setKey, suggest } from "./api.js";
import { createCompletions } from "./completions.js";
import { createEditor } from "./editor.js";
import { createHeatMap } from "./heatmap.js";
import { createLearning } from "./learning.js";
import { createModelChooser } from "./models.js";
import { createGhostDial, createOptions } from "./options.js";
import { createSuggestions } from "./suggestions.js";
import { debounced } from "./debounce.js";
import { directionOf } from "./ghost.js";
import { message, onLanguage, pageDirection, setUpLanguage } from "./i18n.js";

const DELAY = { ghost: 100, suggestions: 60, announcement: 700 }; // milliseconds without a keystroke
const GHOST_WORDS = 8; // most words of a ghost
const ENOUGH_GHOST = 8; // characters: with as many left, no new ghost is requested

const $ = (id) => document.getElementById(id);

// The last error, shown again when the language changes.
let error = null;
let keyTried = false;
const renderError = () => {
  const locked = error?.kind === "key";
  $("problem").hidden = !error || (locked && !keyTried);
  $("problem").textContent = $("problem").hidden
    ? ""
    : message(locked ? "wrongKey" : error.kind, { message: error.message });
  $("key").hidden = !locked;
};
const report = (newError) => {
  error = newError;
  renderError();
};
const reportErrors = async (action) => {
  try {
    await action();
    report(null);
  } catch (caught) {
    if (!(caught instanceof ApiError)) throw caught;
    report(caught);
  }
};

setUpLanguage($("language"));
onLanguage(renderError);

// The help on keys, with the arrow that points in the direction of the text.
let forwardArrow = "";
const renderKeys = () => {
  const arrow = editor.direction === "rtl" ? "←" : "→";
  if (forwardArrow === arrow) return;
  forwardArrow = arrow;
  const keys = { tab: "Tab", word: "Ctrl+" + arrow, esc: "Esc", down: "↓" };
  const marked = Object.fromEntries(Object.keys(keys).map((name) => [name, `\0${name}\0`]));
  const parts = message("keys", marked).split("\0");
  $("keys").replaceChildren(
    ...parts.map((part, i) => {
      if (i % 2 === 0) return part;
      return Object.assign(document.createElement("kbd"), { textContent: keys[part], dir: "ltr" });
    }),
  );
};

const model = createModelChooser({ select: $("model"), card: $("card") }, () => {
  learning.reset();
  clearResults();
  requestAll();
});

const requestGhost = debounced(
  DELAY.ghost,
  (prefix, signal) => suggest({ model: model.id, prefix, k: 1, phrase: GHOST_WORDS, ghost: ghostLevel() }, signal),
  ({ phrase }, prefix) => editor.offerGhost(prefix, phrase.completion),
  report,
);
const requestSuggestions = debounced(
  DELAY.suggestions,
  (prefix, signal) => suggest({ model: model.id, prefix, k: 3 }, signal),
  ({ suggestions: received }, prefix) => {
    const direction = directionOf(prefix + (received[0]?.completion ?? ""), pageDirection());
    suggestions.show(prefix, received, editor.text, direction);
  },
  report,
);
const ghostLevel = createGhostDial($("dial"), () => {
  editor.dismiss();
  if (editor.text.trim()) requestGhost(editor.text);
});
const announce = debounced(DELAY.announcement, async (text) => text, (text) => ($("live").textContent = text), () => {});

const editor = createEditor(
  { field: $("text"), mirror: $("mirror"), caret: $("caret") },
  {
    onInput(text, ghost) {
      const hasText = text.trim() !== "";
      $("done").disabled = $("colour").disabled = !hasText;
      if (!hasText) requestGhost.cancel();
      else if (ghost.length < ENOUGH_GHOST) requestGhost(text);
      suggestions.update(text);
      requestSuggestions(text);
      renderKeys();
    },
    onGhost(ghost) {
      for (const id of ["accept", "accept-word", "dismiss"]) $(id).disabled = !ghost;
      announce(ghost && message("ghostText", { text: ghost }));
    },
    onAccept: (part) => ($("live").textContent = message("accepted", { text: part.trim() })),
    onDismiss: () => requestGhost.cancel(),
    onDown: () => suggestions.focus(),
  },
);
const suggestions = createSuggestions($("chips"), {
  use: (completion) => editor.appendWord(completion),
  leave: () => editor.focus(),
});
onLanguage(() => {
  editor.render();
  forwardArrow = "";
  renderKeys();
});

// Completions and heat map belong to one text and one model; they are cleared when either changes.
let latestScore = new AbortController();
function clearResults() {
  latestScore.abort();
  completions.clear();
  heatMap.clear();
}

function requestAll() {
  requestSuggestions(editor.text);
  if (!editor.text.trim()) return;
  editor.dismiss();
  requestGhost(editor.text);
}

for (const [id, action] of [
  ["accept", editor.acceptAll],
  ["accept-word", editor.acceptWord],
  ["dismiss", editor.dismiss],
]) {
  $(id).addEventListener("mousedown", (event) => event.preventDefault()); // the text keeps the focus
  $(id).addEventListener("click", () => {
    action();
    editor.focus();
  });
}

const readOptions = createOptions({
  form: $("options"),
  presets: $("presets"),
  sliders: $("sliders"),
  reseed: $("reseed"),
});
const completions = createCompletions(
  { form: $("options"), list: $("completions"), stop: $("stop") },
  {
    prompt: () => editor.text,
    options: () => ({ model: model.id, ...readOptions() }),
    use: (text) => editor.replaceText(text),
    report,
  },
);

const heatMap = createHeatMap({ heat: $("heat"), detail: $("detail"), mean: $("mean"), scale: $("scale") });
$("colour").addEventListener("click", () =>
  reportErrors(async () => {
    latestScore.abort();
    const controller = (latestScore = new AbortController());
    try {
      const result = await score({ model: model.id, text: editor.text, top: 5 }, controller.signal);
      if (!controller.signal.aborted) heatMap.show(result);
    } catch (caught) {
      if (!controller.signal.aborted) throw caught;
    }
  }),
);

const learning = createLearning(
  { toggle: $("learn"), status: $("learnt"), button: $("wipe"), shared: $("shared"), list: $("written") },
  { model: () => model, reopen: (text) => editor.replaceText(text), reportErrors },
);
$("done").addEventListener("click", () => {
  learning.finish(editor.text.trimEnd()); // without an automatic space at the end
  editor.replaceText("");
  clearResults();
});

const loadModels = () =>
  reportErrors(async () => {
    try {
      await model.load();
    } catch (caught) {
      if (caught.kind === "busy" || caught.kind === "unreachable")
        setTimeout(loadModels, 1000 * (caught.retryAfter || 2));
      throw caught;
    }
  });
$("key").addEventListener("submit", async (event) => {
  event.preventDefault();
  setKey($("secret").value);
  keyTried = true;
  await loadModels();
  if (!error) editor.focus();
});
loadModels();
editor.focus();
