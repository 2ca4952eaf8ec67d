// The weights of a blend, read from `weights.safetensors` as they are, and laid out as the engine wants them. The numbers
// are Python's, bit for bit: of single precision, rounded at the same places (`Math.fround`, typed arrays).

const KINDS = { F32: Float32Array, F16: Uint16Array, U8: Uint8Array, I64: BigInt64Array };
const GATE_FEATURES = 5, SCORE_FEATURES = 2, ABSENT = 3;
const STATE_MAX = 127, WEIGHT_MAX = 63;
const KEYS_PER_BUCKET = 4, MAX_BUCKET = 64;
const LIMITS = { networks: 16, embedding: 4096, hidden: 8192, gate: 4096 }, MAX_VOCABULARY = 65_536;
const MAX_WEIGHT = 65_504, MAX_SCALE = 1e6, MAX_NUMBER = 65_535;
const MAX_ENTRIES = 2 ** 28, FREE_ENTRIES = 2 ** 20, ENTRIES_PER_BYTE = 8; // beyond the second, the third a packed byte
const CONTEXTS = "o1 o2 o3 o4 o5 o6 o7 o8 o9 o10 o12 o16 w w1 w2 w1s".split(" ");
const WRONG = "the model's files are damaged, or not what Kammil exports; export it again";

function check(holds) {
  if (!holds) throw new RangeError("a number that no model has");
}

/** @param {Uint8Array} bytes of a file in the format safetensors; half precision becomes single */
function safetensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  check(bytes.length >= 8);
  const size = Number(view.getBigUint64(0, true)), rest = bytes.length - 8 - size;
  check(rest >= 0);
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
  const arrays = {};
  let left = rest; // bytes are of one array alone
  for (const [name, { dtype, data_offsets: range }] of Object.entries(header)) {
    check(dtype in KINDS && 0 <= range[0] && range[0] <= range[1] && range[1] <= rest && range[1] - range[0] <= left);
    left -= range[1] - range[0];
    const part = bytes.slice(8 + size + range[0], 8 + size + range[1]); // a copy is aligned
    const array = new KINDS[dtype](part.buffer);
    arrays[name] = dtype === "F16" ? Float32Array.from(array, fromHalf) : array;
  }
  return arrays;
}

/** Check that a model is no larger than one of ours, and than its own file lets it be, before anything is made of it;
 * return the prefixes of its tables, and the number of experts. */
function checkSizes(arrays, { kinds, history, ...settings }, vocabulary) {
  const isWithin = (number, most) => Number.isInteger(number) && number >= 1 && number <= most;
  for (const [name, most] of Object.entries(LIMITS)) check(isWithin(settings[name], most));
  check([kinds, history].every((some) => new Set(some).size === some.length));
  check(kinds.length && kinds.every((kind) => CONTEXTS.includes(kind)) && history.every((kind) => kinds.includes(kind)));
  check(vocabulary <= MAX_VOCABULARY && arrays.in_word?.length === vocabulary && "counts.sizes" in arrays);
  const prefixes = ["counts.", "background."].filter((prefix) => `${prefix}sizes` in arrays);
  const names = ["gaps", "widths", "lost", "ids", "counts"];
  for (const prefix of prefixes) {
    const packed = names.reduce((sum, name) => sum + arrays[prefix + name]?.length, 0);
    for (const n of arrays[`${prefix}sizes`]) check(n >= 0 && n <= mostOf(packed));
  }
  const { networks: m, embedding: e, hidden: h, gate: g } = settings;
  const experts = kinds.length * prefixes.length + history.length;
  const inputs = h + GATE_FEATURES * experts, outputs = SCORE_FEATURES * experts;
  const sizes = {
    ...{ "embedding.weight": vocabulary * e, "gru.weight_ih_l0": 3 * h * e, "gru.weight_hh_l0": 3 * h * h },
    ...{ "gru.bias_ih_l0": 3 * h, "gru.bias_hh_l0": 3 * h, "output.weight": vocabulary * h, "output.bias": vocabulary },
    ...{ "gate_in.weight": g * inputs, "gate_in.bias": g, "gate_out.weight": outputs * g, "gate_out.bias": outputs },
  };
  for (let i = 0; i < m; i++)
    for (const [end, size] of Object.entries(sizes)) {
      const name = (i ? `others.${i - 1}.` : "") + end, whole = arrays[`${name}.whole`], scales = arrays[`${name}.scales`];
      if (whole) check(size <= mostOf(whole.length) && size % scales.length === 0);
      else check(arrays[name].length === size);
      const most = whole ? MAX_SCALE : MAX_WEIGHT, least = whole ? 0 : -most;
      check((whole ? scales : arrays[name]).every((one) => one >= least && one <= most));
      arrays[`${name}.size`] = size;
    }
  return { prefixes, experts };
}

