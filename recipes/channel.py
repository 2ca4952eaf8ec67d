"""Derive `languages/arabic/channel.json`, by which suggestions correct what is typed, from corpora.

Run: `python recipes/channel.py corpus.tsv`, a table that `recipes/gather.py` wrote; the embedded corpus is read, too.
The table holds letters and counts, no word.

*Spellings.* Words of one fold (`text.fold_spelling`), letter by letter, are spellings of one word. Two occurrences of
it are drawn at random, and their letters compared: `spellings[a][b]` says how often the first has `a` where the second
has `b`, as an expectation over all pairs, so that a word weighs as often as it occurs. Letters that are pronounced
alike in dialects (`ALIKE`) are no variants of a fold: there a word that occurs less than a `RARER`th as often as
another is its spelling.

*Slips* are rare words beside frequent ones: a word of at least `MIN_LETTERS` letters that occurs `FREQUENT` times or
more, and another one with one key wrong that occurs less than a `RARE`th as often. A neighbour on the keyboard was
struck, also beside the right key (a letter inserted), or a letter dropped, doubled, or exchanged with the next. Rare
words may also be words of their own. So of neighbours and inserted letters as many are subtracted as there are of
letters far away, for each pair of letters.

*Stretched* letters stand three times or more.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl
import regex

from kammil import storage
from kammil.data import sources
from kammil.languages import neighbours
from kammil.text import TextRules, fold_spelling

OUT = Path(__file__).parent.parent / "src/kammil/languages/arabic/channel.json"
FREQUENT, RARE, MIN_LETTERS = 500, 200, 4
LEAST = 20.0
"""Fewest pairs of two letters that are kept: what is rarer is a few writers' own keyboard."""
ALIKE = ("ذد", "ثت", "ظض", "ضظ", "ئي", "ؤو")
"""Letters, and what some write in their place."""
GLOTTAL, GLOTTAL_FREQUENT = ("قأ", "قؤ", "قئ", "قء"), 20
"""The same of ق as Damascus, Beirut and Jerusalem pronounce it, which is counted in Levantine texts alone."""
RARER = 10
LETTERS = "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي"
_WORD = regex.compile(r"[\p{Arabic}&&\p{L}]+", regex.V1)
_STRETCHED = regex.compile(r"(.)\1{2,}")


def main() -> None:
    """Count, derive, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    table = pl.read_csv(parser.parse_args().corpus, separator="\t", infer_schema=False, quote_char=None)
    words = count_words([*table["text"].to_list(), *sources.sample()])
    levantine = count_words(table.filter(pl.col("dialect") == "levantine")["text"].to_list())
    glottal = {"ق": spellings(levantine, GLOTTAL, GLOTTAL_FREQUENT)["ق"]}
    derived = {"spellings": spellings(words) | glottal, "slips": slips(words)}
    storage.write_atomic(OUT, (json.dumps(derived, ensure_ascii=False, indent=1) + "\n").encode())
    print(json.dumps(derived["slips"]), f"{sum(words.values()):,} words, {len(words):,} different")


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Count the words of Arabic letters alone."""
    rules, words = TextRules(urls=False, handles=False, spaces=False), Counter[str]()
    for text in texts:
        words.update(_WORD.findall(rules.normalise(text)))
    return words


def spellings(words: Counter[str], alike: Sequence[str] = ALIKE, frequent: int = FREQUENT) -> dict[str, dict[str, int]]:
    """Return for each letter how often another spelling of the same word has each letter in its place."""
    groups: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for word in words:
        groups[tuple(map(fold_spelling, word))].append(word)
    pairs: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for group in groups.values():
        occurrences = sum(words[word] for word in group)
        for one in group:
            for other in group:
                expected = words[one] * words[other] / occurrences
                for a, b in zip(one, other, strict=True):
                    pairs[a][b] += expected
    for word, times in words.items():
        for a, b in alike if times >= frequent and len(word) > 1 else ():
            for i in (i for i, letter in enumerate(word) if letter == a):
                other = words[word[:i] + b + word[i + 1 :]]
                pairs[a][b] += other if other < times / RARER else 0
    return {
        a: {b: round(n) for b, n in sorted(found.items()) if n >= LEAST and b in LETTERS}
        for a, found in sorted(pairs.items())
        if a in LETTERS
    }


def slips(words: Counter[str]) -> dict[str, int]:
    """Return how many letters frequent words have, and how many are slips, by kind."""
    found, possible = Counter[str](), Counter[str]()
    for word, times in words.items():
        found["all_letters"] += times * len(word)
        found["stretched"] += times * len(_STRETCHED.findall(word))
        if times < FREQUENT or len(word) < MIN_LETTERS:
            continue
        found["letters"] += times * len(word)
        for kind, slipped in one_slip(word):
            possible[kind] += 1
            if 0 < words[slipped] < times / RARE and fold_spelling(slipped) != fold_spelling(word):
                found[kind] += words[slipped]
    for kind in ("neighbour", "inserted"):
        found[kind] -= round(found.pop(f"far {kind}", 0) / possible[f"far {kind}"] * possible[kind])
    return dict(sorted(found.items()))


def one_slip(word: str) -> Iterator[tuple[str, str]]:
    """Yield each word with one key wrong, and what is wrong; `far` for a letter that lies elsewhere."""
    for i, letter in enumerate(word):
        before, after = word[:i], word[i + 1 :]
        beside = neighbours().get(letter, "")
        for other in LETTERS:
            if other != letter:
                yield "neighbour" if other in beside else "far neighbour", before + other + after
            if before and other not in (before[-1], letter):
                near = other in neighbours().get(before[-1], "") + beside
                yield "inserted" if near else "far inserted", before + other + letter + after
        if before[-1:] != letter:
            yield "dropped", before + after
            yield "doubled", before + 2 * letter + after
        if after and after[0] != letter:
            yield "swapped", before + after[0] + letter + after[1:]


if __name__ == "__main__":
    main()
