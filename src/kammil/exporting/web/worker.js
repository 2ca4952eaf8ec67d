// A model in a thread of its own: it answers [folder, method, body] with [result], or with null, a message and whether
// the model could not be loaded, in order. A model that is loaded learns the kept texts again.

import { lacking } from "./contexts.js";
import { load } from "./kammil.js";
import { change, hasChanged, newest } from "./learnt.js";

const READ = 4_000, STEP = 2_000; // characters before the caret; the beginning moves by steps, since it costs a reading
let opening;

async function open(folder) {
  const model = await load(folder);
  return { model, session: model.session() };
}

/** Edit the list of learnt texts. */
const edit = async (one, changed) => know(one, await change(changed));

/** Teach a model the texts that it lacks, and let it forget those that are gone. */
function know(one, texts) {
  const { model, known = [] } = one;
  const some = (texts) => texts.filter((text) => model.normalise(text).trim()); // the text rules leave nothing of others
  model.learn(...some(lacking(texts, known)));
  model.forget(...some(lacking(known, texts)));
  return (one.known = texts);
}

/** The answers of a server, as the page reads them; learning returns all texts that were learnt. */
const methods = {
  suggest({ session }, { prefix, context = [], phrase = 0, ghost, model: _, allow_offensive: allowOffensive = false, ...options }) {
    session.context = context;
    session.update(prefix.slice(Math.max(0, STEP * Math.floor((prefix.length - READ) / STEP))));
    return {
      suggestions: session.suggest({ ...options, allowOffensive }),
      phrase: phrase ? session.phrase({ words: phrase, ...(ghost && { ghost }), allowOffensive }) : null,
    };
  },
  complete({ session }, { prompt, context = [], seed, temperature, max_tokens: length, allow_offensive: allowOffensive }) {
    session.context = context;
    const { reading, replaces, silent } = session.update(prompt).reading({ allowOffensive }); // of Latin letters
    if (silent) return { text: "", reading, replaces };
    if (replaces) session.update([...prompt].slice(0, -replaces).join("") + reading);
    const { text, finishReason } = session.complete({ length, temperature, seed, allowOffensive });
    const isCut = finishReason === "length"; // perhaps within a word
    return { text: isCut ? text.replace(/(?<=\S)\s+\S*$/u, "") : text, reading, replaces };
  },
  score({ model }, { text: given, top, context }) {
    const { text, bits, alternatives } = model.score(given, "", top, context);
    const of = [...text], sum = bits.slice(0, of.length).reduce((all, one) => all + one, 0);
    return {
      text,
      bits_per_character: of.length ? sum / of.length : null,
      characters: bits.map((cost, i) => ({ character: of[i] ?? "", bits: cost, alternatives: alternatives[i] })),
    };
  },
  learn: (one, { text }) => edit(one, (texts) => newest([...texts, one.model.checked(text)])),
  wipe: (one) => edit(one, () => []),
  learnt: ({ known }) => known,
  unlearnt(one, texts) {
    const { known } = one;
    know(one, []);
    const scores = texts.map((text) => one.model.score(text));
    know(one, known);
    return scores;
  },
};

onmessage = async ({ data: [folder, method, body] }) => {
  let one = null;
  try {
    one = await (opening ??= open(folder));
    if (!one.known || hasChanged()) await edit(one, (texts) => texts);
    postMessage([await methods[method](one, body)]);
  } catch (error) {
    postMessage([null, error.message, !one]);
  }
};
