// Debounced requests: one is sent when typing pauses, aborts the one before, and stale answers are dropped.

import { ApiError } from "./errors.js";

/** Wait, or reject if the signal is aborted meanwhile. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/**
 * @param {number} delay milliseconds without a new question before the request is sent
 * @param {(question: any, signal: AbortSignal) => Promise<any>} send
 * @param {(answer: any, question: any) => void} onAnswer
 * @param {(error: ApiError | null) => void} report called with an error, or with null after a success
 * @returns {{(question: any): void, cancel(): void}}
 */
export function debounced(delay, send, onAnswer, report) {
  let timer = 0;
  let latest = new AbortController();
  const cancel = () => {
    clearTimeout(timer);
    latest.abort();
  };
  const schedule = (question, milliseconds) => {
    cancel();
    timer = setTimeout(async () => {
      const controller = (latest = new AbortController());
      try {
        const answer = await send(question, controller.signal);
        if (controller.signal.aborted) return;
        report(null);
        onAnswer(answer, question);
      } catch (error) {
        if (controller.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        error.retries = error.kind === "busy";
        report(error);
        if (error.retries) schedule(question, 1000 * error.retryAfter);
      }
    }, milliseconds);
  };
  return Object.assign((question) => schedule(question, delay), { cancel });
}
