// A Kammil model in a browser or in Node: complete, suggest, score and learn, with nothing on a server but files. Types
// and what the functions mean: kammil.d.ts.

import { Blocked } from "./blocked.js";
import { Contexts } from "./contexts.js";
import { build, Engine } from "./engine.js";
import { blend, checkSizes, safetensors } from "./folder.js";
import { Random } from "./random.js";
import { compiled, Suggester } from "./suggest.js";
import { checkedText, cutGrapheme, textRules, wordsOf } from "./text.js";
import { PROFILE_LIMITS } from "./ui/facts.js";

const UNK = 1, BOS = 2, EOS = 3, SPECIALS = 4;
const BULK = 32, PIECE = 64, MAX_STOPS = 256, MAX_OPENING = 40;
const COMPLETE = { length: 30, temperature: 0.7, seed: 0, stop: [], allowOffensive: false };
const SUGGEST = { k: 3, threshold: 0.01, correct: true, allowOffensive: false };
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

// Node's own modules, in a way that no bundler follows.
const node = (name) => globalThis.process.getBuiltinModule(name);

export async function load(folder = import.meta.url.replace(/[^/]*$/, "model")) {
  const here = globalThis.location?.href ?? node("url").pathToFileURL("./");
  const base = new URL(`${folder}`.replace(/\/?$/, "/"), here);
  const text = async (name) => JSON.parse(new TextDecoder().decode(await read(new URL(name, base))));
  const [description, vocabulary, blocked, tables, weights, wasm] = await Promise.all([
    ...["model.json", "vocabulary.json", "blocked.json", "suggest.json"].map(text),
    read(new URL("weights.safetensors", base)),
    read(build()),
  ]).catch(({ message }) => {
    throw new Error(`${folder} holds no model (${message}); give the folder model/ that kammil export --format web wrote`);
  });
  if (description.format !== 1 || description.family !== "blend")
    throw new Error(`a ${description.family} of format ${description.format} does not run here, but a blend of format 1`);
  const engine = await Engine.of(wasm);
  const arrays = safetensors(weights), { settings } = description;
  checkSizes(arrays, settings, vocabulary.characters.length + SPECIALS);
  const contexts = new Contexts(settings.kinds, settings.history, arrays.in_word, engine);
  const parts = await blend(arrays, settings, engine);
  engine.setModel({ ...parts.numbers, ...contexts.numbers }, { ...parts.arrays, ...contexts.arrays }, parts.networks);
  return new Model(engine, contexts, vocabulary.characters, description.rules, blocked, tables);
}

