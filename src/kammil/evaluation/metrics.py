"""Teacher-forced and free-running figures of a model on texts it has not seen.

The task is the notebook's: given the first half of a text, the next 30 characters. *Teacher-forced*: each character is
predicted from all true ones before it. *Free-running*: the model continues its own greedy completion, and a character
is right if it stands where the true one stands.

Every figure is a ratio of sums over all texts, never a mean of means, so a long text weighs what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.scoring import TokenScores, score_texts
from kammil.data import in_memory, sources
from kammil.data.bloom import BloomFilter, ExactTexts
from kammil.errors import DataError
from kammil.evaluation.baselines import runners
from kammil.evaluation.bootstrap import Array, Interval, ratio, ratios
from kammil.evaluation.greedy import continuations
from kammil.language_model import Ids, LanguageModel
from kammil.progress import tracked
from kammil.vocabulary import SPECIALS, UNK, CharacterVocabulary

TARGET = 30
"""Characters to predict from the middle of each text on."""
LOOPS = 6
"""Loops over the texts in `evaluate`: for the model and two baselines, along the texts and on from their middles."""
_BATCH = 64


@dataclass(frozen=True)
class Metrics:
    """Figures of one predictor."""

    target_bits_per_character: Interval | None
    """Bits of the target characters, per character, with the cost of naming unknown ones."""
    target_top1: Interval | None
    """Share of target characters that were the most probable."""
    target_top3: Interval | None
    target_top5: Interval | None
    bits_per_character: Interval | None
    """Bits of all characters, per character, ends of text left out of both sums."""
    bits_per_character_with_end: Interval | None
    """Bits of all characters and of the ends of texts, per character and end."""
    perplexity: Interval | None
    """2 to the power of `bits_per_character_with_end`; the largest of a ruined model is 2 ** 1023."""
    top1: Interval | None
    """Share of all characters and ends that were the most probable."""
    free_running: Interval | None
    """Share of target characters that a greedy completion has in the right place."""


@dataclass(frozen=True)
class Evaluation:
    """A model on texts, beside what it must beat."""

    texts: int
    characters: int
    """As the model sees them."""
    target_characters: int
    unknown_characters: int
    """Not in the model's vocabulary."""
    seen_texts: int
    """Texts that stand in the training texts, as `kammil data check` counts them: for these the figures measure recall.
    Of a folder that keeps no whole texts, those all of whose letter runs stand there."""
    seen_by: Literal["texts", "runs"]
    """Which of the two was counted."""
    model: Metrics
    baselines: dict[str, Metrics]

    def to_dict(self) -> dict[str, Any]:
        """Builtins only, for JSON."""
        return asdict(self)


def evaluate(
    model: Completer, texts: in_memory.Texts, *, column: str | None = None, target: int = TARGET
) -> Evaluation:
    """Evaluate the running side on texts, as `train` takes them; `DataError` without any character to predict."""
    if isinstance(texts, str | PathLike):
        rows: Sequence[str] = sources.texts(texts if isinstance(texts, str) else Path(texts), column=column)
    elif isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts):
        rows = cast(Sequence[str], texts)  # as they are: where a model sees raw texts, white space counts
    else:
        rows = in_memory.from_python(texts, column=column).texts
    seen_as = [text for text in (model.normalise(text).rstrip() for text in rows) if text]
    if not seen_as:
        raise DataError("there is no text to evaluate on; name a file that has some.")
    arrays = model.model.baselines if model.model is not None else {}
    rivals = runners(arrays, model.vocabulary.size) if model.model is not None else {}
    arrays_seen = model.model.seen if model.model is not None else None
    whole = ExactTexts(arrays_seen if arrays_seen is not None else {})
    by_runs = BloomFilter(arrays_seen) if arrays_seen is not None and not whole.available else None
    others = {name: figures(runner, model.vocabulary, seen_as, target) for name, runner in rivals.items()}
    if others and model.vocabulary.characters:
        others = {"most frequent": _always_one(arrays["unigram"], model, seen_as, target)} | others
    return Evaluation(
        texts=len(seen_as),
        characters=sum(map(len, seen_as)),
        target_characters=sum(len(text[half(text) :][:target]) for text in seen_as),
        unknown_characters=sum(int((model.vocabulary.encode(text) == UNK).sum()) for text in seen_as),
        seen_texts=int(whole.contains(seen_as).sum())
        if by_runs is None
        else sum(by_runs.novelty(text) == "seen" for text in seen_as),
        seen_by="texts" if by_runs is None else "runs",
        model=figures(model.language_model, model.vocabulary, seen_as, target),
        baselines=others,
    )


def half(text: str) -> int:
    """Where the target begins: the middle, rounded down."""
    return len(text) // 2


