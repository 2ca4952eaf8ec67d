// A text that is typed, with suggestions and ghost text around the engine's search for words: see `word_search`,
// `word_list`, `suggestions`, `unsolicited` and `ghost_text` in `kammil/completion`, and `tables.py` beside this file.

import { BegunWords, dot, Latin, sum } from "./begun.js";
import { endsUnspaced, foldSpelling, holds, isSeparate, keysSaved, lastLetter, openWord, wordsOf } from "./text.js";

const BOS = 2, PIECE = 64, MAX_STOPS = 256;
const COMPLETE = { length: 30, temperature: 0.7, seed: 0, stop: [], allowOffensive: false };
const SUGGEST = { k: 3, threshold: 0.01, correct: true, allowOffensive: false };
const READING = { allowOffensive: false };
const PHRASE = { words: 8, ghost: "balanced", threshold: undefined, allowOffensive: false };
const wholeFrom = (least, most) => [
  `a whole number from ${least} to ${most.toLocaleString("en")}`,
  (value) => Number.isInteger(value) && value >= least && value <= most,
];
const OPTIONS = {
  length: wholeFrom(0, 100_000),
  seed: ["a whole number of 0 or more", (value) => (typeof value === "bigint" || Number.isInteger(value)) && value >= 0],
  temperature: ["a number of 0 or more", (value) => value >= 0 && value < Infinity],
  stop: ["strings of at least one character", (value) => Array.isArray(value) && value.every((string) => string)],
  k: wholeFrom(1, 32),
  words: wholeFrom(1, 32),
  threshold: ["a number from 0 to 1", (value) => value >= 0 && value <= 1],
  ghost: ["quiet, balanced or eager", (value) => ["quiet", "balanced", "eager"].includes(value)],
};
const wordsIn = (text) => wordsOf(text.replaceAll("_", " ")); // those of a hashtag, too

/** The tables of `suggest.json`, ready to be asked. */
export function compiled({ constants, words, masks, channel, latin, unsolicited, longVowels, ...rest }, engine) {
  engine.setWords(words);
  for (const name in masks) masks[name] = Uint8Array.from(masks[name]);
  const { rulers, formulas, religious, functionWords, proclitics } = unsolicited;
  return {
    ...{ ...constants, ...rest, ...masks, begins: masks.begin, inWord: masks.words, channel, close: words.close },
    classes: Uint8Array.from(words.classes),
    careful: engine.constant("CAREFUL"),
    exchanges: new Map(channel.exchanges),
    keys: new Set(channel.letters),
    latin: latin && new Latin(latin, constants),
    doubled: new RegExp(longVowels ? `(?<=.)([${longVowels}])\\1` : "(?!)", "gv"),
    ...{ rulers: new Map(rulers), formulas: new Map(formulas) },
    mostWords: Math.max(1, ...[...rulers, ...formulas].flatMap(([, entries]) => entries.map(({ length }) => length))),
    ...{ religious: new Set(religious), functionWords: new Set(functionWords), proclitics: new Set(proclitics) },
  };
}

/** The options of a call, checked, and the defaults of those that are left out. */
function checked(given, defaults) {
  const options = { ...defaults };
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value !== undefined) options[name] = value;
    if (!(name in defaults)) throw new Error(`there is no option ${name}; there are ${Object.keys(defaults).join(", ")}`);
    const [means, holds] = OPTIONS[name] ?? [];
    if (means && value !== undefined && !holds(value)) throw new Error(`${name} is ${value}, but it must be ${means}`);
  }
  return options;
}

/** One text that is being typed: a keystroke costs what it changed. */
export class Session {
  #model; #t; #text = ""; #seen = ""; #stops = new Map(); #version = 0; #begun; // stops: what follows texts, by their ids

