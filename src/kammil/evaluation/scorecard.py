"""All that is measured of a model for a comparison, as sums over texts.

Sums, not figures: two models that were measured on different days can still be compared text by text, and the
intervals of all figures come from the same resamples (`intervals`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kammil.completion.completer import Completer
from kammil.data.bloom import BloomFilter
from kammil.evaluation import text_overlap
from kammil.evaluation.bootstrap import Array, quotient
from kammil.evaluation.greedy import continuations, greedy_predictions, next_word
from kammil.evaluation.keystrokes import every_word_known, keystrokes_saved, precision, write
from kammil.evaluation.metrics import TARGET, half, score_sides, sums

TIMED = 40
"""Completions that are timed, each by itself: their median says what one keystroke's answer takes."""


@dataclass(frozen=True)
class Measure:
    """One column of the comparison."""

    title: str
    meaning: str
    of: Callable[[Array], Array]
    """Sums (R, K) -> values (R,)."""
    scale: float = 1.0
    """What it is shown as: 100 makes a share per cent."""
    digits: int = 1
    best: Callable[..., float] | None = max
    """Which value is better; None where neither is."""


KEYS, TAKEN = "keystrokes_saved_", "suggestions_taken_"
"""What the names of the measures of typing begin with; the kind of help follows."""
HELP = {
    "1": "the most probable word",
    "3": "the 3 most probable words",
    "5": "the 5 most probable words",
    "ghost": "ghost text",
}
"""What a writer may have before them: W suggestions, or ghost text; see `typing`."""


def _typing() -> dict[str, Measure]:
    """What each kind of help saves, and how much of it is of use."""
    made: dict[str, Measure] = {}
    for name, what in HELP.items():
        saved = f"keystrokes saved with {what} to take, as soon as the right word is there, %"
        made[KEYS + name] = Measure(f"keys {name}", saved, quotient, 100)
        taken = f"of the places with {what} to take, those where it was the right word, %"
        made[TAKEN + name] = Measure(f"taken {name}", taken, quotient, 100)
    return made


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
"""Name -> column, in the order shown."""

Columns = Mapping[str, Array]
"""Measure -> (N, K): what each text adds to the sums. (1, K) for what is known of all texts together only."""


def targets(texts: Sequence[str], length: int = TARGET) -> list[slice]:
    """Where the target of each text stands."""
    return [slice(half(text), min(len(text), half(text) + length)) for text in texts]


def scorecard(model: Completer, texts: Sequence[str], typed: Sequence[str]) -> dict[str, Array]:
    """Measure a running side on texts as the model sees them, none empty; (N, K) for each of `MEASURES`.

    Typing takes longest by far, so `typed` may be some of the texts. `new` is left out for a model from no folder.
    """
    runner, vocabulary, spans = model.language_model, model.vocabulary, targets(texts)
    prompts = [text[: span.start] for text, span in zip(texts, spans, strict=True)]
    written = continuations(runner, vocabulary, prompts, TARGET)
    known = sums(score_sides(runner, vocabulary, texts), written, vocabulary, texts, TARGET)
    made = {
        name: np.stack(known.pair(name), axis=1)
        for name in ("target_bits_per_character", "bits_per_character_with_end", "target_top1", "target_top3")
    }
    made["next_word"] = next_word(greedy_predictions(runner, vocabulary, texts), texts, spans)
    answers = [vocabulary.decode(ids) for ids in written]
    truth = [text[span] for text, span in zip(texts, spans, strict=True)]
    made["chrf"] = text_overlap.chrf_columns(answers, truth)
    made["bleu"] = text_overlap.bleu_columns(answers, truth)
    if model.model is not None:
        seen = BloomFilter(model.model.seen)
        judged = [seen.novelty(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]
        made["new"] = np.array([[verdict == "new", 1] for verdict in judged], np.float64)
    helped = write(runner, vocabulary, typed)
    for name, writing in {**{str(w): each for w, each in helped.lists.items()}, "ghost": helped.ghost}.items():
        made[KEYS + name], made[TAKEN + name] = keystrokes_saved(writing), precision(writing)
    return made


def ceiling(typed: Sequence[str]) -> dict[str, Array]:
    """The columns of keystrokes saved of what knows every word before its first letter: no help saves more."""
    saved = keystrokes_saved(every_word_known(typed))
    return {KEYS + name: saved for name in HELP}


def bits_only(texts: Sequence[str], target_bits: Array, bits_with_end: Array) -> dict[str, Array]:
    """The columns of something that gives bits for each text, (N,) each, and completes nothing."""
    lengths = np.array(
        [[span.stop - span.start, len(text) + 1] for text, span in zip(texts, targets(texts), strict=True)]
    )
    return {
        "target_bits_per_character": np.stack([target_bits, lengths[:, 0]], axis=1),
        "bits_per_character_with_end": np.stack([bits_with_end, lengths[:, 1]], axis=1),
    }


def completion_seconds(model: Completer, texts: Sequence[str]) -> float:
    """Median time of one completion of 30 characters of a text's first half, as `kammil complete` makes it."""
    chosen = [texts[i * len(texts) // TIMED] for i in range(TIMED)]  # fewer texts come again
    taken: list[float] = []
    for text in chosen:
        started = time.perf_counter()
        model.complete(text[: half(text)], length=TARGET)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
