// The page: creates its parts and connects them.

import { HERE, score, setKey, suggest } from "./api.js";
import { ApiError } from "./errors.js";
import { createComparison } from "./compare.js";
import { createCompletions } from "./completions.js";
import { createDrawer, createSwitch } from "./drawer.js";
import { createExamples } from "./examples.js";
import { createHeatMap } from "./heatmap.js";
import { createLearning } from "./learning.js";
import { createModelChooser } from "./models.js";
import { createGhostDial, createOptions } from "./options.js";
import { createFeedback } from "./feedback.js";
import { createField } from "./field.js";
import { debounced } from "./debounce.js";
import { message, messageNodes, onLanguage, setUpLanguage } from "./i18n.js";

const HEAT_DELAY = 300; // milliseconds without a keystroke
const ALTERNATIVES = 8; // of a character, some of which are not shown

const $ = (id) => document.getElementById(id);

// The last error, shown again when the language changes.
let error = null;
let keyTried = false;
const renderError = () => {
  const locked = error?.kind === "key";
  $("problem").hidden = !error || (locked && !keyTried);
  $("problem").textContent = $("problem").hidden
    ? ""
    : message(locked ? "wrongKey" : error.kind === "busy" && !error.retries ? "tryAgain" : error.kind, {
        message: error.message,
      });
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

const isLocal = HERE || ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
onLanguage(() => ($("intro").textContent = message("intro", { place: message(isLocal ? "thisMachine" : "thisServer") })));

const renderKeys = (direction) => {
  const word = "Ctrl+" + (direction === "rtl" ? "←" : "→");
  $("keys").replaceChildren(...messageNodes("keys", "kbd", { tab: "Tab", word, esc: "Esc", down: "↓" }));
};
// Only a server has other models, and ready-made phrases.
const feedbackSwitch = $("feedback").parentElement;
for (const part of [$("rivals").parentElement, feedbackSwitch, feedbackSwitch.nextElementSibling]) part.hidden = HERE;
createDrawer({ drawer: $("drawer"), open: $("settings"), close: $("close") });
const showsPercentages = createSwitch($("percentages"), () => suggestions.update(editor.prefix));
const coloursLive = createSwitch($("liveHeat"), () => colourLive(editor.text));

const model = createModelChooser({ select: $("model"), card: $("card"), faults: $("known-faults") }, () => {
  learning.reset();
  suggestions.reset();
  offerExamples(model.knows);
  clearResults();
  field.renew();
});

const allowsOffensive = createSwitch($("offensive"), () => field.renew());
const allowed = () => ({ allow_offensive: allowsOffensive() });
const ghostLevel = createGhostDial($("ghost-level"), () => field.renewGhost());
const feedback = createFeedback(
  { line: $("phrase"), toggle: $("feedback"), kept: $("answers") },
  { model: () => model.id, say: (text) => field.say(text), leave: () => editor.focus() },
);
let readText = ""; // of the last input
const field = createField(
  {
    ...{ field: $("text"), mirror: $("mirror"), caret: $("caret"), live: $("live") },
    ...{ title: $("suggestions-title"), group: $("chips"), none: $("none") },
  },
  {
    suggest,
    report,
    options: () => ({ model: model.id, ...allowed() }),
    level: ghostLevel,
    percentages: showsPercentages,
    onInput(text) {
      $("done").disabled = $("colour").disabled = !text.trim();
      learning.update();
      comparison.update();
      feedback.leave();
      if (text !== readText) clearResultsOf(text);
      readText = text;
      colourLive(text);
      renderKeys(editor.direction);
    },
    onPhrase: feedback.show,
    onPhraseTaken: feedback.take,
  },
);
const { editor, suggestions } = field;
const offerExamples = createExamples($("examples"), {
  text: () => editor.text,
  keep: (text) => learning.keep(text.trimEnd()),
  clear: () => editor.replaceText(""),
  type: editor.type,
});
onLanguage(() => renderKeys(editor.direction));

// Completions, comparison and heat map belong to one text and one model; they are cleared when either changes.
function clearResults() {
  clearHeat();
  completions.clear();
  comparison.clear();
}

function clearResultsOf(text) {
  if (!coloursLive()) clearHeat(); // else it follows the text
  completions.clearUnless(text);
  comparison.clear();
}

function clearHeat() {
  requestScore.cancel();
  heatMap.clear();
}

const readOptions = createOptions($("options"), $("preset-help"));
const completions = createCompletions(
  { form: $("writing"), write: $("write"), list: $("completions"), stop: $("stop") },
  {
    prompt: () => editor.text,
    options: () => ({ model: model.id, ...readOptions(), ...allowed() }),
    use: (text) => editor.replaceText(text),
    report,
  },
);
const comparison = createComparison(
  { button: $("compare"), list: $("rivals"), hint: $("compare-help") },
  { models: () => model.all, text: () => editor.text, options: () => ({ ...readOptions(), ...allowed() }), reportErrors },
);

const heatMap = createHeatMap({ heat: $("heat"), detail: $("detail"), mean: $("mean"), scale: $("scale") });
const requestScore = debounced(
  HEAT_DELAY,
  (text, signal) => score({ model: model.id, text, top: ALTERNATIVES }, signal),
  heatMap.show,
  report,
);
$("colour").addEventListener("click", () => requestScore(editor.text));
function colourLive(text) {
  if (!coloursLive()) return;
  if (text.trim()) requestScore(text);
  else clearHeat();
}

const learning = createLearning(
  {
    teach: $("teach"),
    status: $("learnt"),
    wipe: $("wipe"),
    shown: $("lesson"),
    list: $("written"),
    memory: $("memory"),
  },
  {
    model: () => model,
    text: () => editor.text,
    reopen: (text) => editor.replaceText(text),
    onChange: () => field.renew(),
    focus: editor.focus,
    reportErrors,
  },
);
$("done").addEventListener("click", () => {
  learning.keep(editor.text.trimEnd()); // without an automatic space at the end
  editor.replaceText("");
  clearResults();
});

const loadModels = () =>
  reportErrors(async () => {
    try {
      await model.load();
    } catch (caught) {
      caught.retries = caught.kind === "busy" || caught.kind === "unreachable";
      if (caught.retries) setTimeout(loadModels, 1000 * (caught.retryAfter || 2));
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
