"""Audit a data set before anything is learnt from it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from kammil.data import near_duplicates
from kammil.data.dialects import likely_shares
from kammil.data.splits import Leakage, leaks
from kammil.errors import DataError
from kammil.text import PERSONAL, counted, personal_counts

MIN_TEXTS = 50
"""A tenth of fewer, for validation, is less than five."""
MIN_MEAN_LENGTH, MAX_MEAN_LENGTH = 4.0, 2000.0
"""Hardly a word; a chapter."""
MAX_EXAMPLES = 3

KEYWORD_SHARE, KEYWORD_OWN, KEYWORD_TIMES, KEYWORD_TEXTS = 1 / 10, 2 / 3, 2, 500
"""Minima: share of its source's texts, the source's share of texts with it, ratio of its frequencies there and
elsewhere, texts of the source."""
WORD = regex.compile(r"\w{5,}")  # search terms are seldom shorter

SCRIPTS = (
    *("Arabic", "Latin", "Hebrew", "Cyrillic", "Greek", "Devanagari", "Han", "kana", "Hangul"),
    *("digits", "emoji", "punctuation", "space", "other"),
)

# Vowel points belong to no script, but to a block.
_SCRIPT = regex.compile(
    r"(?P<space>\s)|(?P<digits>\p{Nd})"
    r"|(?P<emoji>[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\uFE0F\u20E3])"
    r"|(?P<Arabic>[[\p{L}\p{M}]&&[\p{Script=Arabic}\p{Block=Arabic}]])"
    r"|(?P<Latin>[\p{L}&&\p{Script=Latin}])"
    + "".join(
        rf"|(?P<{name}>[[\p{{L}}\p{{M}}\p{{N}}]&&\p{{Script={name}}}])"
        for name in ("Hebrew", "Cyrillic", "Greek", "Devanagari", "Han", "Hangul")
    )
    # The vowel-lengthening stroke is of both kana, so of no script.
    + r"|(?P<kana>[[\p{L}\p{M}]&&[\p{Script=Hiragana}\p{Script=Katakana}\u30FC\uFF70]])"
    r"|(?P<punctuation>[\p{P}\p{S}])|(?P<other>.)",
    regex.V1 | regex.DOTALL,
)
_BROKEN = regex.compile(r"[\uFFFD\ud800-\udfff\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
# UTF-8 read in a Windows code page: the letter of a first byte, then one to three of the bytes 80 to BF.
_WESTERN = "[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_ARABIC = "[\u0080-\u00bf€پ‚ƒ„…†‡ˆ‰ٹ‹Œچژڈگ‘’“”•–—ک™ڑ›œ\u200c\u200dں،؛؟]"
_TWO_BYTES = regex.compile(f"[Â-ß]{_WESTERN}")
_MORE_BYTES = regex.compile(f"[à-ï]{_WESTERN}{{2}}|ð{_WESTERN}{{3}}|(?:[طظ]{_ARABIC}){{4}}")
_ACCENTED = regex.compile("[À-ÿ]{4,}")


@dataclass(frozen=True)
class Character:
    """A character of the texts."""

    char: str
    name: str
    """Unicode name, else code point (U+0007)."""
    count: int


@dataclass(frozen=True)
class Keyword:
    """A word of a tenth or more of a source's texts, and seldom elsewhere."""

    word: str
    source: str
    texts: int
    share: float


@dataclass(frozen=True)
class Lengths:
    """In characters (code points)."""

    min: int
    low: float
    """5th percentile."""
    median: float
    mean: float
    high: float
    """95th percentile."""
    max: int


@dataclass(frozen=True)
class Audit:
    """The audit of a list of texts: numbers of texts, rows as indices, shares from 0 to 1."""

    texts: int
    empty: int
    """Without a visible character."""
    empty_rows: tuple[int, ...]
    broken: int
    """See `is_broken`."""
    broken_rows: tuple[int, ...]
    exact_repeats: int
    """Character by character."""
    folded_repeats: int
    """By letters and digits, the exact ones included."""
    near_repeats: int
    """By near-duplicate groups, the folded ones included."""
    groups: int
    largest_group: int
    examples: tuple[tuple[int, int], ...]
    """Near-duplicate pairs of different groups, folded repeats last."""
    lengths: Lengths
    characters: int
    distinct_characters: int
    inventory: tuple[Character, ...]
    scripts: Mapping[str, float]
    dialects: Mapping[str, float]
    sources: Mapping[str, float] | None
    """The largest first; None for texts without sources."""
    keywords: tuple[Keyword, ...]
    lonely: tuple[str, ...]
    """Characters of one text alone, too rare to learn and test."""
    personal: Mapping[str, int]
    """Occurrences by kind."""
    leaks: Leakage | None
    """From a training part into these texts."""


