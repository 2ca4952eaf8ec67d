"""The measures of a model for a comparison, as sums over texts.

Sums, not ratios: two models that were measured on different days can still be compared text by text, and the intervals
of all measures come from the same resamples (`bootstrap`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

import numpy as np

from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GHOST
from kammil.data.bloom import BloomFilter
from kammil.evaluation.bootstrap import Array
from kammil.evaluation.greedy import continuations, greedy_predictions, next_word_counts
from kammil.evaluation.keystrokes import keystrokes_saved, precision, type_with_help, type_with_oracle
from kammil.evaluation.measures import HELP, KEYS, TAKEN
from kammil.evaluation.metrics import TARGET, half, metric_sums, score_in_batches, target_span

NUM_TIMED = 40
"""Number of completions that are timed, one by one; the median is the latency of one keystroke."""


Columns = Mapping[str, Array]
"""Measure -> (N, K): the summands of each text; (1, K) where only the sums over all texts are known."""


def targets(texts: Sequence[str], length: int = TARGET) -> list[slice]:
    """Return the span of the target in each text."""
    return [target_span(text, length) for text in texts]


def scorecard(model: Completer, texts: Sequence[str], typed: Sequence[str]) -> dict[str, Array]:
    """Measure a model on texts as it sees them, none empty; (N, K) for each measure of a comparison.

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
