// A Kammil model in a browser or in Node: complete, suggest, score and learn, with nothing on a server but files. Types
// and what the functions mean: kammil.d.ts.

import { Blocked } from "./blocked.js";
import { Contexts, lacking } from "./contexts.js";
import { build, Engine } from "./engine.js";
import { blend } from "./folder.js";
import { Random } from "./random.js";
import { sum } from "./begun.js";
import { compiled, Session } from "./suggest.js";
import { checkedText, cutGrapheme, holds, lastCharacters, textRules, wordsOf } from "./text.js";
import { CONTEXT, PROFILE_LIMITS } from "./ui/facts.js";

const UNK = 1, BOS = 2, EOS = 3, SPECIALS = 4;
const BULK = 32, PIECE = 64, MAX_OPENING = 40;
const [MAX_MESSAGES, MAX_CHARACTERS, MAX_HEARD, STOPS, HEARD] = CONTEXT; // as of Python's contexts
const BEGIN = /^[\p{White_Space}\x1c-\x1f]+/v, END = /[\p{White_Space}\x1c-\x1f]+$/v; // which Python strips

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
  const engine = await Engine.of(wasm), { settings } = description;
  const parts = await blend(weights, settings, vocabulary.characters.length + SPECIALS, engine);
  const contexts = new Contexts(settings.kinds, settings.history, parts.inWord, engine);
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
  /** Grows with what is learnt or forgotten, and whenever another context is read. */
  version = 0;
  #contexts; #ids; #pieces; #blocked; #rulers; #forbidden; #given;
  #heard = { name: "[]", texts: [] };
  #taught = new Map(); #firstWords = new Map(); #letters = new Map(); // learnt

  constructor(engine, contexts, characters, rules, blocked, tables) {
    this.engine = engine;
    this.tables = tables.words && compiled(tables, engine);
    this.#given = tables;
    /** Normalise a text as the model sees it. */
    this.normalise = textRules(rules);
    this.#contexts = contexts;
    this.#ids = new Map(characters.map((character, i) => [character, i + SPECIALS]));
    this.#pieces = ["", "", "", null, ...characters.map((character) => (character.isWellFormed() ? character : ""))];
    this.#forbidden = Uint8Array.from(this.#pieces, (piece, id) => Number(!piece && id !== EOS));
    const without = (isExempt, graph = blocked) => new Blocked(graph, this.#pieces, engine, isExempt);
    this.#blocked = [without((number) => this.#taught.get(number) > 0), without((number) => number > blocked.always)];
    this.#rulers = without(() => false, { ...blocked.rulers, folds: blocked.folds });
  }

  session = (context) => new Session(this, context);
  complete = this.#inSession("complete");
  suggest = this.#inSession("suggest");
  phrase = this.#inSession("phrase");
  reading = this.#inSession("reading");

  #inSession(method) {
    return (text, { context, ...options } = {}) => this.session(context).update(text)[method](options);
  }

  /** Let texts follow these messages alone, until others are heard: see `completion/context.py`. */
  hear(messages) {
    if (!Array.isArray(messages))
      throw new TypeError(`the context is ${`${messages}`.slice(0, 60)}, but it must be an array of texts, oldest first`);
    const recent = messages.slice(-MAX_MESSAGES).map((text) => lastCharacters(checkedText(text), MAX_CHARACTERS)).reverse();
    const before = this.#heard, name = JSON.stringify(recent), texts = [];
    if (name === before.name) return;
    let room = MAX_CHARACTERS;
    for (const message of recent) {
      const text = this.normalise(message).replace(BEGIN, "").replace(END, "");
      if ((room -= [...text].length) < 0) break;
      if (text) texts.unshift(text);
    }
    this.#heard = { name, texts };
    const count = (some, others, times) => this.#contexts.count(lacking(some, others).map(this.encode), times, this.engine);
    count(texts, before.texts, 1);
    count(before.texts, texts, -1);
    const whole = texts.map((text) => text + (STOPS.includes(text.at(-1)) ? " " : ". ")).join("");
    this.engine.hear(this.encode(lastCharacters(whole, MAX_HEARD)), HEARD);
    this.version++;
  }

  after(text) {
    this.hear([]);
    const ids = [BOS, ...this.encode(this.normalise(text))];
    return this.engine.forward([ids], [this.engine.initialState()], 1).logProbabilities;
  }

  score(text, given = "", top = 0, context = []) {
    this.hear(context);
    const before = this.normalise(given), both = this.normalise(given + checkedText(text));
    const seen = both.startsWith(before) ? both.slice(before.length) : this.normalise(text);
    const ids = this.encode(before + seen), read = [BOS, ...ids], targets = [...ids, EOS], bits = [], others = [];
    const size = this.#pieces.length, unknown = Math.log2(0x110000 - (size - SPECIALS));
    let states = [this.engine.initialState()];
    for (let begin = 0; begin < read.length; begin += PIECE) {
      const part = read.slice(begin, begin + PIECE), result = this.engine.forward([part], states, part.length);
      states = result.states;
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
    this.hear([]);
    this.#contexts.count(texts.map(this.#encodeLearnt), 1, this.engine);
    this.#teach(texts, 1);
  }

  forget(...texts) {
    this.hear([]);
    if (!this.#contexts.count(texts.map(this.#encodeLearnt), -1, this.engine))
      throw new Error("the text was not learnt, so it cannot be forgotten");
    this.#teach(texts, -1);
  }

  encode = (text) => Array.from(text, (character) => this.#ids.get(character) ?? UNK);
  decode = (ids) => ids.map((id) => this.#pieces[id]).join("");

  /** Read more ids after each state, as many after all: [{p: probabilities of the next id, state}]. */
  step(texts, states) {
    if (!texts.length) return [];
    const read = this.engine.forward(texts, states, 1), size = this.#pieces.length;
    const p = (i) => read.logProbabilities.subarray(i * size, (i + 1) * size).map(Math.exp);
    return read.states.map((state, i) => ({ p: p(i), state }));
  }

  follow = (ids, state) => this.step([ids], [state])[0];
  /** The words that are not written. */
  blocked = (allowOffensive) => this.#blocked[Number(allowOffensive)];

  /** Words that a text may begin with, by their ids, and the probability that it begins as the model says: `Openings`. */
  openings() {
    const { WORTH, TWICE } = this.tables, { openings } = this.#given, words = new Map(), counts = [...this.#firstWords];
    const texts = counts.reduce((sum, [, count]) => sum + count, 0), known = WORTH / (WORTH + texts);
    const respelt = this.respeltAfter("");
    const add = (spelt, p) => {
      const ids = spelt.map(respelt), before = words.get(ids.join())?.probability ?? 0;
      words.set(ids.join(), { ids, probability: before + p });
    };
    for (const [ids, p] of openings.words) add(ids, known * p);
    for (const [ids, count] of counts.map(([word, count]) => [this.encode(word), count]))
      if (count >= TWICE && !ids.includes(UNK)) add(ids, count / (WORTH + texts));
    return { words, others: known * openings.others };
  }

  /** Ids behind a text -> those that the writer of the learnt texts spells in their place. */
  respeltAfter(text) {
    const learnt = (letters) => sum([...letters].map((letter) => this.#letters.get(letter) ?? 0));
    const { spellings, constants } = this.#given;
    const unused = spellings.filter(({ careful, letters }) => {
      const all = learnt(letters);
      return all >= constants.MIN_LETTERS && learnt(careful) <= constants.MAX_CAREFUL * all && !holds(text, careful);
    });
    const ids = new Map(unused.flatMap(({ ids }) => ids));
    return (id) => ids.get(id) ?? id;
  }

  /** Write a text after a state; see `Session.complete`. */
  write(state, seen, { length, temperature, seed, stop, allowOffensive }) {
    const random = new Random([seed, 0]), characters = [], bits = [];
    const lists = [this.blocked(allowOffensive), this.#rulers], respelt = this.respeltAfter(seen);
    const refusedLengths = new Set(); // at which a blocked word would end
    let states = lists.map((list) => list.start(seen)), reason = length ? "" : "length", chances = [];
    const end = (why, size) => {
      while (refusedLengths.has(size)) size--;
      [reason, characters.length] = [why, size];
    };
    const add = (id, logProbability) => {
      if (!Number.isFinite(logProbability)) throw new Error("the model gives no probabilities; export it again");
      if (id === EOS) return end("end", characters.length);
      const character = this.#pieces[respelt(id)];
      characters.push(character);
      bits.push(-logProbability / Math.LN2);
      states = lists.map((list, i) => list.after(states[i], character));
      if (lists.some((list, i) => list.blocked(states[i]))) refusedLengths.add(characters.length);
      const text = stop.length ? characters.join("") : "";
      const found = stop.map((some) => text.indexOf(some)).filter((at) => at >= 0);
      if (found.length) end("stop", [...text.slice(0, Math.min(...found))].length);
      else if (characters.length >= length) end("length", characters.length - cutGrapheme(characters));
    };
    while (!reason) {
      const wanted = Math.min(BULK, length - bits.length), before = state;
      if (!chances.length) chances = Array.from({ length: wanted }, () => random.next());
      const sampled = this.engine.sample(before, chances, temperature, this.#forbidden);
      state = sampled.state;
      let used = 0;
      for (const id of sampled.ids) {
        const refused = lists.map((list, i) => list.refused(states[i], length - bits.length));
        const isRefused = (id) => refused.some((ids) => ids.has(id));
        used++;
        if (isRefused(id)) {
          // The word would be blocked: another character is drawn, after the state before it.
          state = used > 1 ? this.engine.forward([sampled.ids.slice(0, used - 1)], [before], 0).states[0] : before;
          const mask = this.#forbidden.map((forbidden, id) => Number(forbidden || isRefused(id)));
          const chance = new Random([seed, 0, bits.length, 1]).next();
          const other = this.engine.sample(state, [chance], temperature, mask);
          state = other.state;
          if (mask[other.ids[0]]) end("end", characters.length); // nothing may follow
          else add(other.ids[0], other.logProbabilities[0]);
          break;
        }
        add(id, sampled.logProbabilities[used - 1]);
        if (reason) break;
      }
      chances = chances.slice(used);
    }
    return { text: characters.join(""), finishReason: reason, bits: bits.slice(0, characters.length) };
  }

  #encodeLearnt = (text) => this.encode(this.normalise(text).replace(END, ""));

  /** Allow the blocked words that learnt texts hold, and count their first words and letters. */
  #teach(texts, times) {
    const taught = this.#taught, add = (counts, name) => counts.set(name, (counts.get(name) ?? 0) + times);
    for (const text of texts) {
      for (const number of this.#blocked[0].entriesIn(text)) add(taught, number);
      const begin = [...text.slice(0, 2 * MAX_OPENING)].slice(0, MAX_OPENING).join(""), [first] = wordsOf(begin);
      if (first) add(this.#firstWords, this.normalise(begin.slice(...first)));
      for (const letter of text) add(this.#letters, letter);
    }
    this.#blocked[0].forget();
    this.version++;
  }
}
