// Words that are not written: the automaton of `Blocklist` in `kammil/data/blocklist.py`. A position is node * 65,536 +
// number of an entry, 0 while it may be any.

import { lastCharacters } from "./text.js";

const EOS = 3, SEPARATOR = " ", MAX_NUMBERED = 1024, ALL = { has: () => true };
const TAIL = 96, MAX_TAIL = 96 << 7, TAIL_WORDS = 14; // as of Python's states
const WORDS = /[[\p{L}\p{N}]--\p{Lm}--[\uFC5E-\uFE7F]][\p{L}\p{N}\p{M}\p{Cf}]*/gv;

/** The end of a text that makes its state: see `_tail` in Python. */
function tailOf(text, size = TAIL) {
  const tail = lastCharacters(text, size), isWhole = tail.length === text.length;
  return isWhole || size >= MAX_TAIL || tail.match(WORDS)?.length > TAIL_WORDS ? tail : tailOf(text, 2 * size);
}

export class Blocked {
  #graph; #children; #ends; #folds; #pieces; #ids; #folded; #isExempt; #states = new Map();
  #nowhere; #begin; #engine; #numbered = [null]; #known = new Map(); #silentWords; #harmless; #atOnce;

  /** A graph as the export writes it, the text of every id, "" for those that are never written, the engine, and which
   * numbers block nothing. */
  constructor(graph, pieces, engine, isExempt) {
    [this.#graph, this.#engine, this.#isExempt] = [graph, engine, isExempt];
    this.#children = graph.children.map((nodes) => new Map(nodes.map((node) => [graph.letters[node], node])));
    this.#ends = new Set(graph.ends);
    [this.#harmless, this.#atOnce] = [new Set(graph.harmless), new Set(graph.atOnce)];
    this.#silentWords = new Map(Object.entries(graph.silentWords).map(([number, most]) => [Number(number), most]));
    for (const [node, letters] of Object.entries(graph.known))
      for (const [letter, numbers] of Object.entries(letters)) {
        const child = this.#children[node].get(letter);
        this.#known.set(child, [...(this.#known.get(child) ?? []), ...numbers]);
      }
    this.#folds = new Map(Object.entries(graph.folds));
    [this.#pieces, this.#ids] = [pieces, [...pieces.keys()]];
    this.#folded = pieces.map((piece, id) => [...(id === EOS ? SEPARATOR : piece && this.#fold(piece))]);
    this.#nowhere = this.#state([]);
    this.#begin = this.#state(graph.begin);
  }

  /** The state after a typed text. An own word at its end does not block; another silences if it can become no other
   * one. */
  start(text) {
    const tail = tailOf(text);
    let state = tail.length < text.length ? this.#nowhere : this.#begin;
    for (const character of tail) state = this.after(state, character);
    return (state.started ??= this.#started(state));
  }

  #started({ positions, recent }) {
    const isSilent = (number) => this.#silentWords.has(number) && this.#blocks(number);
    const ended = this.#ended(positions), begun = positions.flatMap((at) => this.#known.get(at >> 16) ?? []);
    const stems = positions.filter((at) => at >> 16 === this.#graph.any).map((at) => at & 0xffff);
    const known = [...begun, ...stems, ...ended.filter((number) => this.#atOnce.has(number))];
    const isHarmless = known.some((number) => this.#harmless.has(number));
    const silent = !isHarmless && [...known, ...recent.map(([number]) => number)].some(isSilent);
    return this.#state(positions, recent, silent ? "silent" : ended.length && !ended.some(isSilent) ? "typed" : "");
  }

  /** Whether nothing may follow a typed text. */
  silent = (text) => this.start(text).typed === "silent";

  #blocks = (number) => !this.#isExempt(number) && !this.#harmless.has(number);

  /** The state after one more character. */
  after(state, character) {
    let found = state.next.get(character);
    if (found) return found;
    const folded = this.#fold(character);
    found = state.next.get(folded);
    if (!found) {
      let { positions, recent, typed } = state;
      for (const letter of folded) {
        if (letter === SEPARATOR && !this.#graph.begin.every((position) => positions.includes(position)))
          recent = this.#afterWord(positions, recent);
        [positions, typed] = [this.#stepped(positions, letter), ""];
      }
      state.next.set(folded, (found = this.#state(positions, recent, typed)));
    }
    state.next.set(character, found);
    return found;
  }

  /** The state of a text that is either of two. */
  either(one, two) {
    const typed = two.typed === "silent" ? two.typed : one.typed;
    return this.#state([...one.positions, ...two.positions], [...one.recent, ...two.recent], typed);
  }

  /** Whether a blocked word would stand here, if the text ended. */
  blocked(state) {
    return !state.typed && this.#ended(state.positions).some(this.#blocks);
  }

  /** The ids that must not follow where `room` characters are left. */
  refused(state, room) {
    const ids = this.#ids;
    state.refused ??= new Set(ids.filter((id) => this.#isRefused(state, this.#folded[id])));
    if (room > 1) return state.refused;
    const isBlocked = (id) => this.#pieces[id] && this.blocked(this.after(state, this.#pieces[id]));
    return (state.refusedLast ??= new Set([...state.refused, ...ids.filter(isBlocked)]));
  }

  /** Numbers of the entries in a text that who wrote it may be shown: of offensive words alone. */
  entriesIn(text) {
    const found = new Set();
    let state = this.#begin;
    for (const character of [...text, SEPARATOR]) {
      const folded = this.#fold(character);
      if (folded.startsWith(SEPARATOR))
        for (const number of this.#ended(state.positions)) if (number > this.#graph.always) found.add(number);
      state = this.after(state, character);
    }
    return found;
  }

  /** The state after more ids; null where one of them is refused. */
  afterIds(state, ids) {
    for (const id of ids) {
      if (this.refused(state, Infinity).has(id)) return null;
      state = this.after(state, this.#pieces[id]);
    }
    return state;
  }

  /** Forget what was asked: other numbers are exempt. */
  forget() {
    this.#numbered = [null];
    const asked = ["number", "refused", "refusedLast", "letters", "started"];
    for (const state of this.#states.values()) for (const name of asked) state[name] = undefined;
  }

  /** Addresses and states of a table for the engine's search, which holds what was asked of states that are numbered from 1. */
  table() {
    const size = 4 * MAX_NUMBERED * this.#pieces.length;
    this.addresses ??= [this.#engine.allocate(size), this.#engine.allocate(MAX_NUMBERED), MAX_NUMBERED];
    if (this.#numbered.length > MAX_NUMBERED / 2) this.forget(); // a search makes a few hundred
    return this.addresses;
  }

  /** The number of a state in the table; 0 where there is no room. */
  numberOf(state) {
    if (!state.number && this.#numbered.length < MAX_NUMBERED) {
      state.number = this.#numbered.push(state) - 1;
      const row = new Int32Array(this.#pieces.length), [next, blocked] = this.addresses;
      for (const id of this.refused(state, Infinity)) row[id] = -1;
      this.#engine.write(next + state.number * row.byteLength, row);
      this.#engine.write(blocked + state.number, Uint8Array.of(this.blocked(state)));
    }
    return state.number ?? 0;
  }

  /** The number of the state after an id, which the table knows from now on. */
  numberAfter(number, id) {
    const after = this.numberOf(this.after(this.#numbered[number], this.#pieces[id]));
    this.#engine.write(this.addresses[0] + 4 * (number * this.#pieces.length + id), Int32Array.of(after));
    return after;
  }

  #ended(positions) {
    return positions.filter((position) => this.#ends.has(position >> 16) && position & 0xffff).map((p) => p & 0xffff);
  }

  /** What silences after the word that ends here: numbers of entries, and of words since. */
  #afterWord(positions, recent) {
    const ended = this.#ended(positions);
    if (ended.some((number) => this.#harmless.has(number))) return [];
    const new_ = ended.filter((number) => this.#silentWords.has(number)).map((number) => [number, 0]);
    const later = recent.map(([number, since]) => [number, since + 1]);
    return [...new_, ...later.filter(([number, since]) => since < this.#silentWords.get(number))];
  }

  #isRefused(state, folded) {
    if (state.typed === "silent") return true;
    if (folded.length > 1 && state === this.#nowhere) return false;
    for (const letter of folded) {
      const letters = (state.letters ??= this.#lettersRefused(state));
      if (letter === SEPARATOR ? this.blocked(state) : letters.has(letter)) return true;
      if (folded.length > 1) state = this.#state(this.#stepped(state.positions, letter));
    }
    return false;
  }

  /** Folded letters that must not follow. */
  #lettersRefused({ positions }) {
    const letters = new Set();
    for (const position of positions) {
      const node = position >> 16;
      if (node === this.#graph.any && this.#blocks(position & 0xffff)) return ALL;
      for (const [letter, numbers] of Object.entries(this.#graph.known[node] ?? {}))
        if (numbers.some(this.#blocks)) letters.add(letter);
    }
    return letters;
  }

  #stepped(positions, letter) {
    const reached = new Set(), { letters, any, begin } = this.#graph;
    for (const position of positions) {
      const node = position >> 16, child = this.#children[node].get(letter);
      if (child !== undefined) reached.add((child << 16) | (position & 0xffff));
      if (letter === letters[node] || (node === any && letter !== SEPARATOR)) reached.add(position);
    }
    for (const position of reached) // a set goes on with what is added on the way
      if (!(position & 0xffff)) for (const further of this.#graph.arrivals[position >> 16] ?? []) reached.add(further);
    return [...reached, ...(letter === SEPARATOR ? begin : [])];
  }

  #state(positions, recent = [], typed = "") {
    const unique = [...new Set(positions)].sort((a, b) => a - b);
    const name = [typed, unique, ...recent.map(String).sort()].join(" ");
    if (!this.#states.has(name)) this.#states.set(name, { positions: unique, recent, typed, next: new Map() });
    return this.#states.get(name);
  }

  #fold(character) {
    const folded = this.#folds.get(character);
    if (folded !== undefined) return folded;
    const kind = /[\p{L}\p{N}]|([\p{M}\p{Cf}])/v.exec(character); // of what the model does not know
    return kind ? (kind[1] ? "" : character) : SEPARATOR;
  }
}
