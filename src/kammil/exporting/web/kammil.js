// A Kammil model in a browser or in Node: complete, score and learn, with nothing on a server but files. Types and what
// the functions mean: kammil.d.ts.

import { Blocked } from "./blocked.js";
import { Contexts } from "./contexts.js";
import { build, Engine } from "./engine.js";
import { blend, safetensors } from "./folder.js";
import { Random } from "./random.js";
import { cutGrapheme, textRules } from "./text.js";

const UNK = 1, BOS = 2, EOS = 3, SPECIALS = 4;
const BULK = 32, PIECE = 256, MAX_STOPS = 256, MAX_LENGTH = 100_000;
const DEFAULTS = { length: 30, temperature: 0.7, seed: 0, stop: [], allowOffensive: false };

// Node's own modules, in a way that no bundler follows.
const node = (name) => globalThis.process.getBuiltinModule(name);

export async function load(folder = import.meta.url.replace(/[^/]*$/, "model")) {
  const here = globalThis.location?.href ?? node("url").pathToFileURL("./");
  const base = new URL(`${folder}`.replace(/\/?$/, "/"), here);
  const text = async (name) => JSON.parse(new TextDecoder().decode(await read(new URL(name, base))));
  const [description, vocabulary, blocked, weights, wasm] = await Promise.all([
    ...["model.json", "vocabulary.json", "blocked.json"].map(text),
    read(new URL("weights.safetensors", base)),
    read(build()),
  ]);
  if (description.format !== 1 || description.family !== "blend")
    throw new Error(`a ${description.family} of format ${description.format} does not run here, but a blend of format 1`);
  const { instance } = await WebAssembly.instantiate(wasm, {}), engine = new Engine(instance.exports);
  const arrays = safetensors(weights), { settings } = description;
  const contexts = new Contexts(settings.kinds, settings.history, arrays.in_word, engine);
  const parts = await blend(arrays, settings, engine);
  engine.setModel({ ...parts.numbers, ...contexts.numbers }, { ...parts.arrays, ...contexts.arrays }, parts.networks);
  return new Model(engine, contexts, vocabulary.characters, description.rules, blocked);
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
  #contexts; #ids; #pieces; #blocked; #forbidden; #taught = new Map();

  constructor(engine, contexts, characters, rules, blocked) {
    this.engine = engine;
    /** Normalise a text as the model sees it. */
    this.normalise = textRules(rules);
    this.#contexts = contexts;
    this.#ids = new Map(characters.map((character, i) => [character, i + SPECIALS]));
    this.#pieces = ["", "", "", null, ...characters.map((character) => (character.isWellFormed() ? character : ""))];
    this.#forbidden = Uint8Array.from(this.#pieces, (piece, id) => Number(!piece && id !== EOS));
    this.#blocked = new Blocked(blocked, this.#pieces);
  }

  session() {
    return new Session(this);
  }

  complete(prompt, options) {
    return this.session().update(prompt).complete(options);
  }

  after(text) {
    const ids = [BOS, ...this.encode(this.normalise(text))];
    return this.engine.forward(ids, this.engine.initialState(), 1).logProbabilities;
  }

  score(text, given = "") {
    const before = this.normalise(given), both = this.normalise(given + text);
    const seen = both.startsWith(before) ? both.slice(before.length) : this.normalise(text);
    const ids = this.encode(before + seen), read = [BOS, ...ids], targets = [...ids, EOS], bits = [];
    const size = this.#pieces.length, unknown = Math.log2(0x110000 - (size - SPECIALS));
    let state = this.engine.initialState();
    for (let begin = 0; begin < read.length; begin += PIECE) {
      const part = read.slice(begin, begin + PIECE), result = this.engine.forward(part, state, part.length);
      state = result.state;
      targets.slice(begin, begin + PIECE).forEach((id, i) => {
        bits.push(-result.logProbabilities[i * size + id] / Math.LN2 + (id === UNK ? unknown : 0));
      });
    }
    return { text: seen, bits: bits.slice([...before].length) };
  }

  learn(text) {
    const ids = this.#encodeLearnt(text);
    if (!ids.length) throw new Error("the text is empty, so there is nothing to learn");
    this.#contexts.count(ids, 1, this.engine);
    this.#teach(text, 1);
  }

  forget(text) {
    if (!this.#contexts.count(this.#encodeLearnt(text), -1, this.engine))
      throw new Error("the text was not learnt, so it cannot be forgotten");
    this.#teach(text, -1);
  }

  encode(text) {
    return Array.from(text, (character) => this.#ids.get(character) ?? UNK);
  }

  /** Write a text after a state; see `Session.complete`. */
  write(state, seen, options) {
    const { length, temperature, seed, stop, allowOffensive } = checked({ ...DEFAULTS, ...options });
    const random = new Random([seed, 0]), blocked = allowOffensive ? null : this.#blocked;
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

  #encodeLearnt(text) {
    return this.encode(this.normalise(text).replace(/[\p{White_Space}\x1c-\x1f]+$/v, ""));
  }

  /** Allow the blocked words that learnt texts hold. */
  #teach(text, times) {
    const taught = this.#taught;
    for (const number of this.#blocked.entriesIn(text)) taught.set(number, (taught.get(number) ?? 0) + times);
    this.#blocked.exempt(new Set([...taught.keys()].filter((number) => taught.get(number) > 0)));
  }
}

/** One text that is being typed: a keystroke costs what it changed. */
export class Session {
  #model; #seen = ""; #ids = []; #stops = []; // states along the text, the shortest first

  constructor(model) {
    this.#model = model;
  }

  /** Set the whole text so far, and read what is new of it. */
  update(text) {
    this.#seen = this.#model.normalise(text);
    const ids = [BOS, ...this.#model.encode(this.#seen)], { engine } = this.#model;
    const differs = ids.findIndex((id, i) => id !== this.#ids[i]), common = differs < 0 ? ids.length : differs;
    this.#stops = this.#stops.filter(({ size }) => size <= common);
    for (let read = this.#stops.at(-1)?.size ?? 0; read < ids.length; read = this.#stops.at(-1).size) {
      const part = ids.slice(read, read + PIECE), state = this.#stops.at(-1)?.state ?? engine.initialState();
      this.#stops.push({ size: read + part.length, state: engine.forward(part, state, 0).state });
    }
    if (this.#stops.length > MAX_STOPS) this.#stops.shift();
    this.#ids = ids;
    return this;
  }

  /** Go on with the text. The same seed gives the same text, here and in Python (`preset="plain"`). */
  complete(options) {
    if (!this.#stops.length) this.update("");
    return this.#model.write(this.#stops.at(-1).state, this.#seen, options);
  }

  // Suggestions of words and ghost text belong here: the search for words is not in the engine yet.
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

function checked(options) {
  const unknown = Object.keys(options).find((name) => !(name in DEFAULTS));
  if (unknown) throw new Error(`there is no option ${unknown}; there are ${Object.keys(DEFAULTS).join(", ")}`);
  const { length, temperature, stop } = options;
  if (!(Number.isInteger(length) && length >= 0 && length <= MAX_LENGTH))
    throw new Error(`length is ${length}, but it must be a whole number from 0 to ${MAX_LENGTH}`);
  if (!(temperature >= 0 && temperature < Infinity))
    throw new Error(`temperature is ${temperature}, but it must be a number of 0 or more`);
  if (stop.some((string) => !string)) throw new Error("a stop string is empty, but it must hold at least one character");
  return options;
}
