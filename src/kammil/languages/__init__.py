"""Languages: each fact about one stands once, in its folder here, and no other room names a letter or a word of one.

A language is a folder with `__init__.py`, which defines `LANGUAGE`, and files of data; every field and every file is
optional. Rooms use what all languages bring together. Where two bring something for one letter, the first counts.

| file of a language | what it holds |
|---|---|
| `offensive.tsv` | words that are not written unasked (docs/offensive-words.md) |
| `rulers.txt`, `politics.txt`, `formulas.txt` | what is not brought up unasked (`completion/unsolicited.py`) |
| `religious.txt`, `function_words.txt` | words that say little: a list of suggestions holds others beside them |
| `frequent.txt` | words of a language in Latin letters, the commonest first: they are not read as another language |
| `channel.json`, `transliteration.json` | how its letters are misspelt, and typed in Latin letters (`recipes/`) |
| `dialects.json` | what words tell of a dialect (`recipes/dialects.py`) |
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import regex

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Affixes:
    """What may be written together with a blocked word of a script."""

    script: str = ""
    """Its name in Unicode, such as Latin: a language may be written in several."""
    prefixes: Collection[str] = ()
    endings: Collection[str] = ()
    endings_for: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])
    """Last letter of a word, as it is compared -> the endings that take its place, in place of `endings`."""


@dataclass(frozen=True, eq=False)
class Language:
    """What is known of a language."""

    script: str = ""
    """Its name in Unicode, such as Hebrew."""
    keyboard: Sequence[str] = ()
    """Rows of the letters on a phone's keyboard."""
    folds: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variant of a letter -> the letter as which it is compared."""
    block_folds: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further letters that pass for others in blocked words."""
    respelt: Mapping[str, str] = field(default_factory=dict[str, str])
    """Letter -> the other way in which people spell it."""
    respelt_last: Mapping[str, str] = field(default_factory=dict[str, str])
    """The same of letters that are spelt in two ways at the end of a word alone."""
    careful: Sequence[str] = ()
    """Letters of a careful spelling, by kind: who writes one of a kind writes all of them."""
    long_vowels: str = ""
    """Letters that are doubled for emphasis, or make another word."""
    proclitics: Collection[str] = ()
    """What is written together with the word behind it: conjunctions, prepositions, article."""
    conjunction: str = ""
    """The one that is joined to function words."""
    article: str = ""
    """Pattern of the article at the beginning of a listed name, with which the name is not compared."""
    articles: Mapping[str, str] = field(default_factory=dict[str, str])
    """Form of the article, or a letter and the article apart -> what they become joined to a word (transliteration)."""
    affixes: Sequence[Affixes] = ()
    dialects: Sequence[str] = ()
    folder: Path | None = None
    """Where its data lie; the registry fills it in."""

    def read(self, name: str) -> str:
        """Return the text of a file of data; empty if the language has none."""
        file = self.folder / name if self.folder else None
        return file.read_text("utf-8") if file and file.exists() else ""

    def entries(self, name: str) -> list[str]:
        """Return the lines of a list, `NAME.txt`, without comments."""
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
    """Make everything anew of the languages that lie in the folders of `__path__`."""
    for clear in _forget:
        clear()


def add(folder: Path) -> None:
    """Know the languages in the folders of another folder, too."""
    __path__.append(str(folder))
    forget()


@pooled
def known() -> Mapping[str, Language]:
    """Return all languages by name: of this folder, and of those that were added."""
    modules = [
        import_module(f"{__name__}.{name}") for _, name, is_folder in pkgutil.iter_modules(__path__) if is_folder
    ]
    return {
        module.__name__.rpartition(".")[2]: replace(module.LANGUAGE, folder=Path(str(module.__file__)).parent)
        for module in modules
    }


@pooled
def entries(*names: str) -> list[str]:
    """Return the lines of lists of all languages."""
    return [entry for language in known().values() for name in names for entry in language.entries(name)]


@pooled
def union(name: str) -> dict[str, str]:
    """Return a mapping of letters of all languages, such as `folds`."""
    found: dict[str, str] = {}
    for language in known().values():
        found = getattr(language, name) | found
    return found


@pooled
def neighbours() -> Mapping[str, str]:
    """Return letter -> the letters beside it on its keyboard: in its row, and those above and below."""
    found: dict[str, str] = {}
    for rows in (language.keyboard for language in known().values()):
        for r, row in enumerate(rows):
            for c, letter in enumerate(row):
                around = [(r, c - 1), (r, c + 1), (r - 1, c), (r - 1, c + 1), (r + 1, c - 1), (r + 1, c)]
                beside = "".join(rows[a][b] for a, b in around if 0 <= a < len(rows) and 0 <= b < len(rows[a]))
                found.setdefault(letter, beside)
    return found


@cache
def script(name: str) -> regex.Pattern[str]:
    """Return a pattern that finds a character of a script."""
    return regex.compile(rf"\p{{Script={name}}}")
