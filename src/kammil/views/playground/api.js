// Requests to this server and to no other; every path is relative to the page.

import { ApiError } from "./errors.js";
import { browserName } from "./storage.js";

export const HERE = false; // whether the model runs in this browser
let taught = []; // since the page was loaded: a server does not hand texts out
/** Return the learnt texts that are known here. */
export const learntTexts = async (model) => taught.filter((one) => one.model === model).map(({ text }) => text);

let key = "";
let told = () => {};
// Identifies this browser to the server, which caches the states of its text, and can forget what it taught.
const session = browserName();

/** Send this key with every request from now on. */
export function setKey(value) {
  key = value;
}

/** Call a listener when the server has forgotten what it was taught here. */
export const onForgotten = (listener) => (told = listener);

/** Wait for what comes over the network. */
const reached = (promise) =>
  promise.catch(() => {
    throw new ApiError("unreachable");
  });

async function request(method, path, body, signal) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: "Bearer " + key }) };
  const response = await reached(fetch(path, { method, headers, body: body && JSON.stringify(body), signal }));
  if (response.ok) return response;
  const { message = String(response.status), code } = (await response.json().catch(() => null))?.error ?? {};
  if (response.status === 410) {
    await forget(body?.model ?? new URLSearchParams(path.split("?")[1]).get("model")); // as it asks for
    told();
    return request(method, path, body, signal);
  }
  if (code === "no_room") throw new ApiError("noRoom", message);
  if (response.status === 401) throw new ApiError(key ? "wrongKey" : "key", message);
  if (response.status === 429 || response.status === 503)
    throw new ApiError("busy", message, Number(response.headers.get("Retry-After")) || 1);
  throw new ApiError("refused", message);
}

const requestJson = async (...parameters) => (await request(...parameters)).json();
const post = (path, body, signal) => requestJson("POST", path, { session, ...body }, signal);
const learntBy = (method, model) => requestJson(method, "v1/learn?" + new URLSearchParams({ session, model }));

export const listModels = () => requestJson("GET", "v1/models");
/** Return one completion as a whole: its `text`, and whether it is a `stock` phrase. */
export const complete = async (body, signal) => (await post("v1/completions", body, signal)).choices[0];
export const suggest = (body, signal) => post("v1/suggest", body, signal);
export const score = (body, signal) => post("v1/score", body, signal);
export const countLearnt = (model) => learntBy("GET", model);

export async function learn(body) {
  const answer = await post("v1/learn", { private: true, ...body });
  taught.push(body);
  return answer;
}

export function forget(model) {
  taught = taught.filter((one) => one.model !== model);
  return learntBy("DELETE", model);
}

/** Return texts and the bits of their characters for a model without what it learnt here. */
export async function unlearnt(texts, model) {
  const scores = [];
  for (const text of texts) scores.push(await post("v1/score", { model, text, session: undefined }));
  return scores.map(({ text, characters }) => ({ text, bits: characters.map(({ bits }) => bits) }));
}

/** Yield the choices of a completion while it is generated. */
export async function* streamCompletion(body, signal) {
  const response = await request("POST", "v1/completions", { session, ...body, stream: true }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let incomplete = "";
  for (let part; !(part = await reached(reader.read())).done; ) {
    const lines = (incomplete + part.value).split(/\r?\n/);
    incomplete = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const data = line.slice(5).trim();
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new ApiError("refused", event.error.message);
      yield* event.choices;
    }
  }
}
