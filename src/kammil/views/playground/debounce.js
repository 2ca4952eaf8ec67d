// Requests that report what goes wrong, and debounced ones.

import { ApiError } from "./errors.js";

/** Wait, or reject if the signal is aborted meanwhile. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Do an action, and report its `ApiError`, or null after a success; where an error is to be `retried`, do it again. */
export async function reporting(report, action, signal, retried = () => false) {
  try {
    await action();
    if (!signal?.aborted) report(null);
  } catch (error) {
    if (signal?.aborted) return;
    if (!(error instanceof ApiError)) throw error;
    error.retries = retried(error);
    report(error);
    if (!error.retries) return;
    await pause(1000 * (error.retryAfter || 2), signal).catch(() => {});
    if (!signal?.aborted) await reporting(report, action, signal, retried);
  }
}

/** Return a function that sends a question once no other has come for `delay` milliseconds, and aborts the one before;
 * stale answers are dropped. Its `cancel` ends the last. */
export function debounced(delay, send, onAnswer, report) {
  let timer = 0;
  let latest = new AbortController();
  const cancel = () => {
    clearTimeout(timer);
    latest.abort();
  };
  const schedule = (question) => {
    cancel();
    const { signal } = (latest = new AbortController());
    const ask = async () => {
      const answer = await send(question, signal);
      if (!signal.aborted) onAnswer(answer, question);
    };
    timer = setTimeout(() => reporting(report, ask, signal, ({ kind }) => kind === "busy"), delay);
  };
  return Object.assign(schedule, { cancel });
}
