// A Kammil model in a browser or in Node.

/** How `complete` writes. The values in brackets hold where an option is left out. */
export interface CompletionOptions {
  /** Maximum number of characters (30). */
  length?: number;
  /** 0: always the most probable character; 1: as the model says; above: bolder (0.7). */
  temperature?: number;
  /** The same seed gives the same completion, here and in Python (0). */
  seed?: number | bigint;
  /** Stop before one of these strings. */
  stop?: string[];
  /** Write words of the list of offensive words too (false). */
  allowOffensive?: boolean;
}

export interface Completion {
  text: string;
  /** `length`: as long as asked for; `end`: by the model; `stop`: at a stop string. */
  finishReason: "length" | "end" | "stop";
  /** Bits of each character of `text`. */
  bits: number[];
}

export interface Score {
  /** The normalised text. */
  text: string;
  /** Bits of each character, then of the end. */
  bits: number[];
}

/** A model ready to complete and score texts, and to learn. */
export interface Model {
  /** Open a session for a text that is being typed. */
  session(): Session;
  /** Complete a prompt. */
  complete(prompt: string, options?: CompletionOptions): Completion;
  /** How surprised the model is by each character of a text after `given`, and by its end. */
  score(text: string, given?: string): Score;
  /** The natural log-probabilities of what follows a text, by id. */
  after(text: string): Float32Array;
  /** Learn a text, for all sessions of this model; no weight changes. */
  learn(text: string): void;
  /** Undo one `learn` of the same text. */
  forget(text: string): void;
  /** Normalise a text as the model sees it. */
  normalise(text: string): string;
}

/** One text that is being typed: a keystroke costs what it changed. */
export interface Session {
  /** Set the whole text so far, after any edit. */
  update(text: string): Session;
  /** Go on with the text. */
  complete(options?: CompletionOptions): Completion;
}

/** Open the model that `kammil export --format web` wrote, by default the one in `model/` beside this module. */
export function load(folder?: string | URL): Promise<Model>;

declare const Kammil: { load: typeof load };
export default Kammil;
