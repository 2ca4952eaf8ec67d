"""Derive `languages/arabic/transliteration.json`, by which Arabic typed in Latin letters is read, from pairs.

Run: `python recipes/transliteration.py`. `arabizi.tsv` holds pairs of short texts with as many words on either side,
written for this table and dedicated to the public domain (CC0); pairs of the part `test` are left to
`benchmarks/arabizi.py`.

Each Arabic letter is written as one of its `SIGNS`, which may be twice, and then a vowel that Arabic does not write, or
none. How probable each is, `expected_counts` and their shares find in turns (EM; Dempster, Laird, Rubin 1977): no one
has said which letters of a pair belong together. A letter's signs and vowels have a few counts beforehand (`PRIOR`,
`VOWEL_PRIOR`), since some letters are rare.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kammil import storage
from kammil.completion.transliteration import FIRST, Table

PAIRS = Path(__file__).parent / "arabizi.tsv"
OUT = Path(__file__).parent.parent / "src/kammil/languages/arabic/transliteration.json"
SIGNS = {
    "ا": "a e i o u é 2 aa ee an -", "أ": "a e i o u 2 aa -", "إ": "e i a 2 -", "آ": "a aa 2", "ء": "2 a -",
    "ئ": "2 y i e -", "ؤ": "2 o u w", "ب": "b p", "ت": "t", "ث": "th s t", "ج": "j g dj", "ح": "7 h", "خ": "kh 5 x",
    "د": "d", "ذ": "z th dh d", "ر": "r", "ز": "z", "س": "s c", "ش": "sh ch", "ص": "s 9 z", "ض": "d dh z 9",
    "ط": "t 6", "ظ": "z th dh d", "ع": "3 a e -", "غ": "gh 8 g", "ف": "f v ph", "ق": "2 q k g 9 -", "ك": "k c q",
    "ل": "l", "م": "m", "ن": "n", "ه": "h o a e -", "ة": "e a i é eh ah et at", "و": "w o u ou oo v",
    "ي": "y i e ee é", "ى": "a e i aa ah y",
}  # fmt: skip
"""Arabic letter -> the signs that people write for it; - for none."""
DOUBLED = "btjd7rzsfqklmnwyg2358h"
"""Signs that stand twice where the letter is doubled in speech."""
VOWELS: tuple[str, ...] = ("", "a", "e", "i", "o", "u", "é", "ou", "oo", "ee", "aa")
"""Vowels that stand behind a sign."""
PRIOR, RARE, VOWEL_PRIOR, ROUNDS = 0.3, 0.05, 8.0, 12


_Counts = defaultdict[str, defaultdict[str, float]]


def _row() -> defaultdict[str, float]:
    return defaultdict(float)


def main() -> None:
    """Learn, write, print how well pairs of the other part are explained."""
    table = learn(words("learn"))
    stored = {
        name: {a: {e: round(p, 5) for e, p in row.items() if p >= 0.00001} for a, row in rows.items()}
        for name, rows in zip(("signs", "vowels"), table, strict=True)
    }
    storage.write_atomic(OUT, (json.dumps(stored, ensure_ascii=False, indent=1) + "\n").encode())
    for part in ("learn", "test"):
        nats = [-math.log(p) if (p := likelihood(table, *pair)) else math.inf for pair in words(part)]
        explained = [n for n in nats if n < math.inf]
        letters = sum(len(arabizi) for _, arabizi in words(part))
        print(
            f"{part}: {len(nats)} words, {len(explained)} explained, {sum(explained) / letters:.3f} nats a Latin letter"
        )
    print([pair for pair in [*words("learn"), *words("test")] if not likelihood(table, *pair)])


def words(part: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of words of a part: Arabic, and as it was typed."""
    with PAIRS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["part"] == part:
                yield from zip(row["arabic"].split(), row["arabizi"].split(), strict=True)


