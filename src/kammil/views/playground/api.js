// Requests to this server and to no other; every path is relative to the page.

import { ApiError } from "./errors.js";
import { browserName } from "./storage.js";

export const HERE = false; // whether the model runs in this browser
/** Return the learnt texts; a server does not hand them out. */
export const learntTexts = async () => [];

let key = "";
// Identifies this browser to the server, which caches the states of its text, and can forget what it taught.
const session = browserName();

/** Send this key with every request from now on. */
export function setKey(value) {
  key = value;
}

async function request(method, path, body, signal) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: "Bearer " + key }) };
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("unreachable");
  }
  if (response.ok) return response;
  const message = (await response.json().catch(() => null))?.error?.message ?? String(response.status);
  if (response.status === 401) throw new ApiError("key", message);
  if (response.status === 429 || response.status === 503)
    throw new ApiError("busy", message, Number(response.headers.get("Retry-After")) || 1);
  throw new ApiError("refused", message);
}

const requestJson = async (...parameters) => (await request(...parameters)).json();

/** Return one completion as a whole: its `text`, and whether it is a `stock` phrase. */
export async function complete(body, signal) {
  return (await requestJson("POST", "v1/completions", { session, ...body }, signal)).choices[0];
}
export const listModels = () => requestJson("GET", "v1/models");
export const suggest = (body, signal) => requestJson("POST", "v1/suggest", { session, ...body }, signal);
export const score = (body, signal) => requestJson("POST", "v1/score", { session, ...body }, signal);
export const learn = (body) => requestJson("POST", "v1/learn", { session, private: true, ...body });
export const countLearnt = (model) => requestJson("GET", "v1/learn?" + new URLSearchParams({ session, model }));
export const forget = (model) => requestJson("DELETE", "v1/learn?" + new URLSearchParams({ session, model }));

/** Yield the choices of a completion while it is generated. */
export async function* streamCompletion(body, signal) {
  const response = await request("POST", "v1/completions", { session, ...body, stream: true }, signal);
  let incomplete = "";
  for await (const text of decodeStream(response.body.getReader(), signal)) {
    const lines = (incomplete + text).split(/\r?\n/);
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

async function* decodeStream(reader, signal) {
  const decoder = new TextDecoder();
  try {
    for (let part; !(part = await reader.read()).done; ) yield decoder.decode(part.value, { stream: true });
  } catch (error) {
    if (error.name === "AbortError" || signal?.aborted) throw error;
    throw new ApiError("unreachable");
  }
}
