// The text of the page: its field, and who is told of a change.

import { suggest } from "./api.js";
import { $ } from "./elements.js";
import { createField } from "./field.js";
import { model, onModel } from "./models.js";
import { createGhostDial, createSwitch } from "./options.js";
import { report } from "./problem.js";
import { createThread } from "./thread.js";

const listeners = { text: [], phrase: [] };
let known = ""; // the last text that they were told
/** Call a listener with each new text. */
export const onInput = (listener) => listeners.text.push(listener);
/** Call a listener with each stock phrase that is grey, null for none, and with one that was taken, and then true. */
export const onPhrase = (listener) => listeners.phrase.push(listener);

const allowsOffensive = createSwitch("offensive", () => field.renew());
export const allowed = () => ({ allow_offensive: allowsOffensive() });
const thread = createThread({ use: (text) => editor.replaceText(text), onChange: () => field.renew() });
export const context = thread.context;
export const field = createField(
  {
    ...{ field: $("text"), mirror: $("mirror"), caret: $("caret"), live: $("live") },
    ...{ title: $("suggestions-title"), group: $("chips"), none: $("none") },
  },
  {
    suggest,
    report,
    options: () => ({ model: model.id, ...allowed(), ...context() }),
    level: createGhostDial(() => field.renewGhost()),
    percentages: createSwitch("percentages", () => field.suggestions.update(editor.prefix)),
    onInput(text) {
      if (text !== known) for (const listener of listeners.text) listener((known = text));
    },
    onPhrase(...heard) {
      for (const listener of listeners.phrase) listener(...heard);
    },
  },
);
export const editor = field.editor;
/** Add the text, which is to leave the field, to the thread. */
export const keep = () => thread.add(editor.text.trimEnd()); // without an automatic space
onModel(() => {
  field.suggestions.reset();
  field.renew();
});
