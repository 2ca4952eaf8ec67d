// Models in a worker, by promises. Requests wait in line, and one that is aborted leaves it: the latest wins.

import { ApiError } from "./ui/errors.js";

const line = [];
let worker = null, running = null;

/** Return the model in a folder, by default the one beside this module, as promises; it is loaded when first asked. */
export function connect(folder = import.meta.url.replace(/[^/]*$/, "model")) {
  const url = new URL(`${folder}`.replace(/\/?$/, "/"), document.baseURI).href;
  const call = (method, signal, ...parameters) => ask([url, method, ...parameters], signal);
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

async function ask(request, signal) {
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
}

function send() {
  if (running || !line.length) return;
  worker ??= start();
  running = line.shift();
  worker.postMessage(running.request);
}

function start() {
  const started = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  started.onmessage = ({ data: [result, message, isUnreachable] }) => settle(result, message, isUnreachable);
  started.onerror = () => {
    worker = null; // its files cannot be read
    settle(null, "worker.js does not start", true);
  };
  return started;
}

function settle(result, message, isUnreachable) {
  const { resolve, reject } = running;
  running = null;
  if (message === undefined) resolve(result);
  else reject(new ApiError(isUnreachable ? "unreachable" : "refused", message));
  send();
}
