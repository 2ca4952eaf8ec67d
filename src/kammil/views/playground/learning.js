// Learning of the user: only texts that the model is asked to learn, and until it is told to forget.
//
// The difference is shown on the text itself: before and after, the model is asked for the next word at places of the
// text, and the longest word that it suggests only afterwards, best in place of another one, is what it has learnt.

import { countLearnt, forget, HERE, learn, learntTexts, onForgotten, suggest } from "./api.js";
import { $, element, saveLines } from "./elements.js";
import { ApiError } from "./errors.js";
import { PROFILE } from "./facts.js";
import { decimal, message, onLanguage } from "./i18n.js";
import { model, onModel } from "./models.js";
import { reportErrors } from "./problem.js";
import { editor, field, onInput } from "./text.js";

const MOST_WORDS = 8; // of the end of the text are asked for
const WORD = /[\p{L}\p{M}\p{N}]+/gu;

const memory = $("memory"), [, texts, save] = memory.children;
let numLearnt = 0;
let forgotten = ""; // a message: why the texts are forgotten
let busy = false;
let lesson = null; // the last: a text, and what was suggested in it before and after
let counting = null; // the last count that was asked for, if nothing was taught or wiped since

function render() {
  const { id, learns } = model;
  $("learn-help").hidden = Boolean(id) && !learns;
  $("teach").disabled = !learns || !editor.text.trim();
  $("teach").setAttribute("aria-disabled", String(busy)); // not `disabled`, which would take the focus away
  $("wipe").hidden = !numLearnt;
  memory.hidden = !HERE || !numLearnt;
  showTexts();
  const progress = [forgotten && message(forgotten), numLearnt && message("learnt", { n: decimal(numLearnt) })];
  $("learnt").textContent = learns || !id ? progress.filter(Boolean).join(" ") : message("cannotLearn");
}

async function showTexts() {
  const known = memory.open && !memory.hidden ? await learntTexts() : [];
  texts.replaceChildren(...known.map((text) => element("li", { dir: "auto" }, text)));
}

function show(taught) {
  lesson = taught;
  $("lesson").replaceChildren(...(lesson ? lines(lesson) : []));
}

/** Begin again with another model, or with one that has forgotten. */
function reset(why) {
  [numLearnt, forgotten, counting] = [0, why, null];
  show(null);
  render();
}

memory.addEventListener("toggle", showTexts);
save.addEventListener("click", async () => {
  const entries = [PROFILE, ...(await learntTexts()).map((text) => ({ text }))];
  saveLines("kammil-profile.jsonl", entries.map((entry) => JSON.stringify(entry)));
});
$("wipe").addEventListener("click", () =>
  reportErrors(async () => {
    const { id } = model;
    await forget(id);
    if (id !== model.id) return;
    reset("wiped");
    field.renew();
    editor.focus(); // the button is gone
  }),
);
$("teach").addEventListener("click", () => {
  if (busy) return;
  reportErrors(async () => {
    const text = editor.text.trimEnd(), { id } = model;
    [busy, forgotten] = [true, ""];
    render();
    try {
      const before = await suggestionsIn(text, id);
      const { learnt } = await learn({ text, model: id });
      if (id === model.id) [numLearnt, counting] = [learnt, null];
      const after = await suggestionsIn(text, id);
      if (id === model.id) show({ text, before, after });
      $("lesson").scrollIntoView({ block: "nearest" });
    } finally {
      busy = false;
      render();
    }
    field.renew();
  });
});
onInput(render);
onForgotten(() => reset("lost"));
onLanguage(() => {
  render();
  show(lesson);
});
// Ask how many texts the model still knows, as after the page was loaded again.
onModel(async () => {
  reset("");
  if (!model.learns) return;
  const asked = (counting = {});
  try {
    const { learnt } = await countLearnt(model.id);
    if (asked !== counting) return;
    numLearnt = learnt;
    render();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // without a count nothing is said of it
    $("wipe").hidden = false;
  }
});

/** Return the places of a text: at the start of a word, and in the middle of a long one. */
function places(text) {
  const found = [...text.matchAll(WORD)].slice(-MOST_WORDS);
  return found.flatMap(({ 0: word, index }) => {
    const middle = index + Math.floor(word.length / 2);
    return (word.length > 3 ? [index, middle] : [index]).map((end) => ({ prefix: text.slice(0, end), word }));
  });
}

/** Return the first suggestion at each place of a text. */
async function suggestionsIn(text, model) {
  const words = [];
  for (const { prefix } of places(text)) {
    const { suggestions } = await suggest({ model, prefix, k: 1, correct: false });
    words.push(suggestions[0]?.text ?? "");
  }
  return words;
}

/** Return paragraphs that say what was learnt: a word, and what was suggested before and after. */
function lines({ text, before, after }) {
  const changed = places(text)
    .map((place, i) => ({ ...place, before: before[i], after: after[i] }))
    .filter((place) => place.after === place.word && place.before !== place.word)
    .sort((a, b) => (b.before.length > 2) - (a.before.length > 2) || b.word.length - a.word.length)[0];
  const head = element("p", { className: "named" }, changed ? message("learntFrom", changed) : message("learntText"));
  if (!changed) return [head];
  const context = changed.prefix.split(/\s+/u).slice(-3).join(" ") + "… ";
  const both = ["before", "after"].map((when) => {
    const said = element("bdi", {}, context, element("b", {}, changed[when] || message("nothing"))); // directed as the text is
    return element("p", { className: when }, element("span", {}, message(when)), said);
  });
  return [head, ...both];
}
