// Requests to this server and to no other; every path is relative to the page.

import { visit } from "./storage.js";

/** What went wrong: `unreachable`, `busy`, `key` (one is asked for) or `refused`, and the server's own sentence. */
export class Problem extends Error {
  constructor(kind, message = "", wait = 0) {
    super(message);
    Object.assign(this, { kind, wait });
  }
}

let key = "";
/** Names this tab to the server, which keeps what it has read of a text, and knows what it has to wipe. */
export const session = visit();

/** Send this key from now on. */
export function unlock(secret) {
  key = secret;
}

async function answer(method, path, body, signal) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: "Bearer " + key }) };
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreachable");
  }
  if (response.ok) return response;
  const message = (await response.json().catch(() => null))?.error?.message ?? String(response.status);
  if (response.status === 401) throw new Problem("key", message);
  if (response.status === 429 || response.status === 503)
    throw new Problem("busy", message, Number(response.headers.get("Retry-After")) || 1);
  throw new Problem("refused", message);
}

const json = async (...request) => (await answer(...request)).json();

export const models = () => json("GET", "v1/models");
export const suggest = (body, signal) => json("POST", "v1/suggest", { session, ...body }, signal);
export const score = (body, signal) => json("POST", "v1/score", body, signal);
export const learn = (body) => json("POST", "v1/learn", { session, ...body });
export const wipe = (model) => json("DELETE", "v1/learn?" + new URLSearchParams({ session, model }));

/** The choices of a completion as they are written: an asynchronous iterator. */
export async function* stream(body, signal) {
  const response = await answer("POST", "v1/completions", { ...body, stream: true }, signal);
  let rest = "";
  for await (const text of texts(response.body.getReader(), signal)) {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const data = line.slice(5).trim();
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new Problem("refused", event.error.message);
      yield* event.choices;
    }
  }
}

async function* texts(reader, signal) {
  const decoder = new TextDecoder();
  try {
    for (let part; !(part = await reader.read()).done; ) yield decoder.decode(part.value, { stream: true });
  } catch (error) {
    if (error.name === "AbortError" || signal?.aborted) throw error;
    throw new Problem("unreachable");
  }
}
