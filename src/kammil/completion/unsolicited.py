"""Names and words that models bring up by themselves and should not: rulers and parties, politics, religious formulas.

Neither ghost text nor a completion (`data/blocklist.py`) finishes an *entry* of `rulers.txt`; ghost text shows one of
`formulas.txt` only if a whole word of it, or three letters of its stem, are typed. Drawn completions that bring up
`politics.txt` are chosen last. A list holds no two religious words at the start of a text, and elsewhere not only
function words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kammil.languages import known, pooled
from kammil.text import fold_spelling, words

LETTERS = 3
"""Minimum number of typed letters: two would match the bare article."""


def strip_unsolicited(text: str, ghost: str) -> str:
    """Return the whole words of ghost text before the first ruler, or formula that the text has not begun."""
    begin = _last_words(text, entries_of("rulers", "formulas"))
    seen, typed = text[begin:] + ghost, len(text) - begin
    starts = [start for start, _, _ in _found(seen, typed, entries_of("rulers"))]
    formulas = _found(seen, typed, entries_of("formulas"))
    starts += [start for start, end, letters in formulas if end > typed and letters < LETTERS]
    return seen[typed : max(min(starts), typed)].rstrip().rstrip("#").rstrip() if starts else ghost


def is_religious(word: str) -> bool:
    """Return whether a word is religious by itself."""
    first = entries_of("formulas", "religious").by_first_word
    return any((stem,) in first.get(stem, ()) for stem in _stems(fold_spelling(word)))


def is_function_word(word: str) -> bool:
    """Return whether a word, without its conjunction, may follow any other."""
    folded = fold_spelling(word)
    joined = (folded.removeprefix(language.conjunction) for language in known().values())
    return not entries_of("function_words").last_words.isdisjoint((folded, *joined))


def unsolicited_politics(text: str) -> Callable[[str], bool]:
    """Return a test whether a completion brings up rulers or politics, and the text, searched once, does not."""
    entries = entries_of("rulers", "politics")
    if any(_found(text, 0, entries)):
        return lambda _: False
    last = text[_last_words(text, entries) :]
    return lambda completion: any(_found(last + completion, len(last), entries))


class Entries(NamedTuple):
    """Lines of lists, found by their first word."""

    by_first_word: dict[str, list[tuple[str, ...]]]
    """First word, folded and without its article -> entries, folded."""
    last_words: set[str]
    """Last words of entries."""
    max_words: int


@pooled
def proclitics() -> tuple[frozenset[str], int]:
    """Return the proclitics of all languages, and the length of the longest."""
    every = frozenset(proclitic for language in known().values() for proclitic in language.proclitics)
    return every, max(map(len, every), default=0)


@pooled
def entries_of(*names: str) -> Entries:
    """Return the entries of some lists of all languages."""
    entries: list[tuple[str, ...]] = []
    for language in known().values():
        for line in (line for name in names for line in language.entries(name)):
            first, *others = map(fold_spelling, line.split())
            entries.append((re.sub(f"^{language.article}", "", first), *others))
    by_first_word: dict[str, list[tuple[str, ...]]] = {}
    for entry in entries:
        by_first_word.setdefault(entry[0], []).append(entry)
    return Entries(by_first_word, {entry[-1] for entry in entries}, max(map(len, entries), default=1))


def _words(text: str) -> list[tuple[int, int]]:
    return words(text.replace("_", " "))  # those of a hashtag are words, too


def _last_words(text: str, entries: Entries) -> int:
    """Return where the last words begin, in which an entry may have begun."""
    last = _words(text)[-entries.max_words :]
    return last[0][0] if last else len(text)


def _found(seen: str, typed: int, entries: Entries) -> Iterator[tuple[int, int, int]]:
    """Yield begin and end of the first word of each entry that ends after `typed` characters, and number of typed
    letters of its stem."""
    found = _words(seen)
    new = [fold_spelling(seen[a:b]) for a, b in found if b > typed]
    if not any(stem in entries.last_words for word in new for stem in _stems(word)):
        return
    folded = [*(fold_spelling(seen[a:b]) for a, b in found if b <= typed), *new]
    for i, (start, end) in enumerate(found):
        for stem in _stems(folded[i]):
            for entry in entries.by_first_word.get(stem, ()):
                last = i + len(entry) - 1
                if last < len(found) and found[last][1] > typed and tuple(folded[i + 1 : last + 1]) == entry[1:]:
                    letters = len(fold_spelling(seen[start : max(start, typed)])) - (len(folded[i]) - len(stem))
                    yield start, end, letters


def _stems(word: str) -> Iterator[str]:
    """Yield a folded word, and what follows each of its proclitics."""
    yield word
    every, longest = proclitics()
    for end in range(1, min(len(word), longest + 1)):
        if word[:end] in every:
            yield word[end:]
