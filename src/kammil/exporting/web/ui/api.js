// The functions of `views/playground/api.js`, answered by the model in this browser instead of a server.

import { connect } from "../client.js";
import { ApiError } from "./errors.js";

export const HERE = true; // whether the model runs in this browser

const SITE = import.meta.url.replace(/[^/]*\/[^/]*$/, ""); // no `new URL`, whose file a bundler would look for
const model = connect();

/** There is nobody who asks for a key. */
export function setKey() {}

export async function listModels() {
  const response = await fetch(SITE + "model/about.json").catch(() => ({ ok: false }));
  if (!response.ok) throw new ApiError("unreachable");
  // Without a network, too, once everything is here.
  model.learnt().then(() => navigator.serviceWorker?.register(SITE + "sw.js")).catch(() => {});
  return { data: [await response.json()] };
}

export const suggest = model.suggest;
export const learntTexts = () => model.learnt();
export const learn = async ({ text }) => ({ learnt: (await model.learn(text)).length });
export const countLearnt = async () => ({ learnt: (await model.learnt()).length });
export const forget = () => model.wipe();

export async function score({ text: given, top }, signal) {
  const { text, bits, alternatives } = await model.score(given, "", top, signal);
  const of = [...text], sum = bits.slice(0, of.length).reduce((all, one) => all + one, 0);
  return {
    text,
    bits_per_character: of.length ? sum / of.length : null,
    characters: bits.map((cost, i) => ({ character: of[i] ?? "", bits: cost, alternatives: alternatives[i] })),
  };
}

/** Yield the choices of a completion, each as a whole. */
export async function* streamCompletion(body, signal) {
  const { prompt: typed, n, seed, temperature, max_tokens: length, allow_offensive: allowOffensive } = body;
  const { reading, replaces } = await model.reading(typed, signal); // of Arabic in Latin letters
  const prompt = replaces ? [...typed].slice(0, -replaces).join("") + reading : typed;
  for (let index = 0; index < n; index++) {
    const options = { length, temperature, seed: seed + index, allowOffensive };
    const { text, finishReason } = await model.complete(prompt, options, signal);
    const isCut = finishReason === "length"; // perhaps within a word
    const shown = isCut ? text.replace(/(?<=\S)\s+\S*$/u, "") : text;
    yield { index, text: shown, reading, replaces, finish_reason: finishReason };
  }
}

export async function complete(body, signal) {
  return (await streamCompletion({ ...body, n: 1 }, signal).next()).value;
}
