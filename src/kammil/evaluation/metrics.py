"""Teacher-forced and free-running metrics of a model on texts it has not seen.

The task is the notebook's: given the first half of a text, the next 30 characters. *Teacher-forced*: each character is
predicted from all true ones before it. *Free-running*: the model continues its own greedy completion, and a character
is right if it stands where the true one stands (`positions` compares the two by position); `sequences` and
`text_overlap` judge the same completion as a whole.

Every metric is a ratio of sums over all texts, never a mean of means, so each character weighs the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.scoring import TokenScores, score_texts
from kammil.errors import DataError, OptionError
from kammil.evaluation import text_overlap
from kammil.evaluation.baselines import uniform
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient
from kammil.evaluation.greedy import continuations
from kammil.evaluation.sequences import first_word_right, right_prefix
from kammil.language_model import Ids, LanguageModel
from kammil.progress import tracked
from kammil.vocabulary import EOS, SPECIALS, UNK, CharacterVocabulary

TARGET = 30
"""Most characters of the target: those to predict from the middle of each text on."""
MAX_TARGET = 1_000
"""Largest target that may be asked for."""
_MAX_BATCH = 64


@dataclass(frozen=True)
class Metrics:
    """Metrics of one predictor, each with its interval; None where it has no value."""

    target_bits_per_character: Interval | None
    """Mean bits of the target characters, with the cost of naming unknown ones."""
    target_top1: Interval | None
    """Share of target characters that were the most probable."""
    target_top3: Interval | None
    target_top5: Interval | None
    bits_per_character: Interval | None
    """Mean bits of all characters, without the ends of texts."""
    bits_per_character_with_end: Interval | None
    """Mean bits of all characters and ends of texts."""
    perplexity: Interval | None
    """2 to the power of `bits_per_character_with_end`, at most 2 ** 1023."""
    top1: Interval | None
    """Share of all characters and ends that were the most probable."""
    free_running: Interval | None
    """Share of target characters that a greedy completion has in the right place."""
    first_word: Interval | None
    """Share of the greedy completions whose first word is right, of the texts that have a word in the target; where
    the prompt ends inside a word, the rest of that word."""
    whole_target: Interval | None
    """Share of the greedy completions that are right to the last character of the target."""
    right_prefix: Interval | None
    """Mean number of characters of a greedy completion before the first wrong one."""
    chrf: Interval | None
    """chrF of the greedy completions against the targets, 0 to 100."""
    bleu: Interval | None
    """BLEU of the same completions, 0 to 100; 0 where none shares a run of 4 words with its target, None without
    sacrebleu."""


def check_task(target: int, min_length: int) -> None:
    """Check the length of the target and of the shortest text; raises `OptionError`."""
    if not 1 <= target <= MAX_TARGET:
        raise OptionError(f"target is {target}, but it must be a number of characters from 1 to {MAX_TARGET:,}.")
    if min_length < 0:
        raise OptionError(f"min_length is {min_length}, but it must be a number of characters, such as 60.")


def long_enough(texts: Sequence[str], min_length: int) -> list[str]:
    """Return the texts of at least `min_length` characters; `DataError` if there is none."""
    if not texts:
        raise DataError("there is no text to evaluate on; name a file that has some.")
    long = [text for text in texts if len(text) >= min_length]
    if not long:
        longest = max(map(len, texts))
        raise DataError(
            f"no text has {min_length:,} characters or more, the longest has {longest:,}; lower --min-length."
        )
    return long


def normalised_texts(model: Completer, texts: Sequence[str]) -> list[str]:
    """Normalise texts as the model sees them and strip white space from their ends; empty texts are left out."""
    return [text for text in (model.normalise(text).rstrip() for text in texts) if text]


def spread(texts: Sequence[str], number: int) -> list[str]:
    """Return so many texts at even distances, or all if there are fewer."""
    number = min(number, len(texts))
    return [texts[i * len(texts) // number] for i in range(number)]


def half(text: str) -> int:
    """Return the position where the target begins: the middle of the text, rounded down."""
    return len(text) // 2


def target_span(text: str, target: int) -> slice:
    """Return the positions of the target: at most `target` characters from the middle on."""
    return slice(half(text), min(len(text), half(text) + target))


@dataclass(frozen=True)
class MetricSums:
    """The sums behind the metrics of one predictor, (N,) each: a metric is the ratio of two totals."""

    characters: Array
    positions: Array
    """Characters, and the end of the text."""
    target_characters: Array
    bits: Array
    """Bits of the characters."""
    bits_with_end: Array
    target_bits: Array
    right: Array
    """Characters and ends that were the most probable."""
    target_top1: Array
    target_top3: Array
    target_top5: Array
    free_running: Array
    """Target characters that the greedy completion has in the right place."""
    texts: Array
    """1 for each text."""
    texts_with_word: Array
    """1 for a text with a word in its target."""
    first_word: Array
    """1 for a greedy completion whose first word is right."""
    whole_target: Array
    """1 for a greedy completion that is right to the last character of the target."""
    right_prefix: Array
    """Characters of the greedy completion before the first wrong one."""
    chrf: Array
    """Counts of `chrf_columns`, (N, 18)."""
    bleu: Array
    """Counts of `bleu_columns`, (N, 10)."""

    def pair(self, name: str) -> tuple[Array, Array]:
        """Return numerators and denominators, (N,) each, of the metric `name` of `RATIOS`."""
        above, below = RATIOS[name]
        return getattr(self, above), getattr(self, below)

    def metrics(self) -> Metrics:
        """Compute all metrics, with their intervals."""
        statistics = {name: Statistic(np.stack(self.pair(name), axis=1), quotient) for name in RATIOS}
        statistics |= {
            "chrf": Statistic(self.chrf, text_overlap.chrf),
            "bleu": Statistic(self.bleu, text_overlap.bleu),
        }
        estimated = zip(statistics, estimates(list(statistics.values())), strict=True)
        intervals = {name: estimate.interval() for name, estimate in estimated}
        bits = intervals["bits_per_character_with_end"]
        return Metrics(**intervals, perplexity=None if bits is None else _perplexity(bits))


RATIOS: dict[str, tuple[str, str]] = {
    "target_bits_per_character": ("target_bits", "target_characters"),
    "target_top1": ("target_top1", "target_characters"),
    "target_top3": ("target_top3", "target_characters"),
    "target_top5": ("target_top5", "target_characters"),
    "bits_per_character": ("bits", "characters"),
    "bits_per_character_with_end": ("bits_with_end", "positions"),
    "top1": ("right", "positions"),
    "free_running": ("free_running", "target_characters"),
    "first_word": ("first_word", "texts_with_word"),
    "whole_target": ("whole_target", "texts"),
    "right_prefix": ("right_prefix", "texts"),
}
"""Metric -> fields of `MetricSums`: numerator, denominator."""


def _perplexity(bits: Interval) -> Interval:
    low, high = (None if bound is None else 2.0 ** min(bound, 1023.0) for bound in (bits.low, bits.high))
    return Interval(2.0 ** min(bits.value, 1023.0), low, high)


def compute_metrics(
    model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], target: int
) -> Metrics:
    """Compute all metrics of one language model; texts are as the model sees them, none empty."""
    scores, written = predict(model, vocabulary, texts, target)
    return metric_sums(scores, written, vocabulary, texts, target).metrics()


def predict(
    model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], target: int
) -> tuple[list[TokenScores], list[Ids]]:
    """Score texts, and complete the first halves of them."""
    written = continuations(model, vocabulary, [text[: half(text)] for text in texts], target)
    return score_in_batches(model, vocabulary, texts), written


def metric_sums(
    scores: Sequence[TokenScores],
    written: Sequence[Ids],
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    target: int,
) -> MetricSums:
    """Sum up what a predictor did on each text: its scores and its `continuations` of the first halves."""
    spans = [target_span(t, target) for t in texts]
    truth = [t[s] for t, s in zip(texts, spans, strict=True)]
    true = [vocabulary.encode(t) for t in truth]
    answers = [vocabulary.decode(ids) for ids in written]
    count = np.array([len(t) for t in texts], np.float64)
    lengths = np.array([s.stop - s.start for s in spans], np.float64)
    prefixes = np.array([right_prefix(w, ids) for w, ids in zip(written, true, strict=True)], np.float64)
    words = [first_word_right(t, s, a) for t, s, a in zip(texts, spans, answers, strict=True)]

    def ranked_within(k: int) -> Array:
        return np.array([(t.ranks[s] < k).sum() for t, s in zip(scores, spans, strict=True)], np.float64)

    return MetricSums(
        characters=count,
        positions=count + 1,
        target_characters=lengths,
        bits=np.array([t.bits[:-1].sum() for t in scores]),
        bits_with_end=np.array([t.bits.sum() for t in scores]),
        target_bits=np.array([t.bits[s].sum() for t, s in zip(scores, spans, strict=True)]),
        right=np.array([(t.ranks == 0).sum() for t in scores], np.float64),
        target_top1=ranked_within(1),
        target_top3=ranked_within(3),
        target_top5=ranked_within(5),
        free_running=np.array([_hits(w, ids) for w, ids in zip(written, true, strict=True)]),
        texts=np.ones(len(texts)),
        texts_with_word=np.array([word is not None for word in words], np.float64),
        first_word=np.array([bool(word) for word in words], np.float64),
        whole_target=(prefixes == lengths).astype(np.float64),
        right_prefix=prefixes,
        chrf=text_overlap.chrf_columns(answers, truth),
        bleu=text_overlap.bleu_columns(answers, truth),
    )


def _hits(written: Ids, true: Ids) -> float:
    """Count the characters in the right place; UNK is never written, so never right."""
    n = min(len(written), len(true))
    return float((written[:n] == true[:n]).sum())


def score_in_batches(model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> list[TokenScores]:
    """Score any number of texts, texts of similar length in one batch; see `score_texts`."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    scores: dict[int, TokenScores] = {}
    for begin in tracked(range(0, len(order), _MAX_BATCH), "scoring"):
        batch = order[begin : begin + _MAX_BATCH]
        scores |= zip(batch, score_texts(model, vocabulary, [texts[i] for i in batch]), strict=True)
    return [scores[i] for i in range(len(texts))]


