// The text that is typed, and a ghost that goes on with it.
//
// A plain text area takes the typing: the browser's own caret, undo, dictation, spelling and input methods. While there
// is a ghost a mirror of it is seen instead, in which the text and the ghost are one run, so that letters join across the
// seam; the ghost is only coloured. The mirror draws the caret, because a letter that is joined is narrower than the
// same letter at the end of a word. It also gives the text area its height.
//
// A word that is accepted gets a space, which is the page's own until something else is typed: it gives way to a comma.

import { direction } from "./i18n.js";
import { directionOf, firstWord, leftOver } from "./ghost.js";
import { givesWay, spaceAfter } from "./spacing.js";

/**
 * @param {{field: HTMLTextAreaElement, mirror: HTMLElement, caret: HTMLElement}} parts
 * @param {{typed(text: string, ghost: string): void, shown(ghost: string): void, accepted(part: string): void,
 *   dismissed(): void, down(): void}} heard
 */
export function editor({ field, mirror, caret }, heard) {
  const seen = document.createTextNode("");
  const tail = document.createElement("span"); // where a browser cannot colour a part of a text node
  mirror.append(seen, tail);
  const able = "highlights" in CSS;
  const touch = matchMedia("(pointer: coarse)");
  let text = "";
  let ghost = "";
  let composing = false;
  let told = "";
  let spaced = ""; // the whole text when its last character was a space of ours

  // An input method's letters are not typed yet; on-screen keyboards, though, compose every word.
  const settled = () => !composing || touch.matches;
  const atEnd = () => field.selectionStart === field.value.length && field.selectionEnd === field.value.length;
  const visible = () => (settled() && atEnd() ? ghost : "");
  const side = () => directionOf(text + ghost, direction());

  const render = () => {
    const shown = visible();
    field.dir = mirror.dir = /\p{L}/u.test(text) ? "auto" : direction();
    field.parentElement.classList.toggle("ghosted", shown !== "");
    seen.data = text + (able ? shown : "") + (!shown && /(^|\n)$/.test(text) ? "\u200b" : ""); // an empty line has height
    tail.textContent = able ? "" : shown;
    if (able) {
      const range = new Range();
      range.setStart(seen, text.length);
      range.setEnd(seen, text.length + shown.length);
      CSS.highlights.set("ghost", new Highlight(range));
    }
    place(shown);
    if (shown !== told) heard.shown((told = shown));
  };

  const place = (shown) => {
    caret.hidden = !shown || document.activeElement !== field;
    if (caret.hidden) return;
    const range = new Range();
    range.setStart(seen, text.length);
    const found = range.getClientRects();
    const at = found[found.length - 1] ?? range.getBoundingClientRect();
    const origin = field.parentElement.getBoundingClientRect();
    caret.style.setProperty("left", `${at.left - origin.left - field.parentElement.clientLeft}px`);
    caret.style.setProperty("top", `${at.top - origin.top - field.parentElement.clientTop}px`);
    caret.style.setProperty("height", `${at.height}px`);
    caret.getAnimations().forEach((blink) => (blink.currentTime = 0));
  };

  const changed = () => {
    ghost = leftOver(text, field.value, ghost);
    text = field.value;
    if (text.length < spaced.length) spaced = ""; // deleted: a space that is typed now is the writer's
    render();
    if (settled()) heard.typed(text, ghost);
  };

  const insert = (added) => {
    field.focus();
    // The one way to write into a field that the browser's undo knows of.
    if (document.execCommand("insertText", false, added)) return;
    field.setRangeText(added, field.selectionStart, field.selectionEnd, "end");
    changed();
  };
  const end = () => field.setSelectionRange(field.value.length, field.value.length);
  const write = (accepted) => {
    const space = spaceAfter(accepted);
    spaced = "";
    insert(accepted + space); // at once, so that one undo takes both back
    spaced = space ? field.value : "";
  };
  /** The space of ours at the end, if what is typed takes its place: chosen, so that it is written over. */
  const yields = (typed) => {
    if (!spaced || text !== spaced || !givesWay(typed)) return false;
    if (typed === " ") spaced = ""; // the writer's now
    field.setSelectionRange(text.length - 1, field.value.length);
    return true;
  };
  const accept = (part) => {
    if (!visible()) return;
    const accepted = part(ghost);
    write(accepted);
    heard.accepted(accepted);
  };
  const all = () => accept((whole) => whole);
  const word = () => accept(firstWord);
  const dismiss = () => {
    ghost = "";
    heard.dismissed();
    render();
  };

  field.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    const forward = side() === "rtl" ? "ArrowLeft" : "ArrowRight";
    const bare = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    const byWord = !event.shiftKey && !event.metaKey && event.ctrlKey !== event.altKey;
    let act = null;
    if (visible() && event.key === "Tab" && bare) act = all;
    if (visible() && event.key === forward && byWord) act = word;
    if (visible() && event.key === "Escape") act = dismiss;
    if (event.key === "ArrowDown" && bare && atEnd()) act = heard.down;
    if (!act) return;
    event.preventDefault();
    act();
  });
  field.addEventListener("beforeinput", (event) => {
    const typed = event.inputType === "insertLineBreak" ? "\n" : event.inputType.startsWith("insert") ? event.data : "";
    if (!typed || !event.cancelable || !atEnd() || !yields(typed)) return;
    event.preventDefault();
    insert(typed);
  });
  field.addEventListener("input", (event) => {
    if (event.inputType?.startsWith("history") && field.value === spaced) end(); // undo chooses our space: not to be typed over
    // What an on-screen keyboard composes cannot be held back: mended when it stands there.
    const typed = field.value.slice(text.length);
    if (event.isTrusted && settled() && typed && field.value.startsWith(text) && atEnd() && yields(typed)) insert(typed);
    else changed();
  });
  field.addEventListener("compositionstart", () => {
    composing = true;
    render();
  });
  field.addEventListener("compositionend", () => {
    composing = false;
    changed();
  });
  for (const kind of ["focus", "blur"]) field.addEventListener(kind, render);
  document.addEventListener("selectionchange", render);
  new ResizeObserver(() => place(visible())).observe(mirror);

  return {
    get text() {
      return text;
    },
    get direction() {
      return side();
    },
    all,
    word,
    dismiss,
    render,
    focus: () => field.focus(),
    /** Take a ghost that was asked for after `asked`, as far as it agrees with what was typed since. */
    offer(asked, offered) {
      const rest = leftOver(asked, text, offered);
      // What is shown stays: a longer one may only go on with it.
      if (!rest.startsWith(ghost)) return;
      ghost = rest;
      render();
    },
    /** Accept a word at the end. */
    append(word) {
      field.focus();
      end();
      write(word);
    },
    /** Write something else instead. */
    replace(whole) {
      field.focus();
      field.select();
      if (whole) insert(whole);
      else document.execCommand("delete");
    },
  };
}