@dataclass(frozen=True)
class MetricSums:
    """What one predictor did on each text, (N,) each: a figure is the ratio of two of their totals."""

    characters: Array
    positions: Array
    """Characters and the end."""
    target_characters: Array
    bits: Array
    """Of the characters."""
    bits_with_end: Array
    target_bits: Array
    right: Array
    """Characters and ends that were the most probable."""
    target_top1: Array
    target_top3: Array
    target_top5: Array
    free_running: Array
    """Target characters that the greedy completion has in the right place."""

    def pair(self, figure: str) -> tuple[Array, Array]:
        """Numerators and denominators, (N,) each, of a figure of `RATIOS`."""
        above, below = RATIOS[figure]
        return getattr(self, above), getattr(self, below)

    def figures(self) -> Metrics:
        """All figures, with intervals."""
        made = dict(zip(RATIOS, ratios([self.pair(name) for name in RATIOS]), strict=True))
        ended = made["bits_per_character_with_end"]
        return Metrics(**made, perplexity=None if ended is None else _perplexity(ended))


RATIOS: dict[str, tuple[str, str]] = {
    "target_bits_per_character": ("target_bits", "target_characters"),
    "target_top1": ("target_top1", "target_characters"),
    "target_top3": ("target_top3", "target_characters"),
    "target_top5": ("target_top5", "target_characters"),
    "bits_per_character": ("bits", "characters"),
    "bits_per_character_with_end": ("bits_with_end", "positions"),
    "top1": ("right", "positions"),
    "free_running": ("free_running", "target_characters"),
}
"""Figure -> which of the `Sums` it divides by which."""


def _perplexity(bits: Interval) -> Interval:
    """2 to the power of bits."""
    low, high = (None if bound is None else 2.0 ** min(bound, 1023.0) for bound in (bits.low, bits.high))
    return Interval(2.0 ** min(bits.value, 1023.0), low, high)


def figures(runner: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], target: int) -> Metrics:
    """All figures of one running side; texts are as the model sees them, none empty."""
    written = continuations(runner, vocabulary, [text[: half(text)] for text in texts], target)
    return sums(score_sides(runner, vocabulary, texts), written, vocabulary, texts, target).figures()


def sums(
    traces: Sequence[TokenScores],
    written: Sequence[Ids],
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    target: int,
) -> MetricSums:
    """What a predictor did on each text, from its `traces_of` and its `continuations`."""
    spans = [slice(half(t), min(len(t), half(t) + target)) for t in texts]
    count = np.array([len(t) for t in texts], np.float64)

    def among(k: int) -> Array:
        return np.array([(t.ranks[s] < k).sum() for t, s in zip(traces, spans, strict=True)], np.float64)

    return MetricSums(
        characters=count,
        positions=count + 1,
        target_characters=np.array([s.stop - s.start for s in spans], np.float64),
        bits=np.array([t.bits[:-1].sum() for t in traces]),
        bits_with_end=np.array([t.bits.sum() for t in traces]),
        target_bits=np.array([t.bits[s].sum() for t, s in zip(traces, spans, strict=True)]),
        right=np.array([(t.ranks == 0).sum() for t in traces], np.float64),
        target_top1=among(1),
        target_top3=among(3),
        target_top5=among(5),
        free_running=np.array(
            [_hits(w, vocabulary.encode(t[s])) for t, s, w in zip(texts, spans, written, strict=True)]
        ),
    )


def _hits(written: Ids, true: Ids) -> float:
    """How many characters stand in the right place; UNK is never written, so never right."""
    n = min(len(written), len(true))
    return float((written[:n] == true[:n]).sum())


def score_sides(runner: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> list[TokenScores]:
    """`follow` for any number of texts, those of like length together."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    traces: dict[int, TokenScores] = {}
    for begin in tracked(range(0, len(order), _BATCH), "scoring"):
        batch = order[begin : begin + _BATCH]
        traces |= zip(batch, score_texts(runner, vocabulary, [texts[i] for i in batch]), strict=True)
    return [traces[i] for i in range(len(texts))]


def _always_one(counts: NDArray[np.generic], model: Completer, texts: Sequence[str], target: int) -> Metrics:
    """Always answering the most frequent character of the training texts; it gives no probabilities."""
    answer = model.vocabulary.piece(SPECIALS + int(np.argmax(counts[SPECIALS:])))
    parts = [text[half(text) :][:target] for text in texts]
    right = ratio(np.array([p.count(answer) for p in parts], np.float64), np.array([len(p) for p in parts], np.float64))
    whole = ratio(
        np.array([t.count(answer) for t in texts], np.float64),
        np.array([len(t) + 1 for t in texts], np.float64),
    )
    return Metrics(None, right, None, None, None, None, None, whole, right)