const mostOf = (packed) => Math.min(MAX_ENTRIES, Math.max(FREE_ENTRIES, ENTRIES_PER_BYTE * packed));

/** Inflate bytes to as many as they must be. */
async function inflated(bytes, size) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const all = new Uint8Array(size);
  let at = 0;
  for (let part; !(part = await reader.read()).done; at += part.value.length) {
    check(at + part.value.length <= size);
    all.set(part.value, at);
  }
  check(at === size);
  return all;
}

/** Unpack the matrices that are stored as whole numbers and a scale for each row. */
async function matrices(arrays) {
  const unpacked = { ...arrays };
  for (const name of Object.keys(arrays).filter((name) => name.endsWith(".whole")).map((name) => name.slice(0, -6))) {
    const packed = await inflated(arrays[`${name}.whole`], arrays[`${name}.size`]);
    const whole = new Int8Array(packed.buffer), scales = arrays[`${name}.scales`];
    const width = whole.length / scales.length, matrix = (unpacked[name] = new Float32Array(whole.length));
    for (let i = 0; i < whole.length; i++) matrix[i] = whole[i] * scales[Math.floor(i / width)];
  }
  return unpacked;
}

/** The engine's matrix of rows of weights, one for each output: integers in blocks, padded with zeros. */
function quantized(rows, columnBlock, inputGroup) {
  const inputs = Math.ceil(rows[0].length / inputGroup) * inputGroup;
  const outputs = Math.ceil(rows.length / columnBlock) * columnBlock;
  const weights = new Int8Array(inputs * outputs), zeroOffsets = new Int32Array(outputs);
  const scales = new Float32Array(outputs);
  rows.forEach((row, output) => {
    const scale = Math.fround(row.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0) / WEIGHT_MAX) || 1;
    const begin = Math.floor(output / columnBlock) * columnBlock * inputs + (output % columnBlock) * inputGroup;
    row.forEach((weight, i) => {
      const integer = roundedEven(Math.fround(weight / scale));
      weights[begin + Math.floor(i / inputGroup) * columnBlock * inputGroup + (i % inputGroup)] = integer;
      zeroOffsets[output] += integer * (STATE_MAX + 1);
    });
    scales[output] = scale / STATE_MAX;
  });
  return { weights, scales, zeroOffsets, inputs, outputs };
}

/** Input terms of each id: of the recurrent product, (V, 3H), and of the candidate, (V, H), in half precision. */
function inputGates(w, prefix, v, h) {
  const embedding = w[`${prefix}embedding.weight`], weights = w[`${prefix}gru.weight_ih_l0`], width = embedding.length / v;
  const bias = w[`${prefix}gru.bias_ih_l0`], recurrentBias = w[`${prefix}gru.bias_hh_l0`];
  const gates = new Uint16Array(v * 3 * h), candidate = new Uint16Array(v * h);
  const input = (sum, gate) => Math.fround(Math.fround(sum) + bias[gate]);
  const both = (sum, gate) => toHalf(Math.fround(input(sum, gate) + recurrentBias[gate]));
  for (let id = 0; id < v; id++)
    for (let unit = 0; unit < h; unit++) {
      let reset = 0, update = 0, fresh = 0; // in double precision, as in Python; no sum waits for another
      for (let i = id * width, j = unit * width; i < (id + 1) * width; i++, j++) {
        const value = embedding[i];
        reset += value * weights[j];
        update += value * weights[j + h * width];
        fresh += value * weights[j + 2 * h * width];
      }
      const place = id * 3 * h + unit;
      gates[place] = both(reset, unit);
      gates[place + h] = both(update, unit + h);
      gates[place + 2 * h] = toHalf(recurrentBias[unit + 2 * h]);
      candidate[id * h + unit] = toHalf(input(fresh, unit + 2 * h));
    }
  return { gates, candidate };
}

