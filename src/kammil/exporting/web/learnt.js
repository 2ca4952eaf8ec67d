// Texts learnt of the user, which the browser keeps for all pages of this origin, in IndexedDB.

import { PROFILE_LIMITS } from "./ui/facts.js";

const [MAX_TEXTS, , MAX_TOTAL] = PROFILE_LIMITS; // as of Python's profiles
let channel; // to other pages
let texts = []; // where the browser keeps nothing, until the page is left
let stale = false;
try {
  channel = new BroadcastChannel("kammil");
  channel.onmessage = () => (stale = true);
} catch {} // where the browser keeps nothing

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Storage that is full says so only in the end. */
const ended = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });

async function store() {
  const opening = indexedDB.open("kammil", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("learnt");
  const base = await done(opening), store = base.transaction("learnt", "readwrite").objectStore("learnt");
  base.close(); // once the transaction ends: no page waits for another
  return store;
}

/** Change the list of texts by a function; return the new one. */
export async function change(edit) {
  const kept = await store().catch(() => null);
  const before = (kept ? await done(kept.get("texts")) : texts) ?? [];
  texts = edit(before);
  stale = false;
  if (texts === before) return texts;
  kept?.put(texts, "texts");
  if (kept) await ended(kept.transaction);
  channel?.postMessage(null);
  return texts;
}

/** Return whether another page has changed the list since. */
export const hasChanged = () => stale;

/** Return the texts that fit into a profile, without the oldest. */
export function newest(all) {
  let begin = Math.max(0, all.length - MAX_TEXTS);
  let total = all.slice(begin).reduce((sum, text) => sum + text.length, 0);
  while (total > MAX_TOTAL) total -= all[begin++].length;
  return all.slice(begin);
}
