// Learning of the user: only texts that the model is asked to learn, and until it is told to forget.
//
// The difference is shown on the text itself: before and after, the model is asked for the next words at places of the
// text, and of those that it suggests only afterwards, the word that it had expected least is what it has learnt.

import { countLearnt, forget, HERE, learn, learntTexts, onForgotten, suggest, unlearnt } from "./api.js";
import { $, element, saveLines } from "./elements.js";
import { ApiError } from "./errors.js";
import { OWN_WORDS, PROFILE } from "./facts.js";
import { decimal, message, onLanguage } from "./i18n.js";
import { model, onModel } from "./models.js";
import { createSwitch } from "./options.js";
import { reportErrors } from "./problem.js";
import { editor, field, onInput } from "./text.js";

const MOST_WORDS = 8; // of the end of the text are asked for
const MOST_TEXTS = 200; // whose words are counted, the newest
const SUGGESTED = 3;
const [BEGUN, UNEXPECTED, NAMED] = OWN_WORDS; // as Python's `own_words`
const WORD = /[\p{L}\p{M}\p{N}]+/gu;

const memory = $("memory"), [, texts, save] = memory.children;
const line = element("p", { id: "own", className: "quiet" });
memory.before(line);
let numLearnt = 0;
let forgotten = ""; // a message: why the texts are forgotten
let busy = false;
let lesson = null; // the last: a text, and what was suggested in it before and after
let counting = null; // the last count that was asked for, if nothing was taught or wiped since
let own = []; // words that the model hardly expected, and how often they were used in what it learnt
const scores = new Map(); // learnt text -> its characters' bits, without what was learnt

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
  line.hidden = !own.length;
  if (own.length) line.replaceChildren(...named());
}

/** Return how many words of theirs were learnt, and the most used ones. */
function named() {
  const words = own.slice(0, NAMED).map(([word, used]) => [element("bdi", {}, word), ` ×${decimal(used)}`]);
  const listed = words.flatMap((nodes, i) => (i ? [" · ", ...nodes] : nodes));
  return [message("ownWords", { n: decimal(own.length) }), " ", ...listed, ...(own.length > NAMED ? ["…"] : [])];
}

/** Ask what the model expected of learnt texts without them, once of each, and count their words. */
async function countWords() {
  const { id } = model;
  const known = (await learntTexts(id)).slice(-MOST_TEXTS), fresh = [...new Set(known)].filter((text) => !scores.has(text));
  const found = fresh.length ? await unlearnt(fresh, id) : [];
  if (id !== model.id) return;
  found.forEach((score, i) => scores.set(fresh[i], score));
  own = ownWords(known.map((text) => scores.get(text)));
  render();
}

/** Return words that were used twice and hardly expected at any use, and how often; the most used ones first. */
function ownWords(texts) {
  const used = new Map(), expected = new Set();
  for (const { text, bits } of texts) {
    for (const { 0: word, index } of text.matchAll(WORD)) {
      const begin = [...text.slice(0, index)].length, rest = bits.slice(begin + BEGUN, begin + [...word].length);
      if (2 ** -sum(rest) >= UNEXPECTED || /^\p{N}+$/u.test(word)) expected.add(word);
      used.set(word, (used.get(word) ?? 0) + 1);
    }
  }
  return [...used].filter(([word, times]) => times > 1 && !expected.has(word)).sort((a, b) => b[1] - a[1]);
}

const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

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
  [numLearnt, forgotten, counting, own] = [0, why, null, []];
  scores.clear();
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
$("teach").addEventListener("click", () => teach(editor.text.trimEnd()));
const learnsFinished = createSwitch("learn", () => {});

function teach(text) {
  if (busy) return;
  reportErrors(async () => {
    const { id } = model;
    [busy, forgotten] = [true, ""];
    render();
    try {
      const before = await suggestionsIn(text, id);
      const { learnt } = await learn({ text, model: id });
      if (id === model.id) [numLearnt, counting] = [learnt, null];
      const after = await suggestionsIn(text, id);
      await countWords();
      if (id === model.id) show({ text, before, after, bits: scores.get(text)?.bits });
      $("lesson").scrollIntoView({ block: "nearest" });
    } finally {
      busy = false;
      render();
    }
    field.renew();
  });
}

/** Teach a text that is finished, if the user has switched that on. */
export const finish = (text) => model.learns && learnsFinished() && teach(text);

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
    if (learnt) await countWords();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // without a count nothing is said of it
    $("wipe").hidden = false;
  }
});

/** Return the places of a text: at the start of a word, and, in a long one, after letters that begin it. */
function places(text) {
  const found = [...text.matchAll(WORD)].slice(-MOST_WORDS);
  return found.flatMap(({ 0: word, index }) => {
    const ends = word.length > BEGUN + 1 ? [index, index + BEGUN] : [index];
    return ends.map((end) => ({ prefix: text.slice(0, end), word, index }));
  });
}

/** Return the suggestions at each place of a text. */
async function suggestionsIn(text, model) {
  const found = [];
  for (const { prefix } of places(text)) {
    const { suggestions } = await suggest({ model, prefix, k: SUGGESTED, correct: false });
    found.push(suggestions.map((suggestion) => suggestion.text));
  }
  return found;
}

/** Return paragraphs that say what was learnt: a word, and what was suggested before and after. */
function lines({ text, before, after, bits = [] }) {
  const cost = ({ word, index }) => sum(bits.slice([...text.slice(0, index)].length).slice(0, [...word].length));
  const changed = places(text)
    .map((place, i) => ({ ...place, before: before[i], after: after[i] }))
    .filter((place) => place.after.includes(place.word) && !place.before.includes(place.word))
    .sort((a, b) => cost(b) - cost(a) || !a.before.length - !b.before.length || a.prefix.length - b.prefix.length)[0];
  const head = element("p", { className: "named" }, changed ? message("learntFrom", changed) : message("learntText"));
  if (!changed) return [head];
  const context = changed.prefix.split(/\s+/u).slice(-3).join(" ") + "… ";
  const both = ["before", "after"].map((when) => {
    const words = changed[when].map((word) => (word === changed.word ? element("b", {}, word) : word));
    const listed = words.length ? words.flatMap((word, i) => (i ? [" · ", word] : [word])) : [message("nothing")];
    const said = element("bdi", {}, context, ...listed); // directed as the text is
    return element("p", { className: when }, element("span", {}, message(when)), said);
  });
  return [head, ...both];
}
