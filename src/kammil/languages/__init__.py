"""Languages: each fact about one stands once, in its folder here; no other room names a letter or a word of one.

A language is a folder with `__init__.py`, which defines `LANGUAGE`, and files of data; every field and file is
optional. Rooms use what all languages bring together. Where two fold a letter differently, the first by name counts.

| file of a language | what it holds |
|---|---|
| `offensive.tsv` | words that are not written unasked (docs/offensive-words.md) |
| `silence.tsv` | words of self-harm, after which there is no help, and harmless phrases that hold one |
| `rulers.txt`, `politics.txt`, `formulas.txt` | what is not brought up unasked (`completion/unsolicited.py`) |
| `religious.txt`, `function_words.txt` | words that say little, beside which a list of suggestions holds others |
| `frequent.txt` | the commonest words of a language in Latin letters, which is not to be read as another |
| `channel.json`, `transliteration.json`, `dialects.json` | counts, made by the recipes of these names |
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import regex

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Affixes:
    """Affixes that may be joined to a blocked word of a script."""

    script: str = ""
    """Its name in Unicode, such as Latin."""
    prefixes: Collection[str] = ()
    endings: Collection[str] = ()
    endings_for: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])
    """Last letter of a word, folded -> endings that take its place."""


@dataclass(frozen=True, eq=False)
class Language:
    """Letters, spellings and word lists of a language."""

    script: str = ""
    """Its name in Unicode, such as Hebrew."""
    locale: str = ""
    """Code of the language of most words in this script, such as he."""
    keyboard: Sequence[str] = ()
    """Rows of letters of a phone's keyboard."""
    folds: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variant of a letter -> the letter."""
    block_folds: Mapping[str, str] = field(default_factory=dict[str, str])
    """The same in blocked words alone."""
    respelt: Mapping[str, str] = field(default_factory=dict[str, str])
    """Letter -> the other way in which people spell it."""
    respelt_last: Mapping[str, str] = field(default_factory=dict[str, str])
    """The same at the end of a word alone."""
    careful: Sequence[str] = ()
    """Letters of a careful spelling, by kind: who writes one of a kind writes all of them."""
    long_vowels: str = ""
    """Letters that are doubled for emphasis."""
    proclitics: Collection[str] = ()
    """Conjunctions, prepositions and articles that are joined to the next word."""
    conjunction: str = ""
    """The one that may be joined to a function word."""
    article: str = ""
    """Pattern of the article of a listed name, which is not compared."""
    articles: Mapping[str, str] = field(default_factory=dict[str, str])
    """Form of the article, or a letter and the article apart -> what is joined to a transliterated word."""
    affixes: Sequence[Affixes] = ()
    labels: Collection[str] = ()
    """Its varieties in lists, beside its own name."""
    dialects: Sequence[str] = ()
    folder: Path | None = None
    """Its folder, filled in by `known`."""

    def read(self, name: str) -> str:
        """Return the text of a file; empty if there is none."""
        file = self.folder / name if self.folder else None
        return file.read_text("utf-8") if file and file.exists() else ""

    def entries(self, name: str) -> list[str]:
        """Return the lines of `NAME.txt` without comments."""
        return [line for line in self.read(f"{name}.txt").splitlines() if line and not line.startswith("#")]

    def table(self, name: str) -> dict[str, Any]:
        """Return what `NAME.json` holds."""
        return json.loads(self.read(f"{name}.json") or "{}")


_forget: list[Callable[[], None]] = []


def pooled(function: Callable[P, R]) -> Callable[P, R]:
    """Cache what is made of all languages, until `forget`."""
    cached = cache(function)
    _forget.append(cached.cache_clear)
    return cast(Callable[P, R], cached)


def forget() -> None:
    """Find the languages in the folders of `__path__` anew."""
    for clear in _forget:
        clear()


def add(folder: Path) -> None:
    """Know the languages of another folder, too."""
    __path__.append(str(folder))
    forget()


@pooled
def known() -> Mapping[str, Language]:
    """Return all languages by name."""
    names = [name for _, name, is_folder in pkgutil.iter_modules(__path__) if is_folder]
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: replace(one.LANGUAGE, folder=Path(str(one.__file__)).parent) for name, one in modules.items()}


@pooled
def union(name: str) -> dict[str, str]:
    """Return a mapping of letters of all languages, such as `folds`."""
    return reduce(lambda found, language: {**getattr(language, name), **found}, known().values(), dict[str, str]())


@pooled
def neighbours() -> Mapping[str, str]:
    """Return letter -> the letters beside it on keyboards, in its row, above and below."""
    found: dict[str, str] = {}
    for rows in (language.keyboard for language in known().values()):
        for r, row in enumerate(rows):
            for c, letter in enumerate(row):
                around = [(r, c - 1), (r, c + 1), (r - 1, c), (r - 1, c + 1), (r + 1, c - 1), (r + 1, c)]
                beside = "".join(rows[a][b] for a, b in around if 0 <= a < len(rows) and 0 <= b < len(rows[a]))
                found[letter] = "".join(dict.fromkeys(found.get(letter, "") + beside))
    return found


@cache
def script(name: str) -> regex.Pattern[str]:
    """Return a pattern that finds a character of a script."""
    return regex.compile(rf"\p{{Script={name}}}")
