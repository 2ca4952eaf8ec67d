"""Entries of a list of blocked words: how they are written and read, and by which letters they are compared.

An entry is a word, or several, and stands for its written variants. Letters are compared by their folds: forms of alef
and hamza, ta marbuta and ha, alef maqsura and ya, letters of Persian keyboards, case and accents make no difference;
vowel points, the stretching stroke and joiners are skipped. Anything but letters and digits separates words, the
underscore of a hashtag too.

A list is a tab-separated file, such as `offensive.tsv`, one entry a line: entry, kind, language, form. In an entry
`(a|b)` stands for either, and a line with `{a|b}` for an entry with each. `~` marks where a word is known for what it
is, since no ordinary word goes on like that; a text that is being generated does not go past it. The forms:

- `stem`: every word that begins with the entry. Without a mark it is known by its last letter.
- `noun`: the entry with the endings of number, gender and possession.
- `word`: the entry alone, with nothing written together with it.

Lines of a user's own list may leave out everything behind the entry; it is a `noun` then.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Literal, cast, get_args

import regex

from kammil.errors import DataError

Form = Literal["stem", "noun", "word"]
"""How an entry is matched."""
_MAX_LIST = 1 << 16
"""Most bytes of a user's list."""
_SPELLING = str.maketrans("ٱىیةکہەگ", "اييهكههك")
SEPARATOR = " "
_ALTERNATIVES, _CHOICES, MARK = regex.compile(r"\(([^()]*)\)"), regex.compile(r"\{([^{}]*)\}"), "~"
_PATTERN_SIGNS = regex.compile(r"[(){}|~]")
_SEPARATORS = regex.compile(" +")


@dataclass(frozen=True)
class BlockedWord:
    """An entry of a list."""

    pattern: str
    """The entry as it is written in the list."""
    kind: str = "own"
    """Kind of offence: `sexual`, `insult`, `hate` (against a sect, people, sex or origin) or `threat`."""
    language: str = ""
    """`levantine`, `arabic` (standard), `dialect` (another one), `arabizi` or `english`."""
    form: Form = "noun"
    """How it is matched."""


def read_list(content: str, name: str, *, patterns: bool = False) -> tuple[BlockedWord, ...]:
    """Read a list; `DataError` with the number of the first line that is wrong. `#` begins a comment line.

    Without `patterns` the signs of a pattern are punctuation: a stranger's list must not stand for millions of words.
    """
    entries: list[BlockedWord] = []
    for number, line in enumerate(content.splitlines(), 1):
        fields = [field.strip() for field in line.lstrip("\ufeff").rstrip().split("\t")]
        if not fields[0] or fields[0].startswith("#"):
            continue
        if len(fields) > 4 or (len(fields) == 4 and fields[3] not in get_args(Form)):
            raise DataError(
                f"line {number} of {name} is no entry; write a word, or entry, kind, language and form "
                f"({', '.join(get_args(Form))}) with tabs between them."
            )
        for pattern in _entries(fields[0]) if patterns else [_PATTERN_SIGNS.sub(SEPARATOR, fields[0])]:
            entry = BlockedWord(pattern, *cast(tuple[str, str, Form], fields[1:]))
            if not any(min(len(choice.strip()) for choice in part) for part in folded_parts(pattern)):
                raise DataError(f"line {number} of {name} has no letters, so it blocks nothing; remove it.")
            entries.append(entry)
    return tuple(entries)


def read_list_file(path: Path) -> tuple[BlockedWord, ...]:
    """Read a user's list, one word a line; `DataError` for a file that is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_LIST + 1)
        if len(content) > _MAX_LIST:
            raise DataError(f"{path} has more than {_MAX_LIST} bytes, which is no list of words; shorten it.")
        return read_list(content.decode("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of words {path} cannot be read as UTF-8 text: {error}.") from error


def spellings(entry: BlockedWord) -> list[str]:
    """Return the spellings of an entry as its pattern has them, without endings and what is written before it."""
    parts = [part.split("|") if i % 2 else [part] for i, part in enumerate(_ALTERNATIVES.split(entry.pattern))]
    return ["".join(choice).replace(MARK, "") for choice in product(*parts)]


def _entries(pattern: str) -> list[str]:
    """Return the patterns that a line stands for: one for each choice in its braces."""
    parts = [part.split("|") if i % 2 else [part] for i, part in enumerate(_CHOICES.split(pattern))]
    return ["".join(choice) for choice in product(*parts)]


def folded_parts(pattern: str) -> list[list[str]]:
    """Return the parts of a pattern, each with its alternatives, folded; the mark stands among the letters."""
    cut = enumerate(_ALTERNATIVES.split(pattern))
    parts = [_choices(part) if i % 2 else [_folded_choice(part)] for i, part in cut if part or i % 2]
    parts[0] = [choice.lstrip(SEPARATOR) for choice in parts[0]]
    parts[-1] = [choice.rstrip(SEPARATOR) for choice in parts[-1]]
    return parts


@cache
def _choices(part: str) -> list[str]:
    return [_folded_choice(choice) for choice in part.split("|")]


def _folded_choice(choice: str) -> str:
    return _SEPARATORS.sub(SEPARATOR, MARK.join(map(_fold, choice.split(MARK))))


@cache
def fold_character(character: str) -> str:
    """Return the letters and digits of a character; a space if it separates words, "" if it is skipped."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or character == "\N{ARABIC TATWEEL}":
        return ""
    folded = ""
    for part in unicodedata.normalize("NFKD", character).casefold():
        kind = unicodedata.category(part)
        if kind[0] == "L" and kind != "Lm":
            folded += part
        elif kind[0] == "N":
            folded += str(unicodedata.digit(part, part))
        elif kind not in ("Mn", "Me"):
            folded += SEPARATOR
    return folded.translate(_SPELLING) or SEPARATOR


def _fold(text: str) -> str:
    return "".join(map(fold_character, text))
