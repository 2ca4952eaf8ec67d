"""The task by examples: texts as prompt and target, and the vocabulary with its counts."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kammil.data import sources
from kammil.errors import OptionError
from kammil.evaluation.metrics import TARGET, check_task, long_enough, spread, target_span
from kammil.text import RAW, TextRules
from kammil.vocabulary import SPECIALS, CharacterVocabulary


@dataclass(frozen=True)
class Pair:
    """A text as the task sees it: the prompt is its first half, the target the next characters."""

    prompt: str
    target: str
    length: int
    """Number of characters of the whole text."""


@dataclass(frozen=True)
class VocabularyEntry:
    """A character of the vocabulary."""

    id: int
    character: str
    name: str
    """Name of the code point in Unicode, or its number where it has none."""
    count: int
    """Occurrences in the texts."""


@dataclass(frozen=True)
class Examples:
    """Some texts of many, and the vocabulary of all."""

    texts: int
    """Number of texts; the pairs are some of them, the vocabulary is that of all."""
    short_texts: int
    """Number of texts that were left out because they are too short."""
    characters: int
    """Characters of all texts."""
    pairs: tuple[Pair, ...]
    vocabulary: tuple[VocabularyEntry, ...]
    """All characters, by id. The ids before them are those of `PAD`, `UNK`, `BOS` and `EOS`."""

    def to_dict(self) -> dict[str, Any]:
        """Convert to builtins, for JSON."""
        return asdict(self)


def pairs(texts: Sequence[str], *, target: int = TARGET) -> list[Pair]:
    """Return prompt and target of each text, as `kammil evaluate` asks for them."""
    spans = [target_span(text, target) for text in texts]
    return [Pair(text[: span.start], text[span], len(text)) for text, span in zip(texts, spans, strict=True)]


def examples(
    texts: sources.Texts,
    n: int = 5,
    *,
    column: str | None = None,
    target: int = TARGET,
    min_length: int = 0,
    raw: bool = False,
    **reading: Any,
) -> Examples:
    """Show what a model would see of texts.

    Args:
        texts: given as for `kammil.train`.
        n: number of pairs, from texts spread evenly; all if there are fewer.
        column: of the texts, if they come as a table.
        target: number of characters of a target, at most.
        min_length: texts of fewer characters are left out.
        raw: apply no text rule.
        reading: further options of `kammil.data.sources.texts`, such as `where`.

    Raises: `DataError` if no text is left, `OptionError` for a target or length out of range.
    """
    check_task(target, min_length)
    if n < 0:
        raise OptionError(f"n is {n}, but it must be a number of texts, such as 5.")
    rows = sources.texts(texts, column=column, **reading)
    rules = RAW if raw else TextRules()
    normalised = [text for text in (rules.normalise(row.strip()).strip() for row in rows) if text]
    long = long_enough(normalised, min_length)
    counts = Counter[str]()
    for text in long:
        counts.update(text)
    return Examples(
        len(long),
        len(normalised) - len(long),
        counts.total(),
        tuple(pairs(spread(long, n), target=target)),
        tuple(
            VocabularyEntry(SPECIALS + i, c, unicodedata.name(c, f"U+{ord(c):04X}"), counts[c])
            for i, c in enumerate(CharacterVocabulary(counts).characters)
        ),
    )
