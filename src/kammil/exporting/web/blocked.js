// Words that are not written: the automaton of `Blocklist` in `kammil/data/blocklist.py`. A position is node * 65,536 +
// number of an entry, 0 while it may be any.

const EOS = 3, SEPARATOR = " ", TAIL = 64, MAX_NUMBERED = 1024, ALL = { has: () => true };

export class Blocked {
  #graph; #children; #ends; #folds; #pieces; #ids; #folded; #exempt = new Set(); #states = new Map();
  #nowhere; #begin; #engine; #numbered = [null];

  /** A graph as the export writes it, the text of every id, "" for those that are never written, and the engine. */
  constructor(graph, pieces, engine) {
    [this.#graph, this.#engine] = [graph, engine];
    this.#children = graph.children.map((nodes) => new Map(nodes.map((node) => [graph.letters[node], node])));
    this.#ends = new Set(graph.ends);
    this.#folds = new Map(Object.entries(graph.folds));
    [this.#pieces, this.#ids] = [pieces, [...pieces.keys()]];
    this.#folded = pieces.map((piece, id) => [...(id === EOS ? SEPARATOR : piece && this.#fold(piece))]);
    this.#nowhere = this.#state([]);
    this.#begin = this.#state(graph.begin);
  }

  /** The state after a typed text, at whose end a blocked word does not block. */
  start(text) {
    const characters = [...text];
    let state = characters.length > TAIL ? this.#nowhere : this.#begin;
    for (const character of characters.slice(-TAIL)) state = this.after(state, character);
    return this.blocked(state) ? this.#state(state.positions, true) : state;
  }

  /** The state after one more character. */
  after(state, character) {
    let found = state.next.get(character);
    if (!found) {
      let { positions, typed } = state;
      for (const letter of this.#fold(character)) [positions, typed] = [this.#stepped(positions, letter), false];
      state.next.set(character, (found = this.#state(positions, typed)));
    }
    return found;
  }

  /** The state of a text that is either of two. */
  either(state, other) {
    return this.#state([...state.positions, ...other.positions], state.typed);
  }

  /** Whether a blocked word would stand here, if the text ended. */
  blocked(state) {
    return !state.typed && this.#matching(state).some((number) => !this.#exempt.has(number));
  }

  /** The ids that must not follow where `room` characters are left. */
  refused(state, room) {
    const ids = this.#ids;
    state.refused ??= new Set(ids.filter((id) => this.#isRefused(state, this.#folded[id])));
    if (room > 1) return state.refused;
    const isBlocked = (id) => this.#pieces[id] && this.blocked(this.after(state, this.#pieces[id]));
    return (state.refusedLast ??= new Set([...state.refused, ...ids.filter(isBlocked)]));
  }

  /** Numbers of the entries in a text that who wrote it may be shown: none of the model owner's own. */
  entriesIn(text) {
    const found = new Set();
    let state = this.#begin;
    for (const character of [...text, SEPARATOR]) {
      const folded = this.#fold(character);
      if (folded.startsWith(SEPARATOR))
        for (const number of this.#matching(state)) if (number > this.#graph.own) found.add(number);
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

  /** Block all entries but these. */
  exempt(numbers) {
    this.#exempt = numbers;
    this.#numbered = [null];
    const unknown = { number: undefined, refused: undefined, refusedLast: undefined, letters: undefined };
    for (const state of this.#states.values()) Object.assign(state, unknown);
  }

  /** Addresses of a table for the engine's search, which holds what was asked of states that are numbered from 1. */
  table() {
    const size = 4 * MAX_NUMBERED * this.#pieces.length;
    this.addresses ??= [this.#engine.allocate(size), this.#engine.allocate(MAX_NUMBERED), 1];
    if (this.#numbered.length > MAX_NUMBERED / 2) this.exempt(this.#exempt); // a search makes a few hundred
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

  #matching({ positions }) {
    return positions.filter((position) => this.#ends.has(position >> 16) && position & 0xffff).map((p) => p & 0xffff);
  }

  #isRefused(state, folded) {
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
      if (node === this.#graph.any && !this.#exempt.has(position & 0xffff)) return ALL;
      for (const [letter, numbers] of Object.entries(this.#graph.known[node] ?? {}))
        if (numbers.some((number) => !this.#exempt.has(number))) letters.add(letter);
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

  #state(positions, typed = false) {
    const unique = [...new Set(positions)].sort((a, b) => a - b), name = `${typed} ${unique}`;
    if (!this.#states.has(name)) this.#states.set(name, { positions: unique, typed, next: new Map() });
    return this.#states.get(name);
  }

  #fold(character) {
    return this.#folds.get(character) ?? SEPARATOR; // what the model does not know separates
  }
}