def learn(pairs: Iterable[tuple[str, str]]) -> Table:
    """Return the probability of each sign of a letter, and of each vowel behind it."""
    pairs = list(pairs)
    choices = {key: signs_of(key[-1]) for letter in SIGNS for key in (letter, FIRST + letter)}
    signs = {key: dict.fromkeys(options, 1 / len(options)) for key, options in choices.items()}
    vowels = {letter: dict.fromkeys(VOWELS, 1 / len(VOWELS)) for letter in SIGNS}
    for _ in range(ROUNDS):
        sign_counts, vowel_counts = _Counts(_row), _Counts(_row)
        for arabic, arabizi in pairs:
            for letter, sign, vowel, expected in expected_counts((signs, vowels), arabic, arabizi):
                sign_counts[letter][sign] += expected
                vowel_counts[letter[-1]][vowel] += expected
        anywhere = {vowel: sum(vowel_counts[letter][vowel] for letter in SIGNS) for vowel in VOWELS}
        common = shares(anywhere, dict.fromkeys(VOWELS, PRIOR))
        signs = {
            key: shares(sign_counts[key], {sign: RARE if doubled(sign) else PRIOR for sign in choices[key]})
            for key in choices
        }
        vowels = {
            letter: shares(vowel_counts[letter], {vowel: VOWEL_PRIOR * p for vowel, p in common.items()})
            for letter in SIGNS
        }
    return signs, vowels


def signs_of(letter: str) -> list[str]:
    """Return the signs that may be written for an Arabic letter."""
    signs = ["" if sign == "-" else sign for sign in SIGNS[letter].split()]
    return signs + [2 * sign for sign in signs if sign in set(DOUBLED) and letter not in "اأإآءئؤ"]


def doubled(sign: str) -> bool:
    """Return whether a sign is a letter that stands twice."""
    return len(sign) == 2 and sign[0] == sign[1]


def shares(counts: Mapping[str, float], prior: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of counts to which those of a prior are added."""
    total = sum(prior.values()) + sum(counts.values())
    return {name: (counts.get(name, 0.0) + p) / total for name, p in prior.items()}


def keys_of(arabic: str) -> list[str]:
    """Return the rows of the table that a word's letters have: the first one has a row of its own."""
    return [FIRST * (i == 0) + letter for i, letter in enumerate(arabic)]


def arcs(table: Table, key: str, rest: str) -> Iterator[tuple[str, str, float]]:
    """Yield each sign and vowel with which a letter may be written at the start of a text, and their probability."""
    signs, vowels = table
    for sign, p in signs.get(key, {}).items():
        if rest.startswith(sign):
            for vowel, q in vowels[key[-1]].items():
                if rest.startswith(vowel, len(sign)):
                    yield sign, vowel, p * q


def expected_counts(table: Table, arabic: str, arabizi: str) -> Iterator[tuple[str, str, str, float]]:
    """Yield how often each letter of a pair was written as each sign and vowel, on the average over all readings."""
    keys, end = keys_of(arabic), len(arabizi)
    behind = [[0.0] * end + [1.0]]  # [letters from the end][place]: probability of the rest
    for key in reversed(keys):
        later = behind[-1]
        behind.append(
            [
                sum(p * later[at + len(sign + vowel)] for sign, vowel, p in arcs(table, key, arabizi[at:]))
                for at in range(end + 1)
            ]
        )
    behind.reverse()
    if not behind[0][0]:
        return
    before = [1.0] + [0.0] * end
    for key, later in zip(keys, behind[1:], strict=True):
        after = [0.0] * (end + 1)
        for at in (at for at in range(end + 1) if before[at]):
            for sign, vowel, p in arcs(table, key, arabizi[at:]):
                to = at + len(sign + vowel)
                after[to] += before[at] * p
                if later[to]:
                    yield key, sign, vowel, before[at] * p * later[to] / behind[0][0]
        before = after


def likelihood(table: Table, arabic: str, arabizi: str) -> float:
    """Return the probability that a word is typed so."""
    before = {0: 1.0}
    for key in keys_of(arabic):
        after = defaultdict[int, float](float)
        for at, p in before.items():
            for sign, vowel, q in arcs(table, key, arabizi[at:]):
                after[at + len(sign + vowel)] += p * q
        before = after
    return before.get(len(arabizi), 0.0)


if __name__ == "__main__":
    main()
