// The functions of `views/playground/api.js`, answered by the model in this browser instead of a server.

import { connect, trusted } from "../client.js";
import { ApiError } from "./errors.js";

export const HERE = true; // whether the model runs in this browser

const SITE = import.meta.url.replace(/[^/]*\/[^/]*$/, ""); // no `new URL`, whose file a bundler would look for
const ask = connect();

/** There is nobody who asks for a key. */
export function setKey() {}
/** There is nobody else who needs the room. */
export function onForgotten() {}

export async function listModels() {
  const response = await fetch(SITE + "model/about.json").catch(() => ({ ok: false }));
  if (!response.ok) throw new ApiError("unreachable");
  // Without a network, too, once everything is here.
  learntTexts().then(() => navigator.serviceWorker?.register(trusted("sw.js"))).catch(() => {});
  return { data: [await response.json()] };
}

export const suggest = (body, signal) => ask("suggest", body, signal);
export const complete = (body, signal) => ask("complete", body, signal);
export const score = (body, signal) => ask("score", body, signal);
export const learntTexts = () => ask("learnt");
export const unlearnt = (texts) => ask("unlearnt", texts);
export const learn = async (body) => ({ learnt: (await ask("learn", body)).length });
export const countLearnt = async () => ({ learnt: (await learntTexts()).length });
export const forget = () => ask("wipe");

/** Yield the choices of a completion, each as a whole. */
export async function* streamCompletion({ n, seed, ...body }, signal) {
  for (let index = 0; index < n; index++) yield { index, ...(await complete({ ...body, seed: seed + index }, signal)) };
}
