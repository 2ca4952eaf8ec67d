// String functions for ghost text; nothing here touches the page.

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** Return `rtl` or `ltr` by the first letter of the last line; `otherwise` if it has no letter. */
export function directionOf(text, otherwise) {
  const letter = text.slice(text.lastIndexOf("\n") + 1).match(/\p{L}/u);
  if (!letter) return otherwise;
  return RIGHT_TO_LEFT.test(letter[0]) ? "rtl" : "ltr";
}

const SCRIPTS = ["Arabic", "Latin", "Cyrillic", "Greek", "Hebrew", "Devanagari", "Han", "Hangul"];

/** Return the script of most letters of a text, of those that are known here; undefined if it has none of them. */
export function scriptOf(text) {
  const counts = SCRIPTS.map((name) => [text.match(new RegExp(`\\p{Script=${name}}`, "gu"))?.length ?? 0, name]);
  const [most, script] = counts.reduce((best, one) => (one[0] > best[0] ? one : best));
  return most ? script : undefined;
}

/** Return the rest of a ghost that followed `before`, now that the text is `after`; empty if the two disagree. */
export function remainingGhost(before, after, ghost) {
  return after.startsWith(before) && (before + ghost).startsWith(after) ? (before + ghost).slice(after.length) : "";
}

/** Return a suggestion after `before` as it is now that the text is `after`, with the number of UTF-16 units at its end
 * that it replaces; null if the two disagree. */
export function remainingSuggestion(before, after, suggestion) {
  if (!suggestion.replaces) {
    const completion = remainingGhost(before, after, suggestion.completion);
    return completion ? { ...suggestion, completion, replaced: 0 } : null;
  }
  const replaced = [...before].slice(-suggestion.replaces).join("").length;
  const typed = after.startsWith(before) ? after.slice(before.length) : null;
  if (typed === null || !suggestion.completion.slice(replaced).startsWith(typed)) return null;
  return { ...suggestion, replaced: replaced + typed.length };
}

/** Return the end of a text, from the start of a word, to be shown before a completion. */
export function endOf(text, length = 60) {
  if (text.length <= length) return text;
  return "…" + text.slice(-length).replace(/^\S*\s+/u, "");
}