const rowsOf = (array, width) =>
  Array.from({ length: array.length / width }, (_, i) => array.subarray(i * width, (i + 1) * width));

/** The networks and the gate, for `Engine.setModel`. */
async function networksAndGate(arrays, settings, experts, engine) {
  const w = await matrices(arrays), { hidden: h, gate: g, networks: m } = settings, v = w["output.bias"].length;
  const blocks = [engine.constant("COLUMN_BLOCK"), engine.constant("INPUT_GROUP")];
  const prefixes = Array.from({ length: m }, (_, i) => (i ? `others.${i - 1}.` : ""));
  const width = m * g, inputs = h + GATE_FEATURES * experts;
  const bias = new Float32Array(v + width), scoreBias = new Float32Array(SCORE_FEATURES * experts);
  const featureWeights = new Float32Array(experts * GATE_FEATURES * width);
  const scoreWeights = new Float32Array(experts * SCORE_FEATURES * width);
  const networks = prefixes.map((prefix, member) => {
    const gateRows = rowsOf(w[`${prefix}gate_in.weight`], inputs);
    w[`${prefix}output.bias`].forEach((value, id) => (bias[id] += value));
    bias.set(w[`${prefix}gate_in.bias`], v + member * g);
    gateRows.forEach((row, unit) => {
      const at = member * g + unit;
      let absent = 0; // the bias has the feature of unknown contexts, and a known one subtracts it
      for (let expert = 0; expert < experts; expert++)
        for (let feature = 0; feature < GATE_FEATURES; feature++) {
          const weight = row[h + feature * experts + expert];
          if (feature === ABSENT) absent = Math.fround(absent + weight);
          featureWeights[(expert * GATE_FEATURES + feature) * width + at] = feature === ABSENT ? -weight : weight;
        }
      bias[v + at] += absent;
    });
    w[`${prefix}gate_out.weight`].forEach((value, i) => {
      scoreWeights[Math.floor(i / g) * width + member * g + (i % g)] = value / m;
    });
    w[`${prefix}gate_out.bias`].forEach((value, i) => (scoreBias[i] += Math.fround(value / m)));
    const output = rowsOf(w[`${prefix}output.weight`], h).map((row) => row.map((weight) => weight / m));
    return {
      recurrent: quantized(rowsOf(w[`${prefix}gru.weight_hh_l0`], h), ...blocks),
      output: quantized([...output, ...gateRows.map((row) => row.subarray(0, h))], ...blocks),
      ...inputGates(w, prefix, v, h),
    };
  });
  for (let id = 0; id < v; id++) bias[id] /= m;
  const logTable = Float32Array.from({ length: engine.constant("LOG_TABLE_SIZE") }, (_, count) => Math.log1p(10 * count));
  const gate = { bias, feature_weights: featureWeights, score_weights: scoreWeights, score_bias: scoreBias };
  return { networks, arrays: { ...gate, log_table: logTable } };
}

/** The numbers of a packed field, n of 32 bits: planes of bytes behind each other. */
async function field(arrays, name, n) {
  const planes = await inflated(arrays[name], 4 * n), numbers = new Uint32Array(n);
  for (let i = 0; i < n; i++)
    numbers[i] = planes[i] | (planes[n + i] << 8) | (planes[2 * n + i] << 16) | (planes[3 * n + i] << 24);
  return numbers;
}

