// The text field, and the ghost text that continues it.
//
// Typing goes into a plain text area: the browser's own caret, undo, dictation, spelling and input methods work. While
// there is a ghost, a mirror of the field is visible instead. It holds text and ghost in one text node, so that letters
// join across the seam; only the colour differs. The mirror draws the caret, because a joined letter is narrower than the
// same letter at the end of a word. It also gives the text area its height.
//
// An accepted word is followed by a space that the page has typed: an automatic space. It gives way to a comma that is
// typed next; once anything else is typed, it is an ordinary space.

import { pageDirection } from "./i18n.js";
import { directionOf, remainingGhost } from "./ghost.js";
import { givesWay, spaceAfter } from "./spacing.js";

const TAP = 6; // pixels beside a ghost that belong to it
const WATCH = 200; // milliseconds

/** Let a field have ghost text. A phrase is a stock phrase and the text that it was offered for: {before, text}. A page
 * need not give `onRender(ghost)`, `direction()` of a text without letters, `onlyFocused`, nor a `signal` that ends it. */
export function createEditor({ field, mirror, caret }, handlers) {
  const { signal } = handlers;
  const mirrorText = document.createTextNode("");
  mirror.append(mirrorText);
  const ghosts = "highlights" in CSS && (CSS.highlights.get("ghost") ?? new Highlight()); // of all fields
  if (ghosts) CSS.highlights.set("ghost", ghosts);
  let ghostRange = new Range();
  const on = (target, kind, listener) => target.addEventListener(kind, listener, { signal });
  const baseDirection = handlers.direction ?? pageDirection; // of a text without letters
  const coarsePointer = matchMedia("(pointer: coarse)");
  let text = "";
  let ghost = "";
  let phrase = null; // of which the ghost is what is left, if it is a stock phrase
  let composing; // undefined until there is input: a composition may have begun before
  let reportedGhost = "";
  let corrected = {}; // the whole text before a word of it was replaced, and where the word ended
  let textWithSpace = ""; // the whole text if it ends with an automatic space
  let prefix = ""; // what is to be continued, as of the last report
  const given = field.getAttribute("dir");

  // The letters of an input method are not typed yet. On-screen keyboards, though, compose every word.
  const isTyped = () => !composing || coarsePointer.matches;
  const caretAtEnd = () => field.selectionStart === field.value.length && field.selectionEnd === field.value.length;
  /** The text before the caret; null if nothing is to be offered there, as within a line. */
  const beforeCaret = () => {
    const { selectionStart: at, selectionEnd: end, value } = field;
    return at === end && field.matches(":read-write") && /^[^\S\n]*(\n|$)/.test(value.slice(at)) ? value.slice(0, at) : null;
  };
  const room = () => (field.maxLength < 0 ? Infinity : field.maxLength - field.value.length);
  const isMeant = () => field.matches(handlers.onlyFocused ? ":read-write:focus" : ":read-write");
  const mayShow = () => ghosts && isTyped() && caretAtEnd() && ghost.length <= room() && isMeant();
  const visibleGhost = () => (mayShow() ? ghost : ""); // or it looks typed
  const direction = () => directionOf(text + ghost, baseDirection());

  const rangeOf = (begin, end) => {
    const range = new Range();
    range.setStart(mirrorText, begin);
    range.setEnd(mirrorText, end);
    return range;
  };

  const render = () => {
    if (field.value !== text) return readField();
    const shown = visibleGhost();
    const isGiven = /^(ltr|rtl)$/i.test(given);
    field.dir = mirror.dir = isGiven ? given : /\p{L}/u.test(text) ? "auto" : baseDirection();
    for (const one of [field, mirror]) one.classList.toggle("ghosted", shown !== "");
    const lineFiller = !shown && /(^|\n)$/.test(text) ? "\u200b" : ""; // gives an empty line its height
    mirrorText.data = text + shown + lineFiller;
    if (ghosts) ghosts.delete(ghostRange);
    if (shown) ghosts.add((ghostRange = rangeOf(text.length, text.length + shown.length)));
    handlers.onRender?.(shown);
    placeCaret(shown);
    if (shown !== reportedGhost) handlers.onGhost((reportedGhost = shown), shown ? phrase : null);
  };

  const refresh = () => {
    render();
    lookAtCaret();
  };

  const placeCaret = (shown) => {
    caret.hidden = !shown || !field.matches(":focus");
    if (caret.hidden) return;
    const range = rangeOf(text.length, text.length);
    const rectangles = range.getClientRects();
    const position = rectangles[rectangles.length - 1] ?? range.getBoundingClientRect();
    const frame = mirror.parentElement;
    const origin = frame.getBoundingClientRect();
    const scale = origin.width / frame.offsetWidth || 1; // of a zoom or transform around it
    caret.style.setProperty("left", `${(position.left - origin.left) / scale - frame.clientLeft}px`);
    caret.style.setProperty("top", `${(position.top - origin.top) / scale - frame.clientTop}px`);
    caret.style.setProperty("height", `${position.height / scale}px`);
    caret.getAnimations().forEach((blink) => (blink.currentTime = 0));
  };

  const readField = () => {
    ghost = remainingGhost(text, field.value, ghost);
    text = field.value;
    if (text.length < textWithSpace.length) textWithSpace = ""; // deleted: a space typed now is an ordinary one
    render();
    if (isTyped() && !signal?.aborted) handlers.onInput(text);
    lookAtCaret(true);
  };
  const sync = () => field.value !== text && readField(); // a program may have changed it
  const lookAtCaret = (isNew) => {
    const before = beforeCaret();
    if ((!isNew && before === prefix) || !isTyped() || signal?.aborted) return;
    handlers.onPrefix((prefix = before), ghost);
    if (!isNew) render();
  };

  /** Focus the field. An input method's composition ends, or its next key would replace what is inserted; leaving the
   * field alone ends it, of which the page does not hear. */
  const focus = () => {
    const hide = (event) => event.stopImmediatePropagation();
    const kinds = composing !== false && field.matches(":focus") ? ["blur", "focusout", "focus", "focusin"] : [];
    for (const kind of kinds) addEventListener(kind, hide, true);
    if (kinds.length) field.blur();
    field.focus();
    for (const kind of kinds) removeEventListener(kind, hide, true);
  };
  const insert = (added) => {
    focus();
    if (!field.matches(":read-write")) return;
    added = added.slice(0, room() + field.selectionEnd - field.selectionStart);
    // The only way to change a field that the browser's undo can take back.
    if (document.execCommand("insertText", false, added)) return;
    field.setRangeText(added, field.selectionStart, field.selectionEnd, "end");
    readField();
  };
  const moveToEnd = () => field.setSelectionRange(field.value.length, field.value.length);
  const insertWord = (word) => {
    const space = spaceAfter(word);
    textWithSpace = "";
    insert(word + space); // in one step, so that one undo takes both back
    textWithSpace = space && caretAtEnd() && field.value.endsWith(space) ? field.value : "";
  };
  /** Select the automatic space at the end if what is typed replaces it; return whether it does. */
  const selectAutomaticSpace = (typed) => {
    if (!textWithSpace || text !== textWithSpace || !givesWay(typed)) return false;
    if (typed === " ") textWithSpace = ""; // an ordinary space from now on
    field.setSelectionRange(text.length - 1, field.value.length);
    return true;
  };
  const accept = (part) => {
    sync();
    if (!visibleGhost()) return;
    const accepted = part(ghost);
    insertWord(accepted);
    handlers.onAccept(accepted, ghost ? null : phrase);
  };
  const acceptAll = () => accept((all) => all);
  const acceptWord = () => accept((all) => all.match(/^\s*\S*/u)[0]); // with the space before it
  const dismiss = () => {
    ghost = "";
    handlers.onDismiss();
    render();
  };

  on(field, "keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    sync();
    const forward = direction() === "rtl" ? "ArrowLeft" : "ArrowRight";
    const noModifier = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    const byWord = !event.shiftKey && !event.metaKey && event.ctrlKey !== event.altKey;
    let action = null;
    if (visibleGhost() && event.key === "Tab" && noModifier) action = acceptAll;
    if (visibleGhost() && event.key === forward && byWord) action = acceptWord;
    if (visibleGhost() && event.key === "Escape") action = dismiss;
    if (event.key === "ArrowDown" && noModifier && caretAtEnd()) action = handlers.onDown;
    if (!action) return;
    event.preventDefault();
    action();
  });
  // Where there are no keys, a tap on the ghost accepts it.
  on(field, "click", ({ pointerType, clientX: x, clientY: y }) => {
    if (pointerType === "mouse" || !visibleGhost()) return;
    const isOn = (r) => x > r.left - TAP && x < r.right + TAP && y > r.top && y < r.bottom;
    if ([...rangeOf(text.length, mirrorText.length).getClientRects()].some(isOn)) acceptAll();
  });
  on(field, "beforeinput", (event) => {
    const typed = event.inputType === "insertLineBreak" ? "\n" : event.inputType.startsWith("insert") ? event.data : "";
    if (!typed || !event.cancelable || !caretAtEnd() || !selectAutomaticSpace(typed)) return;
    event.preventDefault();
    insert(typed);
  });
  on(field, "input", (event) => {
    composing = event.isComposing ?? composing;
    // Undo selects the automatic space, or the word that was corrected; move on, so that it is not typed over.
    if (event.inputType?.startsWith("history") && field.value === textWithSpace) moveToEnd();
    if (event.inputType === "historyUndo" && field.value === corrected.text) field.selectionStart = corrected.end;
    // Input from an on-screen keyboard cannot be prevented, so the space is replaced after it.
    const typed = field.value.slice(text.length);
    const appended = event.isTrusted && isTyped() && typed && field.value.startsWith(text) && caretAtEnd();
    if (appended && selectAutomaticSpace(typed)) insert(typed);
    else readField();
  });
  on(field, "compositionstart", () => {
    composing = true;
    render();
  });
  on(field, "compositionend", () => {
    composing = false;
    readField();
  });
  on(field, "focus", refresh);
  on(field, "blur", render);
  on(document, "selectionchange", () => field.value === text && refresh()); // `input` may still come
  // No event tells that a program has changed the field, or what may be typed there.
  const watch = setInterval(() => (field.value !== text ? readField() : lookAtCaret()), WATCH);
  const observer = new ResizeObserver(() => placeCaret(visibleGhost()));
  observer.observe(mirror);
  signal?.addEventListener("abort", () => {
    observer.disconnect();
    clearInterval(watch);
    ghost = "";
    render();
    if (given === null) field.removeAttribute("dir");
    else field.dir = given;
  });

  return {
    get text() {
      return text;
    },
    get prefix() {
      return prefix;
    },
    room,
    get direction() {
      return direction();
    },
    dismiss,
    render,
    /** Look at what the field holds. */
    read: readField,
    focus,
    /** Show a ghost that the server made after `prefix`, if it agrees with what was typed since. */
    offerGhost(prefix, offered, isStock = false) {
      const rest = remainingGhost(prefix, text, offered);
      // A visible ghost stays: a new one may only extend it.
      if (!rest.startsWith(ghost)) return;
      if (isStock && rest !== ghost) phrase = { before: prefix, text: offered };
      else if (!ghost) phrase = null;
      ghost = rest;
      render();
    },
    /** Insert a suggested word at the caret, in place of as many UTF-16 units before it, and of spaces behind it. */
    insertWord(word, replaced = 0) {
      const before = prefix;
      focus();
      if (field.value !== text || beforeCaret() !== before) return refresh(); // it was for another text
      const end = field.selectionEnd, spaces = field.value.slice(end).match(/^[^\S\n]*/)[0].length;
      corrected = { text, end };
      field.setSelectionRange(end - replaced, end + spaces);
      insertWord(word);
    },
    /** Type at the end of the text, as a key does. */
    type(typed) {
      focus();
      moveToEnd();
      insert(typed);
    },
    /** Replace the whole text. */
    replaceText(newText) {
      focus();
      field.select();
      if (newText) insert(newText);
      else document.execCommand("delete");
    },
  };
}
