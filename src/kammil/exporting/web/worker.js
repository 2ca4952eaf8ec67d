// A model in a thread of its own: it answers [folder, method, ...parameters] with [result], or with null, a message and
// whether the model could not be loaded, in order. A model that is loaded learns the kept texts again.

import { load } from "./kammil.js";
import { change, hasChanged, newest } from "./learnt.js";

const READ = 4_000, STEP = 2_000; // characters before the caret; the beginning moves by steps, since it costs a reading
let opening;

async function open(folder) {
  const model = await load(folder);
  return { model, session: model.session(), known: null };
}

/** Teach a model the texts that it lacks, and let it forget those that are gone. */
function sync(one, texts) {
  const counts = new Map(), { model } = one;
  for (const [some, step] of [[texts, 1], [one.known ?? [], -1]])
    for (const text of some) counts.set(text, (counts.get(text) ?? 0) + step);
  const some = [...counts].filter(([text]) => model.normalise(text).trim()); // the text rules leave nothing of others
  const times = (sign) => some.flatMap(([text, count]) => Array(Math.max(0, sign * count)).fill(text));
  model.learn(...times(1));
  model.forget(...times(-1));
  one.known = texts;
  return texts;
}

const edit = async (one, changed) => sync(one, await change(changed));
const methods = {
  suggest({ session }, { prefix, phrase = 0, ghost, model: _, allow_offensive: allowOffensive = false, ...options }) {
    session.update(prefix.slice(Math.max(0, STEP * Math.floor((prefix.length - READ) / STEP))));
    return {
      suggestions: session.suggest({ ...options, allowOffensive }),
      phrase: phrase ? session.phrase({ words: phrase, ...(ghost && { ghost }), allowOffensive }) : null,
    };
  },
  reading: ({ session }, text) => session.update(text).reading(),
  complete: ({ session }, text, options) => session.update(text).complete(options),
  score: ({ model }, ...parameters) => model.score(...parameters),
  learn: (one, text) => edit(one, (texts) => newest([...texts, one.model.checked(text)])),
  forget: (one, text) =>
    edit(one, (texts) => {
      const at = texts.lastIndexOf(text.trim());
      if (at < 0) throw new Error("the text was not learnt, so it cannot be forgotten");
      return texts.toSpliced(at, 1);
    }),
  wipe: (one) => edit(one, () => []),
  learnt: ({ known }) => known,
};

onmessage = async ({ data: [folder, method, ...parameters] }) => {
  let one = null;
  try {
    one = await (opening ??= open(folder));
    if (!one.known || hasChanged()) await edit(one, (texts) => texts);
    postMessage([await methods[method](one, ...parameters)]);
  } catch (error) {
    postMessage([null, error.message, !one]);
  }
};