def most_frequent_metrics(
    counts: NDArray[np.generic], vocabulary: CharacterVocabulary, texts: Sequence[str], target: int
) -> Metrics:
    """Evaluate a predictor that always answers the most frequent training character; it has no probabilities."""
    answer = SPECIALS + int(np.argmax(counts[SPECIALS:]))
    encoded = [np.append(vocabulary.encode(text), EOS) for text in texts]
    scores = [TokenScores(np.zeros(len(ids)), np.where(ids == answer, 0, vocabulary.size)) for ids in encoded]
    metrics = metric_sums(scores, [np.full(target, answer)] * len(texts), vocabulary, texts, target).metrics()
    unknown = (*_BITS, "target_top3", "target_top5")
    return replace(metrics, **dict.fromkeys(unknown))


_BITS = ("target_bits_per_character", "bits_per_character", "bits_per_character_with_end", "perplexity")
"""Metrics that only probabilities have."""
RANDOM = "random"
"""Name of the baseline that guesses among all ids alike."""


def random_metrics(vocabulary: CharacterVocabulary, texts: Sequence[str], target: int) -> Metrics:
    """Evaluate a guess among all V ids alike: 1/V of the known characters are right.

    Of characters it is the expectation, which depends on no seed; words, chrF and BLEU are those of one text that was
    drawn. `texts` are as the model sees them, none empty.
    """
    generator, v = np.random.default_rng(0), vocabulary.size
    known = [vocabulary.encode(text) != UNK for text in texts]
    scores = [TokenScores(uniform(vocabulary, text), np.zeros(len(text) + 1, np.int64)) for text in texts]
    written: list[Ids] = [generator.integers(SPECIALS, v, target) for _ in texts]
    sums = metric_sums(scores, written, vocabulary, texts, target)
    in_target = [k[target_span(text, target)] for k, text in zip(known, texts, strict=True)]
    targets = np.array([k.sum() for k in in_target], np.float64)
    # A prefix of k characters is right with probability V ** -k, and none reaches beyond an unknown character.
    before_unknown = np.array([float(np.cumprod(k).sum()) for k in in_target])
    return replace(
        sums,
        right=np.array([k.sum() + 1 for k in known], np.float64) / v,
        target_top1=targets / v,
        target_top3=targets * min(3, v) / v,
        target_top5=targets * min(5, v) / v,
        free_running=targets / v,
        whole_target=np.where(before_unknown == sums.target_characters, float(v) ** -sums.target_characters, 0.0),
        right_prefix=(1 - float(v) ** -before_unknown) / (v - 1),
    ).metrics()
