// What stands on both sides of the seam between a typed text and its ghost: strings only, nothing of the page.

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** `rtl` or `ltr`, by the first letter of the last line; `otherwise` where it has none. */
export function directionOf(text, otherwise) {
  const letter = text.slice(text.lastIndexOf("\n") + 1).match(/\p{L}/u);
  if (!letter) return otherwise;
  return RIGHT_TO_LEFT.test(letter[0]) ? "rtl" : "ltr";
}

/** The first word of a ghost, with the space before it. */
export function firstWord(ghost) {
  return ghost.match(/^\s*\S+/u)?.[0] ?? ghost;
}

/** A text without the word that its length has cut, unless there is no other, and without a space at its end. */
export function wholeWords(text) {
  return text.replace(/\S+$/u, "").trimEnd() || text.trimEnd();
}

/** What is left of a ghost that stood after `before`, now that the text is `after`; empty where they disagree. */
export function leftOver(before, after, ghost) {
  return after.startsWith(before) && (before + ghost).startsWith(after) ? (before + ghost).slice(after.length) : "";
}

/** The end of a text, from a word's beginning on, so that it fits before what is shown after it. */
export function tail(text, most = 60) {
  if (text.length <= most) return text;
  return "…" + text.slice(-most).replace(/^\S*\s+/u, "");
}
