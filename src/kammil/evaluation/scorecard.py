"""All measures of a model for a comparison, as sums over texts.

Sums, not ratios: two models that were measured on different days can still be compared text by text, and the intervals
of all measures come from the same resamples (`bootstrap`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GHOST
from kammil.data.bloom import BloomFilter
from kammil.evaluation import text_overlap
from kammil.evaluation.bootstrap import Array, quotient
from kammil.evaluation.greedy import continuations, greedy_predictions, next_word_counts
from kammil.evaluation.keystrokes import keystrokes_saved, precision, type_with_help, type_with_oracle
from kammil.evaluation.metrics import TARGET, half, metric_sums, score_in_batches, target_span

NUM_TIMED = 40
"""Number of completions that are timed, one by one; the median is the latency of one keystroke."""


@dataclass(frozen=True)
class Measure:
    """One column of the comparison."""

    title: str
    meaning: str
    of: Callable[[Array], Array]
    """Function of sums, (R, K) -> (R,)."""
    scale: float = 1.0
    """Factor for display: 100 turns a share into per cent."""
    digits: int = 1
    best: Callable[..., float] | None = max
    """Chooses the best of some values; None where no value is better than another."""


KEYS, TAKEN = "keystrokes_saved_", "suggestions_taken_"
"""Prefixes of the names of the typing measures; the kind of help follows."""
HELP = {
    "1": "the most probable word",
    "3": "the 3 most probable words",
    "5": "the 5 most probable words",
    "ghost": "ghost text",
}
"""Kinds of help for the simulated writer: lists of W suggestions, or ghost text; see `keystrokes`."""


def _typing() -> dict[str, Measure]:
    """Return the measures of each kind of help: keystrokes saved, and precision."""
    measures: dict[str, Measure] = {}
    for name, help_shown in HELP.items():
        saved = f"keystrokes saved with {help_shown} to take, as soon as the right word is there, %"
        measures[KEYS + name] = Measure(f"keys {name}", saved, quotient, 100)
        meaning = f"of the places with {help_shown} to take, those where it was the right word, %"
        measures[TAKEN + name] = Measure(f"taken {name}", meaning, quotient, 100)
    return measures


MEASURES: dict[str, Measure] = {
    "target_bits_per_character": Measure(
        "bits, target", "bits of the 30 characters after the middle of each text, per character", quotient, 1, 3, min
    ),
    "bits_per_character_with_end": Measure(
        "bits, whole", "bits of whole texts and their ends, per character and end", quotient, 1, 3, min
    ),
    "target_top1": Measure("top-1", "target characters that were the most probable, %", quotient, 100),
    "target_top3": Measure("top-3", "target characters among the 3 most probable, %", quotient, 100),
    "next_word": Measure(
        "words", "words beginning in the target that the greedy completion writes exactly, %", quotient, 100
    ),
    "chrf": Measure("chrF", "of greedy completions of the first half against the target, 0 to 100", text_overlap.chrf),
    "bleu": Measure("BLEU", "of the same completions, 0 to 100", text_overlap.bleu),
    "new": Measure(
        "new", "of the same completions, those that stand nowhere in the training texts, %", quotient, 100, best=None
    ),
    **_typing(),
}
"""Name -> measure, in the order shown."""

Columns = Mapping[str, Array]
"""Measure -> (N, K): the summands of each text; (1, K) where only the sums over all texts are known."""


def targets(texts: Sequence[str], length: int = TARGET) -> list[slice]:
    """Return the span of the target in each text."""
    return [target_span(text, length) for text in texts]


def scorecard(model: Completer, texts: Sequence[str], typed: Sequence[str]) -> dict[str, Array]:
    """Measure a model on texts as it sees them, none empty; (N, K) for each of `MEASURES`.

    Simulated typing takes longest by far, so `typed` may be fewer of the texts. A model without a folder has no measure
    `new`.
    """
    language_model, vocabulary, spans = model.language_model, model.vocabulary, targets(texts)
    prompts = [text[: span.start] for text, span in zip(texts, spans, strict=True)]
    written = continuations(language_model, vocabulary, prompts, TARGET)
    text_sums = metric_sums(score_in_batches(language_model, vocabulary, texts), written, vocabulary, texts, TARGET)
    columns = {
        name: np.stack(text_sums.pair(name), axis=1)
        for name in ("target_bits_per_character", "bits_per_character_with_end", "target_top1", "target_top3")
    }
    columns["next_word"] = next_word_counts(greedy_predictions(language_model, vocabulary, texts), texts, spans)
    columns["chrf"], columns["bleu"] = text_sums.chrf, text_sums.bleu
    if model.model is not None:
        seen, answers = BloomFilter(model.model.seen), [vocabulary.decode(ids) for ids in written]
        verdicts = [seen.novelty(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]
        columns["new"] = np.array([[verdict == "new", 1] for verdict in verdicts], np.float64)
    channel, refusals = Channel.of(vocabulary), model.refusals()
    runs = type_with_help(
        language_model, vocabulary, typed, channel=channel, refusals=refusals, openings=model.openings
    )
    for name, writing in {**{str(w): run for w, run in runs.lists.items()}, "ghost": runs.ghosts[GHOST]}.items():
        columns[KEYS + name], columns[TAKEN + name] = keystrokes_saved(writing), precision(writing)
    return columns


def ceiling(typed: Sequence[str]) -> dict[str, Array]:
    """Return the keystrokes saved by an oracle that knows every word before its first letter, as columns."""
    saved = keystrokes_saved(type_with_oracle(typed))
    return {KEYS + name: saved for name in HELP}


def bits_only(texts: Sequence[str], target_bits: Array, bits_with_end: Array) -> dict[str, Array]:
    """Return the columns of a predictor that only gives bits for each text, (N,) each, and completes nothing."""
    lengths = np.array(
        [[span.stop - span.start, len(text) + 1] for text, span in zip(texts, targets(texts), strict=True)]
    )
    return {
        "target_bits_per_character": np.stack([target_bits, lengths[:, 0]], axis=1),
        "bits_per_character_with_end": np.stack([bits_with_end, lengths[:, 1]], axis=1),
    }


def completion_seconds(model: Completer, texts: Sequence[str]) -> float:
    """Return the median seconds of one completion of 30 characters after a text's first half, with default options."""
    chosen = [texts[i * len(texts) // NUM_TIMED] for i in range(NUM_TIMED)]  # fewer texts are repeated
    seconds: list[float] = []
    for text in chosen:
        started = time.perf_counter()
        model.complete(text[: half(text)], length=TARGET)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
