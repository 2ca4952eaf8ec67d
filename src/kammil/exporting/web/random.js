// The numbers of NumPy's `default_rng`, so that a seed writes the text that it writes in Python: PCG-64 (O'Neill 2014) of
// a seed that `SeedSequence` spreads.

const MASK_32 = 0xffffffffn, MASK_64 = (1n << 64n) - 1n, MASK_128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

export class Random {
  #state; #increment;

  /** The seed is a list of whole numbers, of 0 or more. */
  constructor(seed) {
    const [high, low, upper, lower] = spread(seed.flatMap(words));
    this.#increment = ((((upper << 64n) | lower) << 1n) | 1n) & MASK_128;
    this.#state = this.#stepped((this.#increment + ((high << 64n) | low)) & MASK_128);
  }

  /** A number in [0, 1). */
  next() {
    const state = (this.#state = this.#stepped(this.#state));
    const mixed = (state >> 64n) ^ (state & MASK_64), turn = state >> 122n;
    const turned = ((mixed >> turn) | (mixed << (64n - turn))) & MASK_64;
    return Number(turned >> 11n) / 2 ** 53;
  }

  #stepped(state) {
    return (state * MULTIPLIER + this.#increment) & MASK_128;
  }
}

/** The 32-bit words of a number, the lowest first. */
function words(number) {
  const found = [];
  for (let rest = BigInt(number); rest || !found.length; rest >>= 32n) found.push(Number(rest & MASK_32));
  return found;
}

function spread(entropy) {
  let constant = 0x43b0d7e5;
  const hashed = (value, multiplier) => {
    const before = (value ^ constant) >>> 0;
    constant = Math.imul(constant, multiplier) >>> 0;
    const product = Math.imul(before, constant) >>> 0;
    return (product ^ (product >>> 16)) >>> 0;
  };
  const mixed = (x, y) => {
    const sum = (Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715)) >>> 0;
    return (sum ^ (sum >>> 16)) >>> 0;
  };
  const pool = [0, 1, 2, 3].map((i) => hashed(entropy[i] ?? 0, 0x931e8875));
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mixed(pool[to], hashed(pool[from], 0x931e8875));
  for (const word of entropy.slice(4))
    for (let to = 0; to < 4; to++) pool[to] = mixed(pool[to], hashed(word, 0x931e8875));
  constant = 0x8b51f9dd;
  const state = Array.from({ length: 8 }, (_, i) => BigInt(hashed(pool[i % 4], 0x58f38ded)));
  return [0, 2, 4, 6].map((i) => state[i] | (state[i + 1] << 32n));
}
