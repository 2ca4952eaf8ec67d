"""What models bring up by themselves and should not: rulers and parties, politics, religious formulas.

In ghost text a ruler's name is an opinion that the writer did not utter, and a blessing is one that not everybody
gives: such an *entry* (`rulers.txt`, `formulas.txt`) is shown only if a whole word of it, or three letters, are typed,
proclitics and the article not counted. Of completions that were drawn, one that brings up rulers or politics
(`politics.txt`) where the text does not is chosen last. Lists are not affected, but hold one religious word at most
where a text begins, and elsewhere not only function words (`function_words.txt`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import regex

from kammil.text import fold_spelling, words

LETTERS = 3
"""Letters that begin an entry. With two, "ال" would ask for half of the list."""
_ARTICLE = regex.compile(r"ال[^ل]..")
"""The article before a name. Without it اللهم would be the word for "to them"."""
_PROCLITICS = regex.compile(r"[وف]?(?:[بكعل]?ال|لل|[بكعل])?")


def strip_unsolicited(text: str, ghost: str) -> str:
    """Return the words of ghost text before the first entry that the text has not begun.

    Args:
        text: what is typed, as the model sees it.
        ghost: what would be shown after it, whole words.
    """
    entries = _entries("rulers", "formulas")
    # No entry that has more words than the longest can end in the ghost.
    first = words(text)[-entries.most_words :]
    begin = first[0][0] if first else len(text)
    seen, typed = text[begin:] + ghost, len(text) - begin
    for start, end, letters in _found(seen, typed, entries):
        if end > typed and letters < LETTERS:  # neither a whole word of it nor enough letters are typed
            return seen[typed : max(start, typed)].rstrip()
    return ghost


def is_religious(word: str) -> bool:
    """Return whether a word is a religious formula by itself, or the name of God that most of them hold."""
    formulas = _entries("formulas")
    alone = (stem for stem in _stems(fold_spelling(word)) if (stem,) in formulas.by_first_word.get(stem, ()))
    return any(alone) or any(stem in ("الله", "لله") for stem in _stems(fold_spelling(word)))


def is_function_word(word: str) -> bool:
    """Return whether a word is one that may follow any other, with or without a joined و."""
    folded = fold_spelling(word)
    return not _entries("function_words").last_words.isdisjoint((folded, folded.removeprefix("و")))


def unsolicited_politics(text: str) -> Callable[[str], bool]:
    """Return a function that says whether a completion of a text names a ruler, a party or what politics is about, and
    the text does not. What is found in the text is found once, for all its completions."""
    entries = _entries("rulers", "politics")
    if any(_found(text, 0, entries)):
        return lambda _: False
    first = words(text)[-entries.most_words :]  # no entry that has more words can end in the completion
    last = text[first[0][0] if first else len(text) :]
    return lambda completion: any(_found(last + completion, len(last), entries))


def _found(seen: str, typed: int, entries: _Entries) -> Iterator[tuple[int, int, int]]:
    """Yield each entry that ends after `typed` characters: where its first word begins and ends, and how many letters
    of it, proclitics not counted, stand before `typed`."""
    found = words(seen)
    new = [fold_spelling(seen[a:b]) for a, b in found if b > typed]
    if not any(stem in entries.last_words for word in new for stem in _stems(word)):  # as for most texts
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
    yield word
    longest = _PROCLITICS.match(word)
    for end in range(1, (longest.end() if longest else 0) + 1):
        if _PROCLITICS.fullmatch(word[:end]) and end < len(word):
            yield word[end:]


@dataclass(frozen=True)
class _Entries:
    by_first_word: dict[str, list[tuple[str, ...]]]
    """First word, folded and without its article -> entries, all words folded."""
    last_words: frozenset[str]
    """The words that an entry ends in; of an entry of one word as in `by_first_word`."""
    most_words: int


@cache
def _entries(*names: str) -> _Entries:
    files = (resources.files("kammil.completion").joinpath(f"{name}.txt") for name in names)
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    by_first_word: dict[str, list[tuple[str, ...]]] = {}
    last_words: set[str] = set()
    most_words = 1
    for line in lines:
        if not line or line.startswith("#"):
            continue
        first, *others = map(fold_spelling, line.split())
        if _ARTICLE.match(first):
            first = first.removeprefix("ال")
        by_first_word.setdefault(first, []).append((first, *others))
        last_words.add(others[-1] if others else first)
        most_words = max(most_words, 1 + len(others))
    return _Entries(by_first_word, frozenset(last_words), most_words)
