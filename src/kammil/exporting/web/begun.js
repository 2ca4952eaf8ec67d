// Meanings of a begun word: slips, spellings, and Arabic in Latin letters. See `lattice`, `channel`, `transliteration`
// and `begun_word` in `kammil/completion`. A beam is rows of {ids, weight, memory, p, state}, likely meanings first.

const NO_LETTER = -1;
/** How a text was typed that was typed as it is meant; `least` is the minimum probability of its letters. */
const UNCHANGED = { typed: [], isSlip: false, dropped: NO_LETTER, repeats: false, least: 1 };
export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const nameOf = (ids) => ids.join();
export const dot = (p, weights) => p.reduce((total, each, id) => total + each * weights[id], 0);

/** The meanings of the last word of a session's text; `read` gives what follows ids: {p, state}. */
export class BegunWords {
  #model; #t; #read; #latest = { name: null }; #ended = new Map();

  constructor(model, read) {
    [this.#model, this.#t, this.#read] = [model, model.tables, read];
  }

  /** The word begun by the last `letters` ids, or with 0 what words before a next one mean; null if nothing else can be
   * meant. Of the last `asTyped` ids, words in Latin letters may be replaced. */
  after(ids, letters, asTyped) {
    const { latin, exchanges } = this.#t;
    if (letters > this.#t.MAX_TYPED) return null;
    if (!letters) return this.#nextWord(ids, asTyped);
    const typed = ids.slice(-letters);
    let before = ids.slice(0, -letters), meant = { ids: before, arabic: [], replaced: 0, english: 0 };
    if (!typed.some((id) => exchanges.get(id)?.length > 1) || typed.some((id) => !exchanges.has(id))) return null;
    if (latin?.word(typed)) meant = this.#meant(before, asTyped - letters);
    if (meant.english <= 0.5) before = meant.ids;
    const word = this.#word(before, typed, meant.english, meant.ids), { arabic, replaced } = meant;
    if (!replaced || !word.readings) return word;
    const following = (row) => ({ ...row, ids: [...arabic, ...row.ids], replaced: row.replaced + replaced });
    return { ...word, meanings: word.meanings.map((row, i) => (i < word.variants.length ? row : following(row))) };
  }

  #start(before, english, arabic) {
    const row = { ids: [], weight: 1, ...this.#read(before) }, meaning = { ...row, replaced: 0, posterior: 1 };
    const readings = [{ ids: [], weight: 1, memory: new Map([["", 1]]), ...this.#read(arabic) }];
    const variants = [{ ...row, memory: UNCHANGED }];
    return { typed: [], meanings: [meaning], variants, before: readings, readings: null, english, isEnglish: false };
  }

  #word(before, typed, english = 0, arabic = before) {
    const name = [this.#model.version, ...before, "", ...arabic].join();
    let { word } = this.#latest;
    const isKnown = this.#latest.name === name && word.typed.every((id, i) => id === typed[i]);
    if (!isKnown) word = this.#start(before, english, arabic);
    else if (word.english !== english) {
      word = { ...word, english };
      if (word.typed.length) word = this.#mixed(word);
    }
    for (const id of typed.slice(word.typed.length)) word = this.#longer(word, id);
    this.#latest = { name, word };
    return word;
  }

  #longer(word, id) {
    const typed = [...word.typed, id], { latin } = this.#t, signs = latin?.signs(typed);
    const variants = this.#beam(word.variants, this.#edits(word.variants, id), nameOf(typed));
    let readings = null;
    if (signs) {
      readings = word.readings ?? word.before;
      for (const sign of word.readings ? signs.at(-1) : signs)
        readings = this.#beam(readings, this.#letters(readings, sign));
    }
    return this.#mixed({ ...word, typed, variants, readings: readings?.length ? readings : null });
  }

  /** A word with the posterior of its meanings. */
  #mixed(word) {
    const { CORRECTION_PRIOR, UNLIKELY, SURE, TYPED_IN_LATIN, latin } = this.#t, { typed, variants, readings } = word;
    const prior = Math.max(CORRECTION_PRIOR, Math.min(1, UNLIKELY / Math.max(variants[0].memory.least, UNLIKELY)));
    let weights = variants.map(({ weight }, row) => (row ? weight * prior : weight)), meanings = variants;
    const letters = word.english ? latin?.word(typed) : null;
    const english = letters ? word.english * latin.probability(letters, false) : 0;
    const read = readings ? sum(readings.map(({ weight }) => weight)) : 0, arabic = (1 - word.english) * read;
    const isEnglish = english > (word.english > 0.5 ? 0.5 : SURE) * (english + arabic);
    if (readings && !isEnglish) {
      // After Latin letters the model expects any others.
      const share = word.english > 0.5 && english > 0 ? ((arabic / english) * sum(weights)) / read : TYPED_IN_LATIN;
      weights = [...weights, ...readings.map(({ weight }) => share * weight)];
      meanings = [...variants, ...readings];
    }
    const total = sum(weights), replaced = typed.length;
    meanings = meanings.map(({ ids, p, state }, i) => ({ ids, p, state, replaced, posterior: weights[i] / total }));
    return { ...word, meanings, isEnglish: isEnglish && word.english >= 0.5 };
  }

  /** The most probable meaning of a whole word. */
  #endedWord({ meanings, variants, readings }) {
    const { articles } = this.#t.latin, first = variants.length;
    const isArticle = meanings.map(({ ids }, row) => row >= first && articles.has(nameOf(ids)));
    const closed = meanings.map(({ p }, row) =>
      isArticle[row] ? this.#t.SPLIT_ARTICLE_SHARE * dot(p, this.#t.continues) : dot(p, this.#t.close),
    );
    const weights = meanings.map(({ posterior }, row) => posterior * closed[row]), total = sum(weights);
    const row = weights.indexOf(Math.max(...weights)), shares = weights.map((weight) => weight / total);
    return {
      ids: meanings[row].ids,
      isRead: row >= first,
      isArticle: isArticle[row],
      share: shares[row],
      asTyped: shares[0],
      arabic: sum(shares.slice(first)),
      likelihood: readings ? sum(readings.map(({ weight }, i) => weight * closed[first + i])) : 0,
    };
  }

  #nextWord(ids, asTyped) {
    const meant = this.#meant(ids, asTyped), word = this.#start(ids, 0, ids), last = meant.words.at(-1);
    if (meant.isEnglish) return { ...word, isEnglish: true };
    if (!meant.replaced || last.arabic < this.#t.MIN_ARABIC) return null;
    const read = { ids: meant.arabic, replaced: meant.replaced, posterior: last.share, ...this.#read(meant.ids) };
    return { ...word, meanings: [{ ...word.meanings[0], posterior: last.asTyped }, read] };
  }

  /** Read words in Latin letters at the end, and tell whether a next one is English. */
  #meant(before, asTyped) {
    const { latin, SWITCH, inWord } = this.#t, [run, english] = this.#latinRun(before, asTyped);
    const meant = this.#readRun(before, run);
    if (!run.length || !latin) {
      const isLatin = latin && before.every((id) => !inWord[id] || latin.characters.has(id));
      return { ...meant, english, isEnglish: Boolean(english > 0.5 && isLatin) };
    }
    const likelihoods = run.map((word, i) => [latin.probability(latin.word(word), true), meant.words[i].likelihood]);
    const shares = englishShares(english, likelihoods, SWITCH), following = shares.at(-1) * (1 - 2 * SWITCH) + SWITCH;
    const begin = shares.findLastIndex((share) => share > 0.5) + 1;
    // One English word in an Arabic text is a loan.
    const isEnglish = following > 0.5 && (english >= 0.5 || run.length > 1);
    return { ...(begin ? this.#readRun(before, run, begin) : meant), english: following, isEnglish };
  }

  /** Read words in Latin letters, each after the meanings of those before; those from `begin` on may be replaced. */
  #readRun(before, run, begin = 0) {
    const { latin, space, MAX_RUN } = this.#t, words = [];
    if (!run.length || !latin) return { ids: before, arabic: [], replaced: 0, words };
    let meant = before.slice(0, before.length - sum(run.map((word) => word.length + 1)));
    let [arabic, replaced, last] = [[], 0, null];
    run.forEach((word, i) => {
      if (i === begin) [arabic, replaced, last] = [[], 0, null];
      const name = [this.#model.version, ...meant, "", ...word].join();
      if (!this.#ended.has(name)) this.#ended.set(name, this.#endedWord(this.#word(meant, word)));
      if (this.#ended.size > 4 * MAX_RUN) this.#ended.delete(this.#ended.keys().next().value);
      const clitic = last?.isRead ? [...last.ids, space] : [];
      last = this.#ended.get(name);
      words.push(last);
      const joined = clitic.length && latin.articles.get(nameOf([...clitic, ...last.ids]));
      if (joined) [meant, arabic] = [meant, arabic].map((ids) => ids.slice(0, -clitic.length));
      const ids = joined || (last.isArticle ? last.ids : [...last.ids, space]);
      meant = [...meant, ...ids];
      // A Latin word with a slip is read as meant, but stays as typed.
      [arabic, replaced] = last.isRead ? [[...arabic, ...ids], replaced + word.length + 1] : [[], 0];
    });
    if (begin === run.length) [arabic, replaced] = [[], 0];
    return { ids: meant, arabic, replaced, words };
  }

  #latinRun(before, asTyped) {
    const { latin, space, MAX_TYPED, MAX_RUN } = this.#t;
    let run = [], end = before.length - 1;
    while (end >= 0 && before[end] === space) {
      let begin = end;
      while (begin > 1 && before[begin - 1] !== space && end - begin < MAX_TYPED) begin--;
      const word = before.slice(begin, end);
      if (!latin?.word(word) || before.length - begin > asTyped || (begin > 1 && before[begin - 1] !== space)) break;
      run.unshift(word);
      end = begin - 1;
    }
    if (run.length > MAX_RUN) [run, end] = [[], before.length - 1];
    return [run, this.#englishAfter(before.slice(0, end + 1))];
  }

  #englishAfter(before) {
    const { latin, inWord, SWITCH } = this.#t;
    let end = before.length;
    while (end && !inWord[before[end - 1]]) end--;
    let begin = end;
    while (begin && latin?.characters.has(before[begin - 1])) begin--;
    if (!end || !latin) return 0.5;
    if (begin === end) return SWITCH;
    const ids = before.slice(begin, end), word = latin.word(ids);
    return word && (!latin.signs(ids) || latin.listed.has(`${word} `)) ? 1 - SWITCH : 0.5;
  }

  /** The beam after one more typed letter; a `kept` text stands first. */
  #beam(beam, { read, unwritten, behind, joined = (one) => one }, kept = null) {
    const { WIDTH, MIN_SHARE } = this.#t, found = new Map(), known = new Set(beam.map(({ ids }) => nameOf(ids)));
    const join = (rows, arcs) => {
      for (const arc of arcs) {
        const before = rows[arc.row].ids, ids = arc.letter === NO_LETTER ? before : [...before, arc.letter];
        const name = nameOf(ids), old = found.get(name);
        const sum = old && { ...old, weight: old.weight + arc.weight, memory: joined(old.memory, arc.memory) };
        found.set(name, sum ?? { ...arc, ids, name });
      }
    };
    const best = () =>
      [...found.values()]
        .sort((a, b) => (a.name !== kept) - (b.name !== kept) || b.weight - a.weight)
        .slice(0, WIDTH)
        .filter(({ name, weight }) => weight > 0 || name === kept);
    const stepped = (rows, arcs) => {
      const after = this.#model.step(arcs.map(({ letter }) => [letter]), arcs.map(({ row }) => rows[row].state));
      return arcs.map(({ row, letter, ...rest }, i) => ({ ids: [...rows[row].ids, letter], ...rest, ...after[i] }));
    };
    join(beam, read);
    let rows = beam;
    if (unwritten.length) { // one step reads them with those that the beam will probably have
      rows = [...beam, ...stepped(beam, [...unwritten, ...best().filter(({ name }) => !known.has(name))])];
      join(rows, behind(rows, beam.length, beam.length + unwritten.length));
    }
    // A channel that keeps a text has left out what is too improbable.
    const least = kept === null ? MIN_SHARE * Math.max(0, ...best().map(({ weight }) => weight)) : 0;
    const arcs = best().filter(({ weight }) => weight >= least);
    const sources = new Map(rows.map((row) => [nameOf(row.ids), row]));
    const unread = arcs.filter(({ name }) => !sources.has(name));
    stepped(rows, unread).forEach((row, i) => sources.set(unread[i].name, row));
    return arcs.map(({ ids, weight, memory, name }) => ({ ...sources.get(name), ids, weight, memory }));
  }

  /** The arcs of a typed letter: any may be another spelling, one may be a slip; see `Channel`. */
  #edits(beam, id) {
    const { WIDTH, MIN_SHARE, MAX_DROPPED, NEVER, exchanges, keys, channel } = this.#t;
    const typed = [...beam[0].memory.typed, id], edits = { ...UNCHANGED, typed, isSlip: true };
    const intended = exchanges.get(id), reach = beam.map(({ weight, p, memory: { isSlip, least } }) =>
      intended.map(([letter, likelihood, isSpelling]) =>
        Math.min(least, p[letter]) >= NEVER && (isSpelling || !isSlip) ? weight * p[letter] * likelihood : 0,
      ),
    );
    reach[0][0] = beam[0].weight * beam[0].p[id];
    const floor = MIN_SHARE * Math.max(...reach.flat());
    const cells = bestCells(reach, WIDTH, floor).filter(([row, column]) => row || column);
    const exchanged = [[0, 0], ...cells].slice(0, WIDTH).map(([row, column]) => {
      const [letter, , isSpelling] = intended[column], { memory, p } = beam[row];
      const [isSlip, least] = [memory.isSlip || !isSpelling, Math.min(memory.least, p[letter])];
      return { row, letter, weight: reach[row][column], memory: { ...edits, isSlip, least } };
    });
    const letters = keys.has(id) ? [...keys].filter((letter) => letter !== id) : [];
    const leftOut = beam.map(({ weight, p, memory: { isSlip, least } }) => {
      const dropped = isSlip || least < NEVER ? 0 : weight * channel.dropped;
      return letters.map((letter) => (p[letter] >= NEVER ? dropped * p[letter] : 0));
    });
    const unwritten = bestCells(leftOut, MAX_DROPPED, floor).map(([row, column]) => {
      const letter = letters[column], { memory, p } = beam[row];
      const least = Math.min(memory.least, p[letter] >= NEVER ? p[letter] : 0);
      return { row, letter, weight: leftOut[row][column], memory: { ...edits, dropped: letter, least } };
    });
    const behind = (rows, begin, end) =>
      rows.slice(begin, end).flatMap(({ weight, p, memory }, i) => {
        const least = Math.min(memory.least, p[id]), reached = { row: begin + i, letter: id, weight: weight * p[id] };
        return reached.weight >= floor && p[id] >= NEVER ? [{ ...reached, memory: { ...memory, least } }] : [];
      });
    return { read: [...exchanged, ...this.#unread(beam, edits, floor)], unwritten, behind };
  }

  /** The arcs by which a letter adds nothing: doubled, superfluous, or read as dropped. */
  #unread(beam, edits, floor) {
    const { keys, NEVER, channel } = this.#t, before = edits.typed.slice(0, -1), id = edits.typed.at(-1);
    const times = before.length - 1 - before.findLastIndex((other) => other !== id);
    return beam.flatMap(({ weight, memory: { isSlip, repeats, dropped, least } }, row) => {
      let factor = 0;
      if (times === 1 && keys.has(id)) factor = isSlip ? 0 : channel.doubled;
      else if (times > 1) factor = repeats ? (times === 2 ? channel.stretched / channel.doubled : 1) : 0;
      else if (before.length && keys.has(id)) factor = isSlip ? 0 : channel.inserted;
      const memory = { ...edits, repeats: times > 0 && factor > 0, least };
      if (dropped === id) factor = channel.swapped / channel.dropped;
      const reached = { row, letter: NO_LETTER, weight: weight * factor, memory };
      return reached.weight > 0 && reached.weight >= floor && least >= NEVER ? [reached] : [];
    });
  }

  /** The arcs of a Latin letter: it continues the last Arabic one, or begins one, before which another may stay
   * unwritten; a memory is beginnings of what was typed for the last letter, and weights. See `Transliteration`. */
  #letters(beam, sign) {
    const { MIN_SHARE, MAX_SILENT, latin } = this.#t, added = (pairs) => sum(pairs.map(([, weight]) => weight));
    const writtenFor = (ids) => latin.written[Number(ids.length === 1)].get(ids.at(-1));
    const closed = beam.map(({ ids, memory }) => {
      if (!ids.length) return 1;
      const written = writtenFor(ids);
      return added([...memory].map(([text, weight]) => [text, (weight * written.get(text)[1]) / written.get(text)[0]]));
    });
    const letters = latin.silent[Number(beam.length === 1 && !beam[0].ids.length)];
    const weights = beam.map(({ p }, row) => letters.map(([letter, q]) => closed[row] * p[letter] * q));
    const unwritten = bestCells(weights, MAX_SILENT, MIN_SHARE * Math.max(0, ...closed)).map(([row, column]) => {
      return { row, letter: letters[column][0], weight: weights[row][column], memory: new Map() };
    });
    const behind = (rows, begin, end) =>
      rows.slice(begin, end).flatMap(({ ids, p, weight }, i) =>
        (latin.begun[Number(!ids.length)].get(sign) ?? []).map(([letter, q]) => {
          const reached = (closed[begin + i] ?? weight) * p[letter] * q;
          return { row: begin + i, letter, weight: reached, memory: new Map([[sign, reached]]) };
        }),
      );
    const goesOn = beam.flatMap(({ ids, memory }, row) => {
      const written = ids.length ? writtenFor(ids) : new Map();
      const pairs = [...memory].flatMap(([text, weight]) => {
        const longer = written.get(text + sign);
        return longer ? [[text + sign, (weight * longer[0]) / written.get(text)[0]]] : [];
      });
      return pairs.length ? [{ row, letter: NO_LETTER, weight: added(pairs), memory: new Map(pairs) }] : [];
    });
    const joined = (one, other) => {
      const texts = new Set([...one.keys(), ...other.keys()]);
      return new Map(Array.from(texts, (text) => [text, (one.get(text) ?? 0) + (other.get(text) ?? 0)]));
    };
    return { read: [...goesOn, ...behind(beam, 0, beam.length)], unwritten, behind, joined };
  }
}

/** Row and column of the highest weights. */
function bestCells(weights, number, floor) {
  const cells = weights.flatMap((row, r) => row.map((weight, column) => [r, column, weight]));
  return cells.sort((a, b) => b[2] - a[2]).slice(0, number).filter(([, , weight]) => weight >= floor);
}

/** Each word's posterior of English, from the first one's prior, and likelihoods as English and as Arabic. */
function englishShares(first, likelihoods, change) {
  const forward = [];
  let share = first, later = [1, 1];
  for (const [english, arabic] of likelihoods) {
    const total = share * english + (1 - share) * arabic;
    if (total > 0) share = (share * english) / total;
    forward.push(share);
    share += change * (1 - 2 * share);
  }
  const shares = [forward.at(-1)];
  for (let i = likelihoods.length - 1; i > 0; i--) {
    const [english, arabic] = likelihoods[i], before = forward[i - 1];
    if (english + arabic > 0) later = [english * later[0], arabic * later[1]];
    later = [(1 - change) * later[0] + change * later[1], (1 - change) * later[1] + change * later[0]];
    later = later.map((each) => each / sum(later));
    shares.unshift((before * later[0]) / (before * later[0] + (1 - before) * later[1]));
  }
  return shares;
}

/** Words in Latin letters, of the tables that the export writes. */
export class Latin {
  constructor({ typed, characters, articles, written, silent, begun, listed, followers }, { LISTED, ODD }) {
    [this.typed, this.characters] = [new Map(typed), new Map(characters)];
    this.articles = new Map(articles.map(([form, joined]) => [nameOf(form), joined]));
    [this.listed, this.followers] = [listed, followers].map((each) => new Map(Object.entries(each)));
    this.shares = { LISTED, ODD };
    this.written = written.map((each) => new Map(each.map(([id, texts]) => [id, new Map(texts)])));
    [this.silent, this.begun] = [silent, begun.map((each) => new Map(each))];
  }

  /** A begun word in signs, or null. */
  signs = (ids) => this.#of(ids, this.typed);
  /** A word in lower case; null for other characters, or no letter. */
  word = (ids) => this.#of(ids, this.characters);

  #of(ids, characters) {
    const text = ids.map((id) => characters.get(id) ?? "");
    return text.every(Boolean) && text.some((c) => /\p{L}/v.test(c)) ? text.join("") : null;
  }

  /** The probability of a word in lower case, or of all that begin so. */
  probability(word, isWhole) {
    const end = isWhole ? " " : "", text = `  ${word}${end}`, { LISTED, ODD } = this.shares;
    let spelt = 1;
    for (let i = 2; i < text.length; i++) {
      const counts = this.followers.get(text.slice(i - 2, i)) ?? {};
      spelt *= this.followers.has(text[i]) ? ((counts[text[i]] ?? 0) + 0.5) / (sum(Object.values(counts)) + 14) : ODD;
    }
    return LISTED * (this.listed.get(word + end) ?? 0) + (1 - LISTED) * spelt;
  }
}
