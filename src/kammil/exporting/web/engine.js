// The engine, `kernel.c`, as WebAssembly. The arrays of a model are copied into its memory once. A state, which says
// where a text is, is bytes as `state_at` lays them out, and how many ids its cache holds.

const SIMD = "0061736d010000000105016000017b030201000a0a0108004100fd0ffd620b"; // a program of such instructions
const BOS = 2, EOS = 3;

/** The address of the faster build that runs here. A bundler sees both of them: they are written out. */
export function build() {
  const program = Uint8Array.from(SIMD.match(/../g), (byte) => parseInt(byte, 16));
  return WebAssembly.validate(program)
    ? new URL("./kammil-simd.wasm", import.meta.url)
    : new URL("./kammil.wasm", import.meta.url);
}

export class Engine {
  #code; #layout = new Map(); #model = 0; #sizes; #learnt = { pairs: 0, counts: 0, size: 0 };

  constructor(code) {
    this.#code = code;
    code._initialize();
    for (let at = code.kammil_layout(); ; at += 16) {
      const name = this.#view.getUint32(at, true), bytes = new Uint8Array(code.memory.buffer);
      if (!name) break;
      const text = new TextDecoder().decode(bytes.subarray(name, bytes.indexOf(0, name)));
      this.#layout.set(text, Number(this.#view.getBigInt64(at + 8, true)));
    }
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
    fields.gru = this.#allocate(size * networks.length);
    networks.forEach(({ gates, candidate, ...matrices }, i) => {
      const at = fields.gru + i * size;
      for (const name in matrices) this.#matrix(at + this.constant(`GRUWeights.${name}`), matrices[name]);
      this.#write("GRUWeights", at, { input_gates: this.#put(gates), input_new: this.#put(candidate) });
    });
    this.#model = this.#allocate(this.constant("sizeof Model"));
    this.#write("Model", this.#model, fields);
    this.#sizes = { ...numbers, width: networks.length * numbers.hidden };
  }

  /** Set what was learnt, in place of what was set before: counts of pairs, key * 65,536 + id, ascending. */
  setLearnt(pairs, counts) {
    this.#code.free(this.#learnt.pairs);
    this.#code.free(this.#learnt.counts);
    const words = new Uint32Array(2 * pairs.length);
    pairs.forEach((pair, i) => {
      words[2 * i] = pair % 2 ** 32;
      words[2 * i + 1] = Math.floor(pair / 2 ** 32);
    });
    this.#learnt = { pairs: this.#put(words), counts: this.#put(counts), size: pairs.length };
  }

  /** @returns {State} */
  initialState() {
    const bytes = new Uint8Array(this.#stateBytes(0));
    new BigInt64Array(bytes.buffer, 0, this.#sizes.max_order).fill(BigInt(BOS));
    return { bytes, length: 0 };
  }

  /** Read ids; return the natural log-probabilities after the last `last` of them, (last, V), and the state. */
  forward(ids, state, last) {
    const length = Math.min(state.length + ids.length, this.constant("WINDOW"));
    return this.#call((keep) => {
      const message = keep(this.#message(ids, state, last));
      const after = keep(this.#allocate(this.#stateBytes(length)));
      const size = last * this.#sizes.vocabulary;
      const scores = keep(this.#allocate(4 * size));
      checked(this.#code.kammil_forward(this.#model, message, after, scores, 0));
      return { logProbabilities: this.#get(Float32Array, scores, size), state: this.#state(after, length) };
    });
  }

  /** Sample an id for each of `chances`, in [0, 1), but no `forbidden` one, and read it before the next; stop after the
   * end of text. Something must have been read before. */
  sample(state, chances, temperature, forbidden) {
    const n = chances.length, window = this.constant("WINDOW");
    return this.#call((keep) => {
      const message = keep(this.#message([], state, 1));
      const [uniforms, mask] = [Float64Array.from(chances), forbidden].map((array) => keep(this.#put(array)));
      const after = keep(this.#allocate(this.#stateBytes(Math.min(state.length + n, window))));
      const [ids, scores] = [8, 4].map((bytes) => keep(this.#allocate(bytes * n)));
      const results = [after, ids, scores], end = BigInt(EOS);
      const count = checked(
        this.#code.kammil_sample(this.#model, message, BigInt(n), uniforms, temperature, mask, end, ...results),
      );
      return {
        ids: [...this.#get(BigInt64Array, ids, count)].map(Number),
        logProbabilities: this.#get(Float32Array, scores, count),
        state: this.#state(after, Math.min(state.length + count, window)),
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

  #message(ids, state, last) {
    const { pairs, counts, size } = this.#learnt;
    const head = [1, ids.length, last, state.length, pairs, counts, size, 0, 0, 0, ...ids]; // addresses are numbers
    const bytes = new Uint8Array(8 * head.length + state.bytes.length);
    bytes.set(new Uint8Array(BigInt64Array.from(head, BigInt).buffer));
    bytes.set(state.bytes, 8 * head.length);
    return this.#put(bytes);
  }

  #stateBytes(length) {
    const { max_order, width, cache_types } = this.#sizes;
    return 8 * (max_order + this.constant("WORD_STATE") + length) + 4 * (width + length * cache_types);
  }

  #state(address, length) {
    return { bytes: this.#get(Uint8Array, address, this.#stateBytes(length)), length };
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

  #allocate(bytes) {
    const address = this.#code.malloc(bytes);
    checked(address ? 0 : -1);
    new Uint8Array(this.#code.memory.buffer, address, bytes).fill(0);
    return address;
  }

  #put(array) {
    const address = this.#allocate(Math.max(1, array.byteLength));
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    new Uint8Array(this.#code.memory.buffer).set(bytes, address);
    return address;
  }

  #get(kind, address, length) {
    return new kind(this.#code.memory.buffer, address, length).slice();
  }
}

function checked(result) {
  if (result < 0) throw new Error(result === -1 ? "there is no memory left" : "an id is not in the vocabulary");
  return result;
}
