// The latest question alone is answered: one waits until typing rests, aborts the one before, and drops stale answers.

import { Problem } from "./api.js";

/**
 * @param {number} wait milliseconds of rest before a question is asked
 * @param {(question: any, signal: AbortSignal) => Promise<any>} ask
 * @param {(answer: any, question: any) => void} take
 * @param {(problem: Problem | null) => void} report what went wrong, or null when it goes well again
 * @returns {{(question: any): void, cancel(): void}}
 */
export function latest(wait, ask, take, report) {
  let timer = 0;
  let running = new AbortController();
  const cancel = () => {
    clearTimeout(timer);
    running.abort();
  };
  const put = (question, delay) => {
    cancel();
    timer = setTimeout(async () => {
      const own = (running = new AbortController());
      try {
        const answer = await ask(question, own.signal);
        if (own.signal.aborted) return;
        report(null);
        take(answer, question);
      } catch (error) {
        if (own.signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        report(error);
        if (error.kind === "busy") put(question, 1000 * error.wait);
      }
    }, delay);
  };
  return Object.assign((question) => put(question, wait), { cancel });
}
