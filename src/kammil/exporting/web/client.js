// Models, each in a worker of its own, by promises. Requests wait in line, and one that is aborted leaves it: the latest wins.

import { ApiError } from "./ui/errors.js";

const LOADING = 300_000; // milliseconds, after which a model is too slow
const lines = new Map(); // by the model's address

/** Return the model in a folder, by default the one beside this module, as promises; it is loaded when first asked. */
export function connect(folder = import.meta.url.replace(/[^/]*$/, "model")) {
  const url = new URL(`${folder}`.replace(/\/?$/, "/"), document.baseURI).href;
  if (!lines.has(url)) lines.set(url, createLine());
  const call = (method, signal, ...parameters) => lines.get(url)([url, method, ...parameters], signal);
  return {
    /** Answer a request as `POST /v1/suggest` of a server does: {suggestions, phrase}. */
    suggest: (request, signal) => call("suggest", signal, request),
    reading: (text, signal) => call("reading", signal, text),
    complete: (text, options, signal) => call("complete", signal, text, options),
    score: (text, given, top, signal) => call("score", signal, text, given, top),
    /** Learn a text, which the browser keeps for all pages of this origin; return all that was learnt. */
    learn: (text) => call("learn", null, text),
    /** Undo one `learn` of the same text; return what is left. */
    forget: (text) => call("forget", null, text),
    /** Forget everything. */
    wipe: () => call("wipe", null),
    /** Return the learnt texts, the oldest first. */
    learnt: () => call("learnt", null),
  };
}

function createLine() {
  const line = [];
  let worker = null, running = null, timer = 0;

  const send = () => {
    if (running || !line.length) return;
    running = line.shift();
    try {
      worker ??= start(); // not where its file is of another origin
      worker.postMessage(running.request); // nothing that cannot be copied
    } catch (error) {
      settle(null, error.message, !worker);
    }
  };
  const start = () => {
    const started = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    started.onmessage = ({ data }) => settle(...data);
    started.onerror = () => settle(null, "worker.js does not start", true); // its files cannot be read
    timer = setTimeout(() => settle(null, "the model takes too long", true), LOADING);
    return started;
  };
  const settle = (result, message, isUnreachable) => {
    const { resolve, reject } = running;
    clearTimeout(timer);
    running = null;
    if (isUnreachable) {
      worker?.terminate(); // with what it holds; the next request starts another
      worker = null;
    }
    if (message === undefined) resolve(result);
    else reject(new ApiError(isUnreachable ? "unreachable" : "refused", message));
    send();
  };
  return async (request, signal) => {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const entry = { request, resolve, reject };
      signal?.addEventListener("abort", () => {
        if (line.includes(entry)) line.splice(line.indexOf(entry), 1);
        reject(signal.reason);
      });
      line.push(entry);
      send();
    });
  };
}
