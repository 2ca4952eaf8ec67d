// A text field that is completed by a model in the browser.

import type { Context } from "./kammil.js";

/** `<kammil-text src="model/"><textarea></textarea></kammil-text>`; nothing is loaded before the field is touched. Where the
 * model cannot be read, an `error` event says why, and so does the console, unless a listener prevents that. */
export class KammilText extends HTMLElement {
  field: HTMLTextAreaElement | HTMLInputElement;
  /** What was said before. Without it the attribute `context` may be the id of an element whose children are the messages. */
  context?: Context | (() => Context);
  /** Load the model now, as a touch of the field does. */
  open(): Promise<void>;
  /** Teach the model a text, by default the one in the field; the browser keeps it for all pages of this origin. */
  learn(text?: string): Promise<void>;
  /** Return the learnt texts, the oldest first. */
  learnt(): Promise<string[]>;
  /** Forget all learnt texts. */
  wipe(): Promise<void>;
}

/** Complete what is typed into a field by the model in a folder, `model/` beside this module by default; `remove()` ends it.
 * A field that was given before keeps its element.
 * Throws a `TypeError` for anything but a textarea, or an input of type text or search. */
export function attach(field: HTMLTextAreaElement | HTMLInputElement, options?: { model?: string | URL; context?: KammilText["context"] }): KammilText;

declare global {
  interface HTMLElementTagNameMap {
    "kammil-text": KammilText;
  }
}