/** All tables of counts as one index: see `CountIndex` in `kammil/ngrams/index.py`. */
async function countIndex(arrays, prefixes, types, vocabulary) {
  const sizes = prefixes.map((prefix) => Array.from(arrays[`${prefix}sizes`], Number));
  const [contexts, followers] = [0, 1].map((i) => sizes.reduce((sum, size) => sum + size[i], 0));
  const bits = sizes.map(([n]) => Math.max(1, 32 - Math.clz32(Math.floor(n / KEYS_PER_BUCKET))));
  const padded = contexts + MAX_BUCKET * sizes.length;
  const keys = new Uint32Array(padded), pruned = new Uint16Array(padded), starts = new Uint32Array(padded + 1);
  const buckets = new Uint32Array(bits.reduce((sum, b) => sum + 2 ** b, 0));
  const ids = new Uint16Array(followers), counts = new Uint16Array(followers), large = [];
  const shifts = [], firsts = [];
  let begin = 0, follower = 0, first = 0, bucketSize = 1;
  for (const [number, prefix] of prefixes.entries()) {
    const [n, f] = sizes[number], shift = 32 - bits[number], end = first + 2 ** bits[number];
    const fields = Object.entries({ gaps: n, widths: n, lost: n, ids: f, counts: f });
    const [gaps, widths, lost, followerIds, followerCounts] = await Promise.all(
      fields.map(([name, size]) => field(arrays, prefix + name, size)),
    );
    let key = 0, at = follower;
    for (let i = 0; i < n; i++) keys[begin + i] = key += gaps[i];
    for (let i = 0; i < n + MAX_BUCKET; i++) starts[begin + i + 1] = at += widths[i] ?? 0;
    check(key < 2 ** 32 && at === follower + f && widths.every((width) => width >= 1 && width <= vocabulary));
    check(followerIds.every((id) => id < vocabulary) && followerCounts.every(Boolean));
    check(lost.every((number) => number <= MAX_NUMBER));
    pruned.set(lost, begin);
    ids.set(followerIds, follower);
    followerCounts.forEach((count, i) => {
      if (count > MAX_NUMBER) large.push([follower + i, count]);
      else counts[follower + i] = count;
    });
    buckets.fill(begin + n, first, end);
    for (let i = n - 1; i >= 0; i--) buckets[first + (keys[begin + i] >>> shift)] = begin + i;
    for (let i = end - 1, next = begin + n; i >= first; i--) {
      buckets[i] = Math.min(buckets[i], next); // an empty bucket begins where the next one does
      bucketSize = Math.max(bucketSize, next - buckets[i]);
      next = buckets[i];
    }
    check(bucketSize <= MAX_BUCKET); // or the keys are no hashes
    shifts.push(...Array(types).fill(shift));
    firsts.push(...Array(types).fill(first));
    [begin, follower, first] = [begin + n + MAX_BUCKET, follower + f, end];
  }
  const tables = { table_keys: keys, pruned, follower_begins: starts, follower_ids: ids, follower_counts: counts };
  const [bucket_shifts, bucket_offsets] = [shifts, firsts].map((numbers) => Uint32Array.from(numbers));
  const [large_positions, large_counts] = [0, 1].map((i) => BigInt64Array.from(large, (pair) => BigInt(pair[i])));
  return {
    numbers: { tables: prefixes.length, bucket_size: bucketSize, large_size: large.length },
    arrays: { ...tables, bucket_begins: buckets, bucket_shifts, bucket_offsets, large_positions, large_counts },
  };
}

/** All of a blend but its contexts, for `Engine.setModel`, and which ids stand in words: of the bytes of the weights, and
 * `settings` of `model.json`. */
export async function blend(bytes, settings, vocabulary, engine) {
  try {
    const weights = safetensors(bytes), { prefixes, experts } = checkSizes(weights, settings, vocabulary);
    const [index, { networks, arrays }] = await Promise.all([
      countIndex(weights, prefixes, settings.kinds.length, vocabulary), // the browser unpacks its fields meanwhile
      networksAndGate(weights, settings, experts, engine),
    ]);
    const { hidden, gate } = settings, numbers = { ...index.numbers, vocabulary, hidden, gate };
    return { numbers, arrays: { ...index.arrays, ...arrays }, networks, inWord: weights.in_word };
  } catch (cause) {
    throw new Error(WRONG, { cause });
  }
}

const float = new Float32Array(1), floatBits = new Uint32Array(float.buffer);

function fromHalf(half) {
  const exponent = (half >> 10) & 31, fraction = half & 1023, sign = half & 0x8000 ? -1 : 1;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : fraction * 2 ** -24);
}

function toHalf(number) {
  float[0] = number;
  const sign = (floatBits[0] >>> 16) & 0x8000, bits = floatBits[0] & 0x7fffffff;
  if (bits < 0x38800000) return sign | roundedEven(Math.abs(number) * 2 ** 24); // no whole exponent
  return sign | Math.min(0x7c00, (bits - 0x38000000 + 0xfff + ((bits >>> 13) & 1)) >>> 13);
}

/** Round to whole numbers, and half of one to the even one. */
const roundedEven = (number) => number + 1.5 * 2 ** 52 - 1.5 * 2 ** 52;
