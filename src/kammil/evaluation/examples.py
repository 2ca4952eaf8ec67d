"""The task by examples: prompts and targets, the vocabulary with counts, completions beside the truth."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kammil.completion.completer import Completer
from kammil.data import sources
from kammil.data.bloom import BloomFilter, Novelty
from kammil.decoding.options import nth_seed
from kammil.errors import OptionError
from kammil.evaluation.metrics import TARGET, check_task, half, long_enough, normalised_texts, spread, target_span
from kammil.progress import tracked
from kammil.text import RAW, TextRules
from kammil.vocabulary import SPECIALS, CharacterVocabulary

TEMPERATURES = (0.0, 0.5, 1.0, 1.5)
"""0 is greedy."""


@dataclass(frozen=True)
class Pair:
    """The first half of a text, and the next characters."""

    prompt: str
    target: str
    length: int
    """Characters of the whole text."""


@dataclass(frozen=True)
class VocabularyEntry:
    """A character of the vocabulary."""

    id: int
    character: str
    name: str
    """Unicode name of the code point, or its number without one."""
    count: int


@dataclass(frozen=True)
class Examples:
    """Some texts as pairs, and the vocabulary of all."""

    texts: int
    short_texts: int
    """Texts left out."""
    characters: int
    pairs: tuple[Pair, ...]
    vocabulary: tuple[VocabularyEntry, ...]
    """By id, after the special ids."""


@dataclass(frozen=True)
class SampledText:
    """One completion at one temperature."""

    temperature: float
    text: str
    novelty: Novelty
    """`seen` if all its runs of letters stand in the training texts."""


@dataclass(frozen=True)
class Sample:
    """A held-out text, and completions of its first half."""

    input: str
    truth: str
    written: tuple[SampledText, ...]


def pairs(texts: Sequence[str], *, target: int = TARGET) -> list[Pair]:
    """Return prompt and target of each text."""
    return [Pair(text[: half(text)], text[target_span(text, target)], len(text)) for text in texts]


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
        texts, column: given as for `kammil.train`.
        n: number of pairs, from evenly spread texts.
        target: maximum number of characters of a target.
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
    counts = Counter("".join(long))
    vocabulary = [
        VocabularyEntry(id, c, unicodedata.name(c, f"U+{ord(c):04X}"), counts[c])
        for id, c in enumerate(CharacterVocabulary(counts).characters, SPECIALS)
    ]
    shown = pairs(spread(long, n), target=target)
    return Examples(len(long), len(normalised) - len(long), counts.total(), tuple(shown), tuple(vocabulary))


def samples(
    model: Completer,
    texts: Sequence[str],
    n: int,
    *,
    seed: int = 0,
    target: int = TARGET,
    min_length: int = 0,
    context: int = 0,
) -> list[Sample]:
    """Complete `n` evenly spread texts of at least `min_length` characters, with different prompts, each by random
    numbers of its own, and after the `context` texts before it."""
    seen = BloomFilter(model.model.seen) if model.model is not None else None
    all_texts = normalised_texts(model, texts)
    long = [i for i, text in enumerate(all_texts) if len(text) >= min_length]
    different = list({all_texts[i][: half(all_texts[i])]: i for i in reversed(long)}.values())[::-1]
    completed: list[Sample] = []
    for number, i in enumerate(tracked(spread(different, n), "completing samples")):
        (pair,), said = pairs([all_texts[i]], target=target), all_texts[max(0, i - context) : i]
        written: list[SampledText] = []
        for temperature in TEMPERATURES:
            own = nth_seed(seed, number)
            answer = model.complete(pair.prompt, context=said, length=target, temperature=temperature, seed=own).text
            written.append(SampledText(temperature, answer, seen.novelty(answer, pair.prompt) if seen else "new"))
        completed.append(Sample(pair.prompt, pair.target, tuple(written)))
    return completed
