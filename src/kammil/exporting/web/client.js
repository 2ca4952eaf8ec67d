// Models, each in a worker of its own. Requests wait in line, and one that is aborted leaves it: the latest wins.

import { ApiError } from "./ui/errors.js";

const LOADING = 300_000; // milliseconds, after which a model is too slow
const lines = new Map(); // by the model's address

/** Return a function that asks the model in a folder, by default the one beside this module: a method of worker.js, what it
 * takes, and an AbortSignal. The model is loaded when it is first asked. */
export function connect(folder = import.meta.url.replace(/[^/]*$/, "model")) {
  const url = new URL(`${folder}`.replace(/\/?$/, "/"), document.baseURI).href;
  if (!lines.has(url)) lines.set(url, createLine(url));
  return lines.get(url);
}

function createLine(url) {
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
  return async (method, body, signal) => {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const entry = { request: [url, method, body], resolve, reject };
      signal?.addEventListener("abort", () => {
        if (line.includes(entry)) line.splice(line.indexOf(entry), 1);
        reject(signal.reason);
      });
      line.push(entry);
      send();
    });
  };
}
