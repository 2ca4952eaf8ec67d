// A field that is completed while somebody types: its ghost text, and the suggestions below it.

import { debounced, pause } from "./debounce.js";
import { createEditor } from "./editor.js";
import { GHOST, GHOST_WORDS } from "./facts.js";
import { directionOf } from "./ghost.js";
import { message, onLanguage, pageDirection } from "./i18n.js";
import { createSuggestions } from "./suggestions.js";

const DELAY = { ghost: 100, phrase: 500, suggestions: 60, announcement: 700 }; // milliseconds without a keystroke
const ENOUGH_GHOST = 8; // characters: with as many left, no new ghost is requested

/** `handlers` are `suggest(body, signal)` and `report(error)`, and where a page needs them `options()` and `level()` of a
 * request, `percentages()`, `onInput(text)`, `onPhrase(phrase, isTaken)`, and those that the editor may have. */
export function createField({ field, mirror, caret, title, group, none, live }, handlers) {
  const ask = (body, signal) => handlers.suggest({ ...body, ...handlers.options?.() }, signal);
  const say = (text) => (live.textContent = text); // to a screen reader
  const announce = debounced(DELAY.announcement, async (text) => text, say, () => {});
  const requestGhost = debounced(
    DELAY.ghost,
    async (prefix, signal) => {
      const body = { prefix, k: 1, phrase: GHOST_WORDS, ghost: handlers.level?.() ?? GHOST };
      const { phrase } = await ask(body, signal);
      if (phrase.stock) {
        editor.offerGhost(prefix, phrase.sure);
        await pause(DELAY.phrase - DELAY.ghost, signal); // else a phrase would flicker behind every key
      }
      return phrase;
    },
    ({ completion, stock }, prefix) => editor.offerGhost(prefix, completion, stock),
    handlers.report,
  );
  const requestSuggestions = debounced(
    DELAY.suggestions,
    (prefix, signal) => ask({ prefix, k: 3 }, signal),
    ({ suggestions: received }, prefix) => {
      const direction = directionOf(prefix + (received[0]?.completion ?? ""), (handlers.direction ?? pageDirection)());
      suggestions.show(prefix, received, editor.prefix, direction);
    },
    handlers.report,
  );
  const editor = createEditor(
    { field, mirror, caret },
    {
      ...handlers,
      onInput: (text) => handlers.onInput?.(text),
      onPrefix(prefix, ghost) {
        if (!prefix?.trim() || prefix !== editor.text) requestGhost.cancel();
        else if (ghost.length < ENOUGH_GHOST) requestGhost(prefix);
        suggestions.update(prefix);
        if (prefix === null) requestSuggestions.cancel();
        else requestSuggestions(prefix);
      },
      onGhost(ghost, phrase) {
        handlers.onPhrase?.(phrase, false);
        announce(ghost && message(phrase ? "stockText" : "ghostText", { text: ghost }));
      },
      onAccept(part, finished) {
        if (finished) handlers.onPhrase?.(finished, true);
        say(message("accepted", { text: part.trim() }));
      },
      onDismiss: requestGhost.cancel,
      onDown: () => suggestions.focus(),
    },
  );
  const suggestions = createSuggestions(
    { title, group, none },
    { use: editor.insertWord, leave: editor.focus, room: editor.room, percentages: handlers.percentages ?? (() => false) },
    handlers.signal,
  );
  onLanguage(editor.render, handlers.signal);
  return {
    editor,
    suggestions,
    say,
    /** Ask for ghost text anew. */
    renewGhost() {
      editor.dismiss();
      if (editor.text.trim()) requestGhost(editor.text);
    },
    /** Ask for suggestions and ghost text anew. */
    renew() {
      if (editor.prefix !== null) requestSuggestions(editor.prefix);
      if (editor.text.trim()) this.renewGhost();
    },
  };
}