def audit(texts: Sequence[str], against: Sequence[str] | None = None, *, sources: Sequence[str] | None = None) -> Audit:
    """Audit texts, and count their leaks from the training texts `against`."""
    if not texts:
        raise DataError("There is no text to audit; give a file with at least one.")
    keys = [near_duplicates.key(text) for text in texts]
    group = near_duplicates.groups(texts)
    sizes = np.bincount(group)
    empty = tuple(row for row, key in enumerate(keys) if key == " ")
    broken = tuple(row for row, text in enumerate(texts) if is_broken(text))
    counts = Counter("".join(texts))
    appearances = Counter(char for text in texts for char in set(text))
    personal = Counter(dict.fromkeys(PERSONAL, 0))
    for text in texts:
        personal.update(personal_counts(text))
    scripts: dict[str, int] = dict.fromkeys(SCRIPTS, 0)
    for char, count in counts.items():
        scripts[script(char)] += count
    lengths = np.array([len(text) for text in texts])
    low, median, high = np.percentile(lengths, [5, 50, 95]).tolist()
    return Audit(
        texts=len(texts),
        empty=len(empty),
        empty_rows=empty,
        broken=len(broken),
        broken_rows=broken,
        exact_repeats=len(texts) - len(set(texts)),
        folded_repeats=len(texts) - len(set(keys)),
        near_repeats=len(texts) - sizes.size,
        groups=sizes.size,
        largest_group=int(sizes.max()),
        examples=_examples(keys, group),
        lengths=Lengths(int(lengths.min()), low, median, float(lengths.mean()), high, int(lengths.max())),
        characters=counts.total(),
        distinct_characters=len(counts),
        inventory=tuple(
            Character(char, unicodedata.name(char, f"U+{ord(char):04X}"), count)
            for char, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ),
        scripts={name: count / max(counts.total(), 1) for name, count in scripts.items()},
        dialects=likely_shares(texts),
        sources=None if sources is None else {n: count / len(texts) for n, count in Counter(sources).most_common()},
        keywords=tuple(keywords(texts, sources)) if sources is not None and len(set(sources)) > 1 else (),
        lonely=tuple(sorted(char for char, texts_with in appearances.items() if texts_with == 1)),
        personal=dict(personal),
        leaks=None if against is None else leaks(against, texts),
    )


def keywords(texts: Sequence[str], sources: Sequence[str]) -> list[Keyword]:
    """Return words by which sources seem to have been collected, the commonest first: one came up in 7 % of
    completions."""
    sizes, everywhere = Counter(sources), Counter[str]()
    by_source = Counter[tuple[str, str]]()
    for text, source in zip(texts, sources, strict=True):
        found = set(WORD.findall(text))
        everywhere.update(found)
        by_source.update((source, word) for word in found)
    kept = (
        Keyword(word, source, n, n / sizes[source])
        for (source, word), n in by_source.items()
        if KEYWORD_TEXTS <= sizes[source] < len(texts)
        and n >= KEYWORD_SHARE * sizes[source]
        and n >= KEYWORD_OWN * everywhere[word]
        and n * (len(texts) - sizes[source]) >= KEYWORD_TIMES * (everywhere[word] - n) * sizes[source]
    )
    return sorted(kept, key=lambda one: (-one.share, one.source, one.word))


def cautions(texts: int, length: float, *, has_base: bool = False) -> list[str]:
    """Return cautions on the number and mean length of training texts."""
    beside = ", beside those of the base" if has_base else ""
    few = f"Only {counted(texts, 'text')} to learn from{beside}: with fewer than {MIN_TEXTS}, figures say little about"
    mean = f"The texts have {length:,.{0 if length > MAX_MEAN_LENGTH else 1}f} characters on average"
    checks = (
        (texts < MIN_TEXTS, f"{few} new texts."),
        (length < MIN_MEAN_LENGTH, f"{mean}: there is hardly anything in them to complete."),
        (
            length > MAX_MEAN_LENGTH,
            f"{mean}, and Kammil is made for short ones: cut them first, such as a paragraph a line.",
        ),
    )
    return [sentence for holds, sentence in checks if holds]


def is_broken(text: str) -> bool:
    """Return whether a text holds damaged characters, or words that look read in a wrong encoding."""
    return bool(
        _BROKEN.search(text)
        or _MORE_BYTES.search(text)
        or len(_TWO_BYTES.findall(text)) > 1
        or any(len(set(word)) > 2 for word in _ACCENTED.findall(text))
    )


def script(char: str) -> str:
    """Return the one of `SCRIPTS` of a character."""
    match = _SCRIPT.match(char)
    return match.lastgroup if match and match.lastgroup else "other"


def _examples(keys: Sequence[str], group: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Pair the first text of a group with a near one that is no copy, else with a copy."""
    order = np.argsort(group, kind="stable")
    different: list[tuple[int, int]] = []
    copies: list[tuple[int, int]] = []
    for members in np.split(order, np.cumsum(np.bincount(group))[:-1]):
        if len(different) == MAX_EXAMPLES:
            break
        rows: list[int] = members.tolist()
        first, later = rows[0], rows[1:]
        near = (
            row
            for row in later
            if keys[row] != keys[first] and near_duplicates.overlap(keys[first], keys[row]) >= near_duplicates.MIN_SHARE
        )
        if (row := next(near, None)) is not None:
            different.append((first, row))
        elif later:
            copies.append((first, later[0]))
    return tuple((different + copies)[:MAX_EXAMPLES])