  constructor(model, context = []) {
    [this.#model, this.#t] = [model, model.tables];
    /** Earlier messages, oldest first. */
    this.context = context;
    this.#begun = new BegunWords(model, (ids) => this.#read(ids));
  }

  /** Set the whole text so far, and read what is new of it. */
  update(text) {
    [this.#text, this.#seen] = [text, this.#model.normalise(text)];
    this.#after();
    return this;
  }

  /** Go on with the text. The same seed gives the same text, here and in Python (`preset="plain"`). */
  complete(options) {
    return this.#model.write(this.#after().state, this.#seen, checked(options, COMPLETE));
  }

  #asked(defaults, options) {
    const asked = checked(options, defaults);
    if (!this.#t) throw new Error("words are suggested here in scripts with spaces alone; ask Kammil's server");
    return { ...asked, blocked: this.#model.blocked(asked.allowOffensive) };
  }

  /** The ids of the text, once the model has heard what was said before. */
  #ids() {
    this.#model.hear(this.context);
    return [BOS, ...this.#model.encode(this.#seen)];
  }

  #after = () => this.#read(this.#ids());

  /** Read ids from where a text that was read before ends; those that were not asked for longest are forgotten. */
  #read(ids) {
    const stops = this.#stops, label = Array.from(ids, (id) => String.fromCharCode(id)).join("");
    if (this.#version !== this.#model.version) stops.clear();
    this.#version = this.#model.version;
    let stop = "", after = { state: this.#model.engine.initialState() };
    for (const known of stops.keys()) if (known.length > stop.length && label.startsWith(known)) stop = known;
    if (stop) after = stops.get(stop);
    stops.delete(stop);
    if (stop) stops.set(stop, after);
    while (stop.length < ids.length) {
      const part = ids.slice(stop.length, stop.length + PIECE);
      after = this.#model.follow(part, after.state);
      stops.set((stop = label.slice(0, stop.length + part.length)), after);
    }
    for (const oldest of stops.keys()) if (stops.size > MAX_STOPS) stops.delete(oldest);
    return after;
  }

  /** The Arabic that the last Latin letters probably mean: {reading, replaces}, and whether nothing may follow: silent. */
  reading(options) {
    const blocked = this.#model.blocked(checked(options, READING).allowOffensive);
    const none = { reading: "", replaces: 0, silent: blocked.silent(this.#seen) };
    const word = this.#t && !none.silent ? this.#begunWord() : null;
    const read = word?.meanings.slice(word.typed.length ? word.variants.length : 1) ?? [];
    if (sum(read.map(({ posterior }) => posterior)) <= 0.5) return none;
    const best = read.reduce((one, other) => (other.posterior > one.posterior ? other : one));
    const reading = this.#model.decode(best.ids.map(this.#model.respeltAfter(this.#seen)));
    const before = [...this.#seen].slice(0, -best.replaced).join("");
    if (blocked.silent(before + reading)) return { ...none, silent: true };
    return { ...none, reading, replaces: best.replaced };
  }

  /** The meanings of the open word, and of the words before it as far as normalisation kept them. */
  #begunWord() {
    const [text, seen] = [this.#text, this.#seen], { MAX_REPLACED } = this.#t, open = openWord(seen);
    const [typed, known] = [text, seen].map((each) => [...each.slice(-2 * MAX_REPLACED)].reverse());
    let asTyped = 0;
    while (asTyped < Math.min(MAX_REPLACED, known.length) && typed[asTyped] === known[asTyped]) asTyped++;
    return this.#begun.after(this.#ids(), text.endsWith(open) ? [...open].length : 0, asTyped);
  }

  /** Words to continue, or in place of, the last one. */
  suggest(options) {
    const { k, threshold, correct, blocked } = this.#asked(SUGGEST, options), seen = this.#seen, open = openWord(seen);
    const word = correct && !blocked.silent(seen) ? this.#begunWord() : null;
    const found = this.#words(seen, this.#after(), { k, threshold, blocked, word, opens: open === seen });
    return found.map(({ ids, probability, replaced }) => {
      const completion = this.#model.decode(ids), first = [...completion][0], last = lastLetter(seen);
      if (replaced) return { text: openWord(completion), completion, probability, replaces: replaced };
      const before = isSeparate(first) ? "" : last && /^\p{M}/v.test(first) ? last : open;
      return { text: first === " " ? completion.slice(1) : before + completion, completion, probability, replaces: 0 };
    });
  }

  /** Ghost text: the most probable word, then the most probable one after it, while each is worth reading. */
  phrase(options) {
    const { words, ghost, threshold, blocked } = this.#asked(PHRASE, options);
    const { space, close, MIN_OF_BEST, ghostRules } = this.#t, seen = this.#seen, open = openWord(seen);
    const [least, charge] = threshold === undefined ? ghostRules[ghost] : [threshold, 0];
    let after = this.#after(), complete = open ? dot(after.p, close) : 0, share = 1;
    const used = new Set([open, openWord(seen.slice(0, seen.length - open.length).trimEnd())]);
    const phrases = [{ completion: "", probability: 1 }];
    let completion = "", probability = 1;
    for (let i = 0; i < words; i++) {
      const wanted = { k: 1, threshold: least / share, blocked, word: null, opens: false };
      let [found] = this.#words(seen + completion, after, wanted);
      if (found && this.#mayBeCareful(found.ids, seen)) // the same word as the writer spells it
        [found] = this.#words(seen + completion, after, { ...wanted, threshold: wanted.threshold * MIN_OF_BEST });
      if (!found) break;
      const piece = this.#model.decode(found.ids), word = openWord(seen + completion + piece);
      const p = share * Math.max(found.probability, found.best), saved = keysSaved(piece);
      if (used.has(word) || p < Math.max(least, complete) || p * saved < charge) break;
      used.add(word);
      [completion, probability] = [completion + piece, probability * share * found.probability];
      const shown = this.#solicited(seen, completion);
      if (shown !== completion) return phrases.findLast((each) => each.completion.length <= shown.length); // whole words
      phrases.push({ completion, probability });
      after = this.#model.follow(found.ids, after.state);
      const closing = dot(after.p, close);
      share = space !== null && closing > 0 ? after.p[space] / closing : 0;
      if (share < least || !share || endsUnspaced(seen + completion)) break;
      after = this.#model.follow([space], after.state);
      [completion, complete] = [`${completion} `, 0];
    }
    return phrases.at(-1);
  }

  /** The words found after a text, most probable first: endings before next words, or behind them. */
  #words(seen, { p, state }, { k, threshold, blocked, word, opens }) {
    const { space, close, foreign, MAX_LEFT_OUT, MAX_STATES, MIN_ENDING_OF_COMPLETE } = this.#t;
    const weight = word ? word.meanings[0].posterior : 1, open = openWord(seen);
    const careful = this.#carefulIn(seen), width = Math.max(MAX_STATES, k);
    const search = { threshold, blocked, careful, width, typed: [], respelt: this.#model.respeltAfter(seen) };
    const first = { p, state, weight, allowed: this.#firstIds(seen, open, p), refused: blocked.start(seen) };
    Object.assign(first, { replacement: [], replaced: 0 });
    const complete = open ? weight * dot(p, close) : 0;
    const { roots, whole, silent } = this.#meanings(word, seen, complete, search);
    if (silent) return [];
    const wanted = k + MAX_LEFT_OUT * opens, typed = word?.typed ?? [];
    let found = this.#search([first, ...roots], wanted, { ...search, typed });
    if (word?.meanings.length > 1) {
      const words = [...found, ...this.#respelt(whole, typed, search)];
      found = this.#listed(this.#once(words, typed), wanted, careful, typed);
    }
    if (opens) found = this.#withOpenings(found, seen, search);
    found = found.slice(0, k);
    const isComplete = complete > 0.5;
    if (isComplete) found = found.filter(({ probability }) => probability >= MIN_ENDING_OF_COMPLETE);
    if ((isComplete || (found.length < k && open)) && space !== null) {
      const spaced = { ...first, allowed: first.allowed.map((_, id) => Number(id === space)) };
      const next = this.#search([spaced], isComplete ? k : k - found.length, search);
      found = (isComplete ? [...next, ...found] : [...found, ...next]).slice(0, k);
    }
    found = this.#withContent(found, k, first, seen && !open, search);
    return word?.isEnglish ? found.filter(({ ids }) => foreign[ids.at(-1)]) : found;
  }

  #search(roots, k, search) {
    const { threshold, blocked, careful, width, typed } = search;
    const { classes, MAX_CHARACTERS: maxCharacters, careful: bit } = this.#t;
    const found = this.#model.engine.search(roots, {
      ...{ k, threshold, typed, blocked, maxCharacters, width },
      minForeign: this.#minForeign(threshold),
      classes: careful.size ? classes.map((bits, id) => (careful.has(id) ? bits | bit : bits)) : classes,
    });
    const words = found.map(({ root, ids, ...rest }) => {
      const { replacement, replaced } = roots[root];
      return { ids: [...replacement, ...ids], replaced, ...rest };
    });
    return this.#respelt(words, typed, search);
  }

  /** Words as the writer spells them, without those that are then as typed. */
  #respelt(words, typed, { respelt }) {
    const spelt = words.map(({ ids, ...rest }) => ({ ids: ids.map(respelt), ...rest }));
    return spelt.filter(({ ids, replaced }) => !replaced || ids.join() !== typed.join());
  }

  #minForeign = (threshold) => Math.max(threshold, Math.min(this.#t.FOREIGN * threshold, this.#t.MIN_FOREIGN));

  /** Return the ids that may come first: in a word those that continue it, else those that begin one, or the space. */
  #firstIds(seen, open, p) {
    const { space, begins, continues, digits, inWord } = this.#t, isNumber = /^\p{Nd}+$/v.test(open);
    if (open && !this.#model.encode(open).some((id) => inWord[id])) return begins.map(() => 0);
    if (open) return continues.map((may, id) => Number(may && !(isNumber && digits[id])));
    const isSpaced = space !== null && seen && !/\p{White_Space}$/v.test(seen) && p[space] > dot(p, begins);
    return isSpaced ? begins.map((_, id) => Number(id === space)) : begins;
  }

  /** The roots of a begun word's other meanings, and the meanings that are whole words. */
  #meanings(word, seen, complete, { threshold, blocked }) {
    const { space, begins, continues, close, inWord, foreign } = this.#t, roots = [], whole = [], characters = [...seen];
    const readings = word?.meanings.slice(word.typed.length ? word.variants.length : 1) ?? [];
    const best = Math.max(0, ...(word?.meanings ?? []).map(({ posterior }) => posterior));
    let silent = false; // what is probably meant by Latin letters must not be written
    const start = (replaced) => blocked.start(characters.slice(0, characters.length - replaced).join(""));
    for (const { ids, p, state, posterior: weight, replaced } of word?.meanings.slice(1) ?? []) {
      if (weight < threshold) continue;
      const end = ids.lastIndexOf(space) + 1;
      let refused = blocked.afterIds(start(replaced), ids.slice(0, end));
      // Words before the last count as meant and as typed.
      if (refused && end) refused = blocked.either(refused, start(word.typed.length));
      refused &&= blocked.afterIds(refused, ids.slice(end));
      silent ||= !refused && weight === best && readings.some(({ ids: read }) => read === ids);
      if (!refused) continue;
      const last = ids.at(-1), allowed = last === space ? begins : continues;
      roots.push({ p, state, weight, allowed, refused, replacement: ids, replaced });
      const q = weight * dot(p, close) * inWord[last];
      if (q < threshold || (foreign[last] && q < this.#minForeign(threshold)) || blocked.blocked(refused)) continue;
      if (q > complete || this.#isStretched(word.typed, ids)) whole.push({ ids, probability: q, best: 0, replaced });
    }
    return { roots, whole, silent };
  }

  /** Merge meanings of one word; of words that differ only in earlier ones the more probable is kept. */
  #once(words, typed) {
    const byIds = new Map(), best = new Map();
    for (const word of words) {
      const ids = word.replaced ? word.ids : [...typed, ...word.ids], old = byIds.get(ids.join());
      const once = old && old.once.replaced <= word.replaced ? old.once : word;
      const probability = word.probability + (old?.once.probability ?? 0);
      byIds.set(ids.join(), { ids, once: { ...once, probability } });
    }
    for (const { ids, once } of byIds.values()) {
      const last = ids.slice(ids.lastIndexOf(this.#t.space) + 1).join(), old = best.get(last);
      if (!(old?.probability >= once.probability)) best.set(last, once);
    }
    return [...best.values()].sort((a, b) => b.probability - a.probability);
  }

  /** The k most probable words, each in one spelling: `WordList`. */
  #listed(words, k, careful, typedIds) {
    const { MIN_OF_BEST } = this.#t, entries = new Map();
    const typed = this.#letters(typedIds), typedPlain = this.#plain(typed).plain;
    const isBetter = (one, other) => {
      const rank = !one.word.replaced - !other.word.replaced || one.careful - other.careful;
      const [p, q] = [one.word.probability, other.word.probability];
      return rank > 0 ? p >= MIN_OF_BEST * q : rank < 0 ? !(q >= MIN_OF_BEST * p) : p > q;
    };
    for (const word of words) {
      const { ids, probability: p, replaced } = word, written = (replaced ? "" : typed) + this.#letters(ids);
      const { letters, plain } = this.#plain(written);
      if (!replaced && plain === typedPlain && plain !== written && [...plain].length > 1) continue; // laughter may grow
      if (letters !== plain && p < MIN_OF_BEST * (entries.get(plain)?.word.probability ?? 0)) continue;
      for (const [name, entry] of letters === plain ? [...entries] : [])
        if (entry.plain === plain && name !== plain && entry.word.probability < MIN_OF_BEST * p) entries.delete(name);
      const entry = { word, plain, careful: ids.filter((id) => careful.has(id)).length };
      const old = entries.get(letters) ?? entry, shown = isBetter(entry, old) ? entry : old;
      const best = Math.max(p, word.best, old.word.probability, old.word.best);
      entries.set(letters, { ...shown, word: { ...shown.word, best } });
      if (entries.size <= k) continue;
      const least = Math.min(...Array.from(entries.values(), (each) => each.word.probability));
      entries.delete([...entries].find(([, each]) => each.word.probability === least)[0]);
    }
    return Array.from(entries.values(), ({ word }) => word).sort((a, b) => b.probability - a.probability);
  }

  #letters = (ids) => ids.map((id) => this.#t.folds[id]).join("");

  #plain(written) {
    const letters = written.replace(/(\p{L})\1{2,}/gv, "$1");
    return { letters, plain: letters.replace(this.#t.doubled, "$1") };
  }

  #isStretched(typed, ids) {
    const [one, other] = [typed, ids].map((each) => this.#plain(this.#letters(each)).plain);
    return typed.length > ids.length && one === other;
  }

  /** The words that begin a text, with openings, and without a second religious word. */
  #withOpenings(found, seen, { threshold, blocked }) {
    if (!seen) {
      const { words, others } = this.#model.openings(), start = blocked.start("");
      const mayStand = (ids) => ((state) => state && !blocked.blocked(state))(blocked.afterIds(start, ids));
      const known = [...words.values()].filter(({ ids }) => mayStand(ids));
      const rest = found.filter(({ ids }) => !words.has(ids.join()));
      found = [...known, ...rest.map((word) => ({ ...word, probability: others * word.probability }))]
        .filter(({ probability }) => probability >= threshold)
        .sort((a, b) => b.probability - a.probability);
    }
    const isReligious = ({ ids, replaced }) => {
      const word = openWord((replaced ? "" : seen) + this.#model.decode(ids)), { spelling, religious } = this.#t;
      return this.#stems(foldSpelling(word, spelling)).some((stem) => religious.has(stem));
    };
    const first = found.find(isReligious);
    return found.filter((word) => word === first || !isReligious(word));
  }

  /** Give the third place to a word of content after function words alone. */
  #withContent(found, k, root, isNext, search) {
    const { PLACES, MIN_CONTENT, MAX_FOUND } = this.#t, last = found.slice(PLACES - 1);
    const isBare = k >= PLACES && isNext && found.length;
    if (!isBare || !found.slice(0, PLACES).every((word) => this.#isFunctionWord(word))) return found;
    const more = this.#search([root], MAX_FOUND, { ...search, threshold: search.threshold * MIN_CONTENT });
    const least = MIN_CONTENT * (last[0]?.probability ?? search.threshold);
    const content = more.find((word) => word.probability >= least && !this.#isFunctionWord(word));
    const others = last.filter(({ ids }) => ids.join() !== content?.ids.join());
    return [...found.slice(0, PLACES - 1), ...[...(content ? [content] : []), ...others].slice(0, k - PLACES + 1)];
  }

  #isFunctionWord = ({ ids }) => this.#t.functionWords.has(foldSpelling(this.#letters(ids), this.#t.spelling));

  /** The ids of careful spellings that a text uses. */
  #carefulIn(text) {
    const used = this.#t.spellings.filter(({ careful }) => holds(text, careful));
    return new Set(used.flatMap(({ ids }) => ids.map(([id]) => id)));
  }

  #mayBeCareful(ids, text) {
    const { folds } = this.#t, careful = new Set(Array.from(this.#carefulIn(text), (id) => folds[id]));
    return ids.some((id) => careful.has(folds[id]));
  }

  /** The whole words of ghost text before the first ruler, or formula that the text has not begun. */
  #solicited(text, ghost) {
    const { rulers, formulas, mostWords, spelling, LETTERS } = this.#t, end = text.slice(-1000), starts = [];
    const begin = wordsIn(end).slice(-mostWords)[0]?.[0] ?? end.length;
    const seen = end.slice(begin) + ghost, typed = end.length - begin;
    const words = wordsIn(seen), folded = words.map(([from, to]) => foldSpelling(seen.slice(from, to), spelling));
    for (const [i, [from, to]] of words.entries()) {
      const fits = (entry) =>
        entry.every((word, j) => !j || folded[i + j] === word) && words[i + entry.length - 1][1] > typed;
      for (const stem of this.#stems(folded[i])) {
        const known = () => foldSpelling(seen.slice(from, Math.max(from, typed)), spelling).length;
        const isBegun = () => to <= typed || known() - folded[i].length + stem.length >= LETTERS;
        if (rulers.get(stem)?.some(fits) || (formulas.get(stem)?.some(fits) && !isBegun())) starts.push(from);
      }
    }
    if (!starts.length) return ghost;
    return seen.slice(typed, Math.max(Math.min(...starts), typed)).trimEnd().replace(/#+$/, "").trimEnd();
  }

  /** A folded word, and what follows each of its proclitics. */
  #stems(word) {
    const ends = Array.from(word, (_, i) => i).filter((end) => end && this.#t.proclitics.has(word.slice(0, end)));
    return [word, ...ends.map((end) => word.slice(end))];
  }
}
