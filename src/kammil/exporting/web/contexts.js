// The contexts in which a blend counts, and what it learns at run time: see `contexts.py` and `adaptive.py` of ngrams.

import { TRUST, joined } from "./engine.js";

const BOS = 2, EOS = 3;
const MIX_A = 0x9e3779b97f4a7c15n, MIX_B = 0xc2b2ae3d27d4eb4fn, MIX_C = 0x165667b19e3779f9n, MASK = (1n << 64n) - 1n;
const LAYER = { o4: 10, l: 10, l1: 3, o12: 0.3 }; // context types of the writer's layer, and their weights

/** The texts that a list holds more often than another does. */
export function lacking(texts, others) {
  const counts = new Map();
  for (const text of others) counts.set(text, (counts.get(text) ?? 0) + 1);
  return texts.filter((text) => {
    const count = counts.get(text) ?? 0;
    counts.set(text, count - 1);
    return count <= 0;
  });
}

function mix(number) {
  let x = number & MASK;
  x = ((x ^ (x >> 33n)) * MIX_A) & MASK;
  x = ((x ^ (x >> 33n)) * MIX_B) & MASK;
  return x ^ (x >> 29n);
}

export class Contexts {
  #kinds; #inWord; #longest; #hashes; #salts; #learnt = new Map(); #pairs = new Float64Array(); #counts = new Int32Array();

  /** Context types such as o3 or w1, those of them that are looked up in the text itself, and which ids belong to words. */
  constructor(kinds, history, inWord, engine) {
    const counted = kinds.length, layer = Object.keys(LAYER);
    kinds = this.#kinds = [...kinds, ...layer.filter((kind) => !kinds.includes(kind))];
    this.#inWord = inWord;
    const orders = kinds.map((kind) => (kind.startsWith("o") ? Number(kind.slice(1)) : 0));
    this.#longest = Math.max(1, ...orders);
    const ids = Array.from(inWord, (_, id) => mix(BigInt(id) + MIX_C));
    this.#hashes = Array.from({ length: this.#longest + 1 }, (_, n) => ids.map((hash) => mix(hash + BigInt(n) * MIX_B)));
    this.#salts = kinds.map((_, k) => mix(BigInt(k + 1) * MIX_C));
    const spec = kinds.map((kind, k) => orders[k] || engine.constant(`CONTEXT_${kind.toUpperCase()}`));
    const uses_words = Number(orders.includes(0));
    this.numbers = {
      ...{ context_types: counted, hashed_types: kinds.length, cache_types: history.length, layer_types: layer.length },
      ...{ max_order: this.#longest, uses_words },
    };
    this.arrays = {
      id_hashes: BigUint64Array.from(this.#hashes.flat()),
      salts: BigUint64Array.from(this.#salts),
      context_spec: BigInt64Array.from(spec, BigInt),
      in_word: inWord,
      cache_columns: BigInt64Array.from(history, (kind) => BigInt(kinds.indexOf(kind))),
      layer_columns: BigInt64Array.from(layer, (kind) => BigInt(kinds.indexOf(kind))),
      layer_weights: Float32Array.from(Object.values(LAYER)),
      trust: Float32Array.from(TRUST),
    };
  }

  /** Count texts (1) or take them back (-1), and tell the engine; whether that was possible. */
  count(texts, times, engine) {
    const learnt = new Map(this.#learnt);
    for (const name of texts.map((ids) => ids.join())) {
      const count = (learnt.get(name) ?? 0) + times;
      if (count < 0) return false;
      if (count) learnt.set(name, count);
      else learnt.delete(name);
    }
    if (!texts.length) return true;
    this.#learnt = learnt;
    this.#add(new Float64Array(joined(texts.map((ids) => this.#pairsOf(ids))).buffer).sort(), times);
    engine.setLearnt(this.#pairs, this.#counts);
    return true;
  }

  /** Merge ascending pairs, each of which counts `times`, with those of before, which are copied in runs. */
  #add(pairs, times) {
    const [known, knownCounts] = [this.#pairs, this.#counts], merged = new Float64Array(known.length + pairs.length);
    const counts = new Int32Array(merged.length);
    let size = 0, from = 0;
    const copy = (to) => {
      if (to > from) {
        merged.set(known.subarray(from, to), size);
        counts.set(knownCounts.subarray(from, to), size);
      }
      [size, from] = [size + to - from, to];
    };
    for (let i = 0; i < pairs.length; ) {
      const begin = i, pair = pairs[begin];
      while (pairs[i] === pair) i++;
      let low = from, high = known.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (known[middle] < pair) low = middle + 1;
        else high = middle;
      }
      copy(low);
      const count = times * (i - begin) + (known[from] === pair ? knownCounts[from++] : 0);
      if (count) [merged[size], counts[size++]] = [pair, count];
    }
    copy(known.length);
    [this.#pairs, this.#counts] = [merged.slice(0, size), counts.slice(0, size)];
  }

  /** key * 65,536 + follower, of each context in a text. */
  #pairsOf(ids) {
    const pairs = [], read = [...Array(this.#longest - 1).fill(BOS), BOS, ...ids];
    let current = 0n, previous = 0n, earlier = 0n, letters = 0n, before = 0n, wasInside = 0;
    for (let t = 0; t <= ids.length; t++) {
      const at = t + this.#longest - 1, inside = this.#inWord[read[at]];
      if (wasInside && !inside) [previous, earlier, before] = [current, previous, letters];
      current = mix((inside ? current : 0n) + this.#hashes[0][read[at]]);
      letters = mix((inside && wasInside ? letters : 0n) + this.#hashes[0][read[at]]);
      wasInside = inside;
      const orders = [0n];
      for (let n = 1; n <= this.#longest; n++) orders.push(orders[n - 1] + this.#hashes[n][read[at - n + 1]]);
      const two = (mix(current + MIX_A) + previous) & MASK;
      const words = { w: current, w1: two, w2: mix(two) + earlier, w1s: mix(current + MIX_B) + earlier };
      Object.assign(words, { l: letters, l1: mix(letters + MIX_A) + before });
      this.#kinds.forEach((kind, k) => {
        const hash = words[kind] ?? orders[Number(kind.slice(1))];
        pairs.push(Number(mix(hash + this.#salts[k]) >> 32n) * 2 ** 16 + (ids[t] ?? EOS));
      });
    }
    return Float64Array.from(pairs);
  }
}
