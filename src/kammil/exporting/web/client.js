// Models, each in a worker of its own. Requests wait in line, and one that is aborted leaves it: the latest wins.

import { ApiError } from "./ui/errors.js";

const LOADING = 300_000; // milliseconds, after which a model is too slow
const FOLDER = import.meta.url.replace(/[^/]*$/, "");
const IS_BUNDLED = !/^https?:.*\/client\.js$/.test(import.meta.url);
const MODULE = { type: "module" };
let policy;
const lines = new Map(); // by the model's address

/** Return a function that asks the model in a folder, by default the one beside this module: a method of worker.js, what
 * it takes, and an AbortSignal. The model is loaded when it is first asked. */
export function connect(folder = `${FOLDER}model`) {
  const url = new URL(`${folder}`.replace(/\/?$/, "/"), document.baseURI).href;
  if (!lines.has(url)) lines.set(url, createLine(url));
  return lines.get(url);
}

/** The address of a script of this folder, by its name, for which the policy `kammil` vouches where pages want that:
 * `require-trusted-types-for`. */
export function trusted(name) {
  try {
    policy ??= globalThis.trustedTypes?.createPolicy("kammil", { createScriptURL: (name) => FOLDER + name });
  } catch {} // the page allows others alone
  return policy?.createScriptURL(name) ?? FOLDER + name;
}

// Bundlers find a worker's file by this form alone.
const createWorker = () =>
  IS_BUNDLED ? new Worker(new URL("./worker.js", import.meta.url), MODULE) : new Worker(trusted("worker.js"), MODULE);

function createLine(url) {
  let worker = null, last = Promise.resolve();

  const answered = (request) =>
    new Promise((resolve, reject) => {
      const settle = (result, message, isUnreachable) => {
        clearTimeout(timer);
        if (isUnreachable) {
          worker?.terminate(); // with what it holds; the next request starts another
          worker = null;
        }
        if (message === undefined) resolve(result);
        else reject(new ApiError(isUnreachable ? "unreachable" : "refused", message));
      };
      const timer = worker ? 0 : setTimeout(() => settle(null, "the model takes too long", true), LOADING);
      try {
        worker ??= createWorker(); // not of another origin
        worker.onmessage = ({ data }) => settle(...data);
        worker.onerror = () => settle(null, "worker.js does not start", true); // its files cannot be read
        worker.postMessage(request); // nothing that cannot be copied
      } catch (error) {
        settle(null, error.message, !worker);
      }
    });
  return (method, body, signal) =>
    new Promise((resolve, reject) => {
      const leave = () => reject(signal.reason);
      signal?.addEventListener("abort", leave);
      last = last.then(() => (signal?.aborted ? leave() : answered([url, method, body]).then(resolve, reject)));
    });
}
