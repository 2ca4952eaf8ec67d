// The engine, `kernel.c`, as WebAssembly. The arrays of a model are copied into its memory once. A state, which says
// where a text is, is a list of the arrays of `state_at`, as bytes, for one text.

const SIMD = "0061736d010000000105016000017b030201000a0a0108004100fd0ffd620b"; // a program of such instructions
const BOS = 2, EOS = 3;
const UNKNOWN_STATES = -3;
const HIDDEN = 3; // part of a state: the networks'
export const TRUST = [0.3, 0.05]; // in the writer's layer at first, and what of it is shared at each id
const FAILURES = ["there is no memory left", "an id or a state is unknown", "the blocked words are too many"];

/** The address of the faster build that runs here. A bundler sees both of them: they are written out. */
export function build() {
  const program = Uint8Array.from(SIMD.match(/../g), (byte) => parseInt(byte, 16));
  return WebAssembly.validate(program)
    ? new URL("./kammil-simd.wasm", import.meta.url)
    : new URL("./kammil.wasm", import.meta.url);
}

export class Engine {
  #code; #layout = new Map(); #model = 0; #sizes; #words; #learnt = { pairs: 0, counts: 0, size: 0 }; #heard;

  /** The engine of compiled code. */
  static async of(wasm) {
    const engine = new Engine(), code = (engine.#code = (await WebAssembly.instantiate(wasm)).instance.exports);
    code._initialize();
    const bytes = new Uint8Array(code.memory.buffer), view = engine.#view;
    for (let at = code.kammil_layout(), name; (name = view.getUint32(at, true)); at += 16) {
      const text = new TextDecoder().decode(bytes.subarray(name, bytes.indexOf(0, name)));
      engine.#layout.set(text, Number(view.getBigInt64(at + 8, true)));
    }
    return engine;
  }

  /** A constant of kernel.c, such as WINDOW. */
  constant(name) {
    return this.#layout.get(name);
  }

  /** Set the model: its numbers and arrays, by the names of kernel.c's Model, and its networks. */
  setModel(numbers, arrays, networks) {
    const fields = { ...numbers, networks: networks.length };
    for (const [name, value] of Object.entries(fields)) fields[name] = BigInt(value); // the rest are addresses
    for (const [name, array] of Object.entries(arrays)) {
      const size = this.constant(`*Model.${name}`);
      if (size !== array.BYTES_PER_ELEMENT) throw new Error(`${name} has other numbers than the engine`);
      fields[name] = this.#put(array);
    }
    const size = this.constant("sizeof GRUWeights");
    fields.gru = this.allocate(size * networks.length);
    networks.forEach(({ gates, candidate, ...matrices }, i) => {
      const at = fields.gru + i * size;
      for (const name in matrices) this.#matrix(at + this.constant(`GRUWeights.${name}`), matrices[name]);
      this.#write("GRUWeights", at, { input_gates: this.#put(gates), input_new: this.#put(candidate) });
    });
    this.#model = this.allocate(this.constant("sizeof Model"));
    this.#write("Model", this.#model, fields);
    this.#sizes = { ...numbers, width: networks.length * numbers.hidden };
  }

  /** Set what was learnt, in place of what was set before: counts of pairs, key * 65,536 + id, ascending. */
  setLearnt(pairs, counts) {
    this.#code.free(this.#learnt.pairs);
    this.#code.free(this.#learnt.counts);
    const words = new Uint32Array(2 * pairs.length);
    for (let i = 0; i < pairs.length; i++) {
      words[2 * i] = pairs[i]; // its last 32 bits
      words[2 * i + 1] = pairs[i] / 2 ** 32;
    }
    this.#learnt = { pairs: this.#put(words), counts: this.#put(counts), size: pairs.length };
  }

  /** A part of each id in a word, as a search reads it: arrays by the names of kernel.c's WordQuery. */
  setWords({ fold_begins, folds, kinds, close }) {
    const [whole, bytes] = [[fold_begins, folds].map((some) => Int32Array.from(some)), Uint8Array.from(kinds)];
    this.#words = [...whole, bytes, Float32Array.from(close)].map((array) => this.#put(array));
  }

  initialState() {
    const parts = this.#stateParts(0, 0).map((bytes) => new Uint8Array(bytes));
    parts[0] = bytesOf(new BigInt64Array(this.#sizes.max_order).fill(BigInt(BOS)));
    parts[HIDDEN] = this.#heard ?? parts[HIDDEN];
    return parts;
  }

  /** Let texts begin at a share of the networks' state after ids, if there are any. */
  hear(ids, share) {
    const learnt = this.#learnt;
    this.#heard = null;
    if (!ids.length) return;
    this.#learnt = { ...learnt, size: 0 }; // so the networks read alone
    const [state] = this.forward([[BOS, ...ids]], [this.initialState()], 0).states;
    this.#learnt = learnt;
    this.#heard = bytesOf(new Float32Array(state[HIDDEN].buffer).map((value) => share * value));
  }

  /** Read ids of N texts, as many of each; return the natural log-probabilities after the last `last` of them, (N, last, V),
   * and the states. */
  forward(texts, states, last) {
    const n = texts.length, time = texts[0].length, length = Math.min(longest(states) + time, this.constant("WINDOW"));
    const trusts = this.#trusts(), positions = trusts ? time : last; // trust is a matter of every position
    return this.#call((keep) => {
      const message = keep(this.#message(texts, states, positions));
      const after = keep(this.allocate(n * this.#stateBytes(length, trusts)));
      const row = 4 * this.#sizes.vocabulary, scores = keep(this.allocate(n * positions * row));
      checked(this.#code.kammil_forward(this.#model, message, after, scores, 0));
      const found = texts.map((_, i) => this.#get(Uint8Array, scores + ((i + 1) * positions - last) * row, last * row));
      const logProbabilities = new Float32Array(joined(found).buffer);
      return { logProbabilities, states: this.#states(after, n, length, trusts) };
    });
  }

  /** Search words from states with a probability each, as `kammil_search` of kernel.c does: `roots` are {state, weight,
   * p: (V,), allowed: (V,), replacement, refused}. Return {root, ids, probability, best}, most probable first. */
  search(roots, { k, width, maxCharacters, threshold, minForeign, classes, typed, blocked }) {
    const begins = [0], stems = [...roots.map(({ replacement }) => replacement), typed];
    for (const ids of stems) begins.push(begins.at(-1) + ids.length);
    const addresses = [...this.#words, ...(blocked?.table() ?? [0, 0, 0])];
    const states = roots.map(({ refused }) => blocked?.numberOf(refused) ?? 0);
    return this.#call((keep) => {
      const message = keep(this.#message(roots.map(() => []), roots.map(({ state }) => state), 0));
      const query = keep(
        this.#put(
          joined([
            BigInt64Array.from([roots.length, k, width, maxCharacters], BigInt),
            Float64Array.of(threshold, minForeign),
            BigInt64Array.from(addresses, BigInt),
            Float64Array.from(roots, ({ weight }) => weight),
            BigInt64Array.from([...states, ...begins, ...stems.flat()], BigInt),
            ...roots.map(({ p }) => p),
            classes,
            ...roots.map(({ allowed }) => allowed),
          ]),
        ),
      );
      const row = 2 + maxCharacters, asked = [this.#model, message, query];
      const sizes = [Number(this.#code.kammil_search_bytes(...asked)), 16 * width, 8 * k * row, 16 * k, 16];
      const results = sizes.map((bytes) => keep(this.allocate(bytes))), [, unknown, words, probabilities, stats] = results;
      let count;
      while ((count = this.#code.kammil_search(...asked, ...results)) === UNKNOWN_STATES) {
        const size = 2 * Number(this.#get(BigInt64Array, stats, 1)[0]);
        const numbers = [...this.#get(BigInt64Array, unknown, size)].map(Number);
        for (let i = 0; i < size; i += 2) checked(blocked.numberAfter(numbers[i], numbers[i + 1]) || UNKNOWN_STATES);
      }
      checked(count);
      const found = this.#get(BigInt64Array, words, count * row), q = this.#get(Float64Array, probabilities, 2 * count);
      return Array.from({ length: count }, (_, i) => {
        const [root, length, ...ids] = Array.from(found.subarray(i * row, (i + 1) * row), Number);
        return { root, ids: ids.slice(0, length), probability: q[2 * i], best: q[2 * i + 1] };
      });
    });
  }

  /** Bytes of all memory. */
  get bytes() {
    return this.#code.memory.buffer.byteLength;
  }

  write = (address, array) => new Uint8Array(this.#code.memory.buffer).set(bytesOf(array), address);

  /** Sample an id for each of `chances`, in [0, 1), but no `forbidden` one, and read it before the next; stop after the
   * end of text. Something must have been read before. */
  sample(state, chances, temperature, forbidden) {
    const n = chances.length, window = this.constant("WINDOW");
    return this.#call((keep) => {
      const message = keep(this.#message([[]], [state], 1));
      const [uniforms, mask] = [Float64Array.from(chances), forbidden].map((array) => keep(this.#put(array)));
      const known = longest([state]), trusts = this.#trusts();
      const after = keep(this.allocate(this.#stateBytes(Math.min(known + n, window), trusts)));
      const [ids, scores] = [8, 4].map((bytes) => keep(this.allocate(bytes * n)));
      const results = [after, ids, scores], end = BigInt(EOS);
      const count = checked(
        this.#code.kammil_sample(this.#model, message, BigInt(n), uniforms, temperature, mask, end, ...results),
      );
      return {
        ids: [...this.#get(BigInt64Array, ids, count)].map(Number),
        logProbabilities: this.#get(Float32Array, scores, count),
        state: this.#states(after, 1, Math.min(known + count, window), trusts)[0],
      };
    });
  }

  #call(work) {
    const held = [];
    try {
      return work((address) => (held.push(address), address));
    } finally {
      held.forEach((address) => this.#code.free(address));
    }
  }

  #message(texts, states, last) {
    const { pairs, counts, size } = this.#learnt, length = longest(states);
    const trusts = Math.max(...states.map((state) => state.at(-1).length / 4));
    const head = [texts.length, texts[0].length, last, length, trusts, pairs, counts, size];
    head.push(...Array(12).fill(0), ...texts.flat()); // four levels of forks
    const start = bytesOf(new Float32Array(trusts).fill(TRUST[0]));
    const parts = this.#stateParts(length, trusts).flatMap((bytes, part, { length: count }) =>
      states.flatMap((state) => {
        if (part === count - 1) return [state[part].length ? state[part] : start];
        return [new Uint8Array(bytes - state[part].length), state[part]]; // zeros in front pad a cache
      }),
    );
    return this.#put(joined([BigInt64Array.from(head, BigInt), ...parts])); // addresses are numbers
  }

  /** Numbers of trust in a state: none before something was learnt. */
  #trusts() {
    return this.#learnt.size ? 1 + this.#sizes.vocabulary : 0;
  }

  /** Bytes of each array of a state. */
  #stateParts(length, trusts) {
    const { max_order, width, cache_types } = this.#sizes, words = 8 * this.constant("WORD_STATE");
    return [8 * max_order, words, 8 * length, 4 * width, 4 * length * cache_types, 4 * trusts];
  }

  #stateBytes(length, trusts) {
    return this.#stateParts(length, trusts).reduce((sum, bytes) => sum + bytes, 0);
  }

  #states(address, n, length, trusts) {
    const parts = this.#stateParts(length, trusts).map((bytes) =>
      Array.from({ length: n }, () => this.#get(Uint8Array, (address += bytes) - bytes, bytes)),
    );
    return Array.from({ length: n }, (_, row) => parts.map((rows) => rows[row]));
  }

  #matrix(at, { weights, scales, zeroOffsets, inputs, outputs }) {
    const addresses = { weights: this.#put(weights), scales: this.#put(scales), zero_offsets: this.#put(zeroOffsets) };
    this.#write("QuantizedMatrix", at, { ...addresses, inputs: BigInt(inputs), outputs: BigInt(outputs) });
  }

  #write(struct, at, fields) {
    for (const [name, value] of Object.entries(fields)) {
      const place = at + this.constant(`${struct}.${name}`);
      if (typeof value === "bigint") this.#view.setBigInt64(place, value, true);
      else this.#view.setUint32(place, value, true);
    }
  }

  get #view() {
    return new DataView(this.#code.memory.buffer); // anew, since memory that grows has another buffer
  }

  /** Memory of zeros. */
  allocate(bytes) {
    const address = this.#code.malloc(bytes);
    checked(address ? 0 : -1);
    new Uint8Array(this.#code.memory.buffer, address, bytes).fill(0);
    return address;
  }

  #put(array) {
    const address = this.allocate(Math.max(1, array.byteLength));
    this.write(address, array);
    return address;
  }

  #get(kind, address, length) {
    return new kind(this.#code.memory.buffer, address, length).slice();
  }
}

const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const longest = (states) => Math.max(...states.map(([, , cached]) => cached.length / 8)); // ids in the cache

export function joined(arrays) {
  const bytes = new Uint8Array(arrays.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const array of arrays) {
    bytes.set(bytesOf(array), at);
    at += array.byteLength;
  }
  return bytes;
}

function checked(result) {
  if (result < 0) throw new Error(FAILURES[-1 - result]);
  return result;
}
