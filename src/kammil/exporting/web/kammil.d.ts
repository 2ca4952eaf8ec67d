// A Kammil model in a browser or in Node.

/** What was said before a text: earlier messages, or lines, oldest first. Of the last 40 at most 2,000 characters count, for
 * this text alone. A change costs a few ms, so that sessions with different ones take turns seldom. */
export type Context = readonly string[];
export interface InContext {
  context?: Context;
}

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
  /** The most probable characters in each place, "" for the end and "\ufffd" for an unknown one; only of a `top` above 0. */
  alternatives?: { character: string; probability: number }[][];
}

export interface SuggestOptions {
  /** Maximum number of suggestions, up to 32 (3). */
  k?: number;
  /** Minimum probability of a suggestion (0.01). */
  threshold?: number;
  /** Also suggest words in place of the begun one, if it may have a slip or another spelling, or be Arabic in Latin
   * letters (true). */
  correct?: boolean;
  /** Suggest words of the list of offensive words too (false). */
  allowOffensive?: boolean;
}

/** A next word, or the current word completed. */
export interface Suggestion {
  /** The whole word; the last one, where Latin letters become several. */
  text: string;
  /** What to append, after `replaces` characters at the end are deleted. */
  completion: string;
  /** Probability that exactly `completion` comes next, and then the word ends. */
  probability: number;
  /** How many code points at the end `completion` replaces: of a corrected word, or words in Latin letters. */
  replaces: number;
}

export interface PhraseOptions {
  /** Maximum number of words, up to 32 (8). */
  words?: number;
  /** How readily ghost text is shown (balanced). */
  ghost?: "quiet" | "balanced" | "eager";
  /** Minimum probability of each word, in place of `ghost`. */
  threshold?: number;
  /** As of `SuggestOptions`. */
  allowOffensive?: boolean;
}

/** What the last Latin letters of a text mean. */
export interface Reading {
  /** Arabic words, or "". */
  reading: string;
  /** How many code points at the end they replace. */
  replaces: number;
  /** Whether nothing is written, nor read, after such a text. */
  silent: boolean;
}

/** Options of `reading`. */
export interface ReadingOptions {
  /** Read offensive words too (false). */
  allowOffensive?: boolean;
}

/** Ghost text: the words that probably come next. */
export interface Phrase {
  /** What to append; empty if nothing is worth reading. */
  completion: string;
  /** Probability of exactly these words. */
  probability: number;
}

/** A model ready to complete, suggest and score texts, and to learn. */
export interface Model {
  /** Open a session for a text that is being typed. */
  session(context?: Context): Session;
  /** Complete a prompt. */
  complete(prompt: string, options?: CompletionOptions & InContext): Completion;
  /** Suggest words after a text, the most probable first. */
  suggest(text: string, options?: SuggestOptions & InContext): Suggestion[];
  /** Predict ghost text after a text, without the stock phrases that Kammil has in Python. */
  phrase(text: string, options?: PhraseOptions & InContext): Phrase;
  /** Read Arabic in Latin letters. */
  reading(text: string, options?: ReadingOptions & InContext): Reading;
  /** How surprised the model is by each character of a text after `given`, and by its end; `top` alternatives for each. */
  score(text: string, given?: string, top?: number, context?: Context): Score;
  /** The natural log-probabilities of what follows a text, by id. */
  after(text: string): Float32Array;
  /** Learn texts, for all sessions of this model; no weight changes. Many at once take much less time. */
  learn(...texts: string[]): void;
  /** Undo one `learn` of the same texts. */
  forget(...texts: string[]): void;
  /** Normalise a text as the model sees it. */
  normalise(text: string): string;
}

/** One text that is being typed: a keystroke costs what it changed. */
export interface Session {
  /** Holds from the next call on. */
  context: Context;
  /** Set the whole text so far, after any edit. */
  update(text: string): Session;
  /** Go on with the text. */
  complete(options?: CompletionOptions): Completion;
  /** Suggest words after the text, the most probable first. */
  suggest(options?: SuggestOptions): Suggestion[];
  /** Predict ghost text after the text. */
  phrase(options?: PhraseOptions): Phrase;
  /** Read Arabic in Latin letters. */
  reading(options?: ReadingOptions): Reading;
}

/** Open the model that `kammil export --format web` wrote, by default the one in `model/` beside this module. */
export function load(folder?: string | URL): Promise<Model>;

declare const Kammil: { load: typeof load };
export default Kammil;