async function read(url) {
  if (url.protocol === "file:") return new Uint8Array(node("fs").readFileSync(url));
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be read (${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
}

export default { load };

/** A model ready to complete and score texts, and to learn. */
export class Model {
  /** Grows with what is learnt or forgotten. */
  version = 0;
  #contexts; #ids; #pieces; #blocked; #forbidden; #taught = new Map(); #openings; #firstWords = new Map();

  constructor(engine, contexts, characters, rules, blocked, tables) {
    this.engine = engine;
    this.tables = tables.words && compiled(tables, engine);
    this.#openings = tables.openings;
    /** Normalise a text as the model sees it. */
    this.normalise = textRules(rules);
    this.#contexts = contexts;
    this.#ids = new Map(characters.map((character, i) => [character, i + SPECIALS]));
    this.#pieces = ["", "", "", null, ...characters.map((character) => (character.isWellFormed() ? character : ""))];
    this.#forbidden = Uint8Array.from(this.#pieces, (piece, id) => Number(!piece && id !== EOS));
    this.#blocked = [true, blocked.own > 0].map((some) => some && new Blocked(blocked, this.#pieces, engine));
    if (blocked.own) this.#blocked[1].exempt({ has: (number) => number > blocked.own });
  }

  session() {
    return new Session(this);
  }

  complete(prompt, options) {
    return this.session().update(prompt).complete(options);
  }

  suggest(text, options) {
    return this.session().update(text).suggest(options);
  }

  phrase(text, options) {
    return this.session().update(text).phrase(options);
  }

  reading(text) {
    return this.session().update(text).reading();
  }

  after(text) {
    const ids = [BOS, ...this.encode(this.normalise(text))];
    return this.engine.forward(ids, this.engine.initialState(), 1).logProbabilities;
  }

  score(text, given = "", top = 0) {
    const before = this.normalise(given), both = this.normalise(given + checkedText(text));
    const seen = both.startsWith(before) ? both.slice(before.length) : this.normalise(text);
    const ids = this.encode(before + seen), read = [BOS, ...ids], targets = [...ids, EOS], bits = [], others = [];
    const size = this.#pieces.length, unknown = Math.log2(0x110000 - (size - SPECIALS));
    let state = this.engine.initialState();
    for (let begin = 0; begin < read.length; begin += PIECE) {
      const part = read.slice(begin, begin + PIECE), result = this.engine.forward(part, state, part.length);
      state = result.state;
      targets.slice(begin, begin + PIECE).forEach((id, i) => {
        const row = result.logProbabilities.subarray(i * size, (i + 1) * size);
        bits.push(-row[id] / Math.LN2 + (id === UNK ? unknown : 0));
        others.push(top ? this.#mostProbable(row, top) : []);
      });
    }
    const begin = [...before].length, scored = { text: seen, bits: bits.slice(begin) };
    return top ? { ...scored, alternatives: others.slice(begin) } : scored;
  }

  #mostProbable(row, top) {
    const named = (id) => (id === EOS ? "" : id === UNK ? "\ufffd" : this.#pieces[id]);
    const ids = [UNK, ...row.keys()].filter((id, i) => !i || id === EOS || this.#pieces[id]);
    ids.sort((a, b) => row[b] - row[a]);
    return ids.slice(0, top).map((id) => ({ character: named(id), probability: Math.exp(row[id]) }));
  }

  /** Return a text to learn, stripped, or throw an error that says why it cannot be learnt. */
  checked(text) {
    const stripped = checkedText(text).trim(), { length } = [...stripped], most = PROFILE_LIMITS[1];
    if (!this.normalise(stripped).trim()) throw new Error("the text is empty, so there is nothing to learn");
    if (length > most) throw new Error(`the text has ${length} characters, but at most ${most} are learnt at once`);
    return stripped;
  }

  learn(...texts) {
    for (const text of texts) this.checked(text);
    this.#contexts.count(texts.map(this.#encodeLearnt), 1, this.engine);
    this.#teach(texts, 1);
  }

  forget(...texts) {
    if (!this.#contexts.count(texts.map(this.#encodeLearnt), -1, this.engine))
      throw new Error("the text was not learnt, so it cannot be forgotten");
    this.#teach(texts, -1);
  }

  encode(text) {
    return Array.from(text, (character) => this.#ids.get(character) ?? UNK);
  }

  decode(ids) {
    return ids.map((id) => this.#pieces[id]).join("");
  }

  /** Read more ids after a state, {p: probabilities of the next id, state}; and the same for an id of each state. */
  follow(ids, state) {
    const { logProbabilities, state: after } = this.engine.forward(ids, state, 1);
    return { p: logProbabilities.map(Math.exp), state: after };
  }

  step(ids, states) {
    if (!ids.length) return [];
    const read = this.engine.forwardAll(ids.map((id) => [id]), states, 1), { logProbabilities } = read;
    const size = this.#pieces.length;
    return read.states.map((state, i) => ({ p: logProbabilities.subarray(i * size, (i + 1) * size).map(Math.exp), state }));
  }

  /** The words that are not written, or undefined. */
  blocked(allowOffensive) {
    return this.#blocked[Number(allowOffensive)] || undefined;
  }

  /** Words that a text may begin with, by their ids, and the probability that it begins as the model says: `Openings`. */
  openings() {
    const { WORTH, TWICE } = this.tables, words = new Map(), counts = [...this.#firstWords];
    const texts = counts.reduce((sum, [, count]) => sum + count, 0), known = WORTH / (WORTH + texts);
    for (const [ids, p] of this.#openings.words) words.set(ids.join(), { ids, probability: known * p });
    for (const [ids, count] of counts.map(([word, count]) => [this.encode(word), count])) {
      if (count < TWICE || ids.includes(UNK)) continue;
      const before = words.get(ids.join())?.probability ?? 0;
      words.set(ids.join(), { ids, probability: before + count / (WORTH + texts) });
    }
    return { words, others: known * this.#openings.others };
  }

  /** Write a text after a state; see `Session.complete`. */
  write(state, seen, options) {
    const { length, temperature, seed, stop, allowOffensive } = checked(options, COMPLETE);
    const random = new Random([seed, 0]), blocked = this.blocked(allowOffensive);
    const draft = new Draft(length, stop, blocked, blocked?.start(seen));
    for (let chances = []; !draft.reason; ) {
      const wanted = Math.min(BULK, length - draft.bits.length);
      if (!chances.length) chances = Array.from({ length: wanted }, () => random.next());
      const before = state, sampled = this.engine.sample(before, chances, temperature, this.#forbidden);
      state = sampled.state;
      let used = 0;
      for (const id of sampled.ids) {
        const refused = draft.refused();
        if (refused?.has(id)) {
          // The word would be blocked: another character is drawn, after the state before it.
          state = used ? this.engine.forward(sampled.ids.slice(0, used), before, 0).state : before;
          state = this.#addAnother(draft, state, refused, temperature, new Random([seed, 0, draft.bits.length, 1]));
          used++;
          break;
        }
        draft.add(this.#pieces[id], sampled.logProbabilities[used++]);
        if (draft.reason) break;
      }
      chances = chances.slice(used);
    }
    return draft.result();
  }

  #addAnother(draft, state, refused, temperature, random) {
    const mask = this.#forbidden.map((forbidden, id) => Number(forbidden || refused.has(id)));
    const { ids, logProbabilities, state: after } = this.engine.sample(state, [random.next()], temperature, mask);
    if (mask[ids[0]]) draft.add(null, 0); // nothing may follow
    else draft.add(this.#pieces[ids[0]], logProbabilities[0]);
    return after;
  }

  #encodeLearnt = (text) => this.encode(this.normalise(text).replace(/[\p{White_Space}\x1c-\x1f]+$/v, ""));

  /** Allow the blocked words that learnt texts hold, and count their first words. */
  #teach(texts, times) {
    const taught = this.#taught, add = (counts, name) => counts.set(name, (counts.get(name) ?? 0) + times);
    for (const text of texts) {
      for (const number of this.#blocked[0].entriesIn(text)) add(taught, number);
      const begin = [...text.slice(0, 2 * MAX_OPENING)].slice(0, MAX_OPENING).join(""), [first] = wordsOf(begin);
      if (first) add(this.#firstWords, this.normalise(begin.slice(...first)));
    }
    this.#blocked[0].exempt(new Set([...taught.keys()].filter((number) => taught.get(number) > 0)));
    this.version++;
  }
}

/** One text that is being typed: a keystroke costs what it changed. */
export class Session {
  #model; #text = ""; #seen = ""; #stops = new Map(); #version = 0; #suggester; // what follows texts, by their ids

  constructor(model) {
    this.#model = model;
    this.#suggester = new Suggester(model, (ids) => this.#read(ids));
  }

  /** Set the whole text so far, and read what is new of it. */
  update(text) {
    [this.#text, this.#seen] = [text, this.#model.normalise(text)];
    this.#after();
    return this;
  }

  /** Go on with the text. The same seed gives the same text, here and in Python (`preset="plain"`). */
  complete(options) {
    return this.#model.write(this.#after().state, this.#seen, options);
  }

  /** Words to continue, or in place of, the last one. */
  suggest(options) {
    return this.#suggester.suggest(this.#text, this.#seen, this.#asked(SUGGEST, options));
  }

  /** The Arabic that the last Latin letters mean: {reading, replaces}. */
  reading() {
    return this.#suggester.reading(this.#text, this.#seen);
  }

  /** Ghost text. */
  phrase(options) {
    return this.#suggester.phrase(this.#seen, this.#asked(PHRASE, options));
  }

  #asked(defaults, options) {
    const asked = checked(options, defaults);
    if (!this.#model.tables) throw new Error("words are suggested here in scripts with spaces alone; ask Kammil's server");
    return { ...asked, blocked: this.#model.blocked(asked.allowOffensive) };
  }

  #after() {
    return this.#read([BOS, ...this.#model.encode(this.#seen)]);
  }

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
}

/** A text that is being written. */
class Draft {
  characters = []; bits = []; #length; #stop; #blocked; #state; #refusedLengths = new Set();

  constructor(length, stop, blocked, state) {
    this.reason = length ? "" : "length";
    [this.#length, this.#stop, this.#blocked, this.#state] = [length, stop, blocked, state];
  }

  /** The ids that must not follow. */
  refused() {
    return this.#blocked?.refused(this.#state, this.#length - this.bits.length);
  }

  /** Add a character, or null for the end, of this log-probability. */
  add(character, logProbability) {
    if (!Number.isFinite(logProbability)) throw new Error("the model gives no probabilities; export it again");
    if (character === null) return this.#end("end", this.characters.length);
    this.characters.push(character);
    this.bits.push(-logProbability / Math.LN2);
    if (this.#blocked) {
      this.#state = this.#blocked.after(this.#state, character);
      if (this.#blocked.blocked(this.#state)) this.#refusedLengths.add(this.characters.length);
    }
    const text = this.#stop.length ? this.characters.join("") : "";
    const found = this.#stop.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length) this.#end("stop", [...text.slice(0, Math.min(...found))].length);
    else if (this.characters.length >= this.#length)
      this.#end("length", this.characters.length - cutGrapheme(this.characters));
  }

  result() {
    const { characters, bits, reason } = this;
    return { text: characters.join(""), finishReason: reason, bits: bits.slice(0, characters.length) };
  }

  #end(reason, length) {
    while (this.#refusedLengths.has(length)) length--; // a blocked word would end here
    this.characters.length = length;
    this.reason = reason;
  }
}

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
