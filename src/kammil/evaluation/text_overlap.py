"""chrF and BLEU of completions against the true texts: the overlap of their n-grams, wherever those stand.

Both are defined as in sacrebleu (Post 2018), whose signatures name the exact variants; tests compare the scores with
sacrebleu's. The score of a test set is a function of counts summed over texts. `chrf_columns` and `bleu_columns` return
these counts text by text, so that intervals and paired differences come from the same resamples as those of all
measures. Sources: Popović 2015 (chrF); Papineni et al. 2002 (BLEU), smoothed as in mteval-v13a.

Shapes: N texts, R resamples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import regex

from kammil.errors import MissingExtraError
from kammil.evaluation.bootstrap import Array

_ORDER, _BETA = 6, 2
"""Longest n-gram of characters in chrF, and the weight of recall against precision: sacrebleu's defaults."""
_WORDS = 4
"""Longest n-gram of words in BLEU."""
_SPLITS = (
    (regex.compile(r"(\P{N})(\p{P})"), r"\1 \2 "),
    (regex.compile(r"(\p{P})(\P{N})"), r" \1 \2"),
    (regex.compile(r"(\p{S})"), r" \1 "),
)
"""Pattern -> what replaces it, in this order: the "international" tokenisation of mteval-v14, which sets apart the
punctuation and the symbols of every script, but for points and commas inside numbers."""


def chrf_columns(written: Sequence[str], true: Sequence[str]) -> Array:
    """Count n-grams of 1 to 6 characters, without white space: in the completion, in the truth, in both; (N, 18)."""
    return np.array([_chrf(w, t) for w, t in zip(written, true, strict=True)], np.float64).reshape(-1, 3 * _ORDER)


def _chrf(written: str, true: str) -> list[int]:
    counts: list[int] = []
    for n in range(1, _ORDER + 1):
        written_runs, true_runs = _runs(written, n), _runs(true, n)
        counts += [written_runs.total() if true_runs else 0, true_runs.total(), (written_runs & true_runs).total()]
    return counts


def _runs(text: str, n: int) -> Counter[str]:
    joined = "".join(text.split())
    return Counter(joined[i : i + n] for i in range(len(joined) - n + 1))


def chrf(sums: Array) -> Array:
    """Compute chrF, 0 to 100, from summed counts, (R, 18) -> (R,)."""
    written, true, shared = sums.reshape(-1, _ORDER, 3).transpose(2, 0, 1)  # (R, 6) each
    present = written > 0  # where the truth has none either, `_chrf` counts none
    orders = np.maximum(present.sum(1), 1)
    precision = np.divide(shared, written, out=np.zeros_like(shared), where=present).sum(1) / orders  # (R,)
    recall = np.divide(shared, true, out=np.zeros_like(shared), where=present).sum(1) / orders
    weighted = _BETA**2 * precision + recall
    above = (1 + _BETA**2) * precision * recall
    return 100 * np.divide(above, weighted, out=np.zeros_like(above), where=weighted > 0)


def bleu_columns(written: Sequence[str], true: Sequence[str]) -> Array:
    """Count n-grams of 1 to 4 words in both and in the completion, and words of the completion and truth; (N, 10)."""
    return np.array([_bleu(w, t) for w, t in zip(written, true, strict=True)], np.float64).reshape(-1, 2 * _WORDS + 2)


def _bleu(written: str, true: str) -> list[int]:
    written_words, true_words = _words(written), _words(true)
    shared: list[int] = []
    for n in range(1, _WORDS + 1):
        shared.append((_word_runs(written_words, n) & _word_runs(true_words, n)).total())
    written_runs = [max(0, len(written_words) - n + 1) for n in range(1, _WORDS + 1)]
    return [*shared, *written_runs, len(written_words), len(true_words)]


def _words(text: str) -> list[str]:
    """Return the words and signs of a text, as BLEU counts them."""
    text = text.rstrip()
    for pattern, replacement in _SPLITS:
        text = pattern.sub(replacement, text)
    return text.split()


def _word_runs(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(sums: Array) -> Array:
    """Compute BLEU, 0 to 100, from summed counts, (R, 10) -> (R,).

    An order of which nothing is shared counts as half an n-gram, the next such order as a quarter, and so on; a
    completion that has no n-gram of some order, or shares not even a word, scores 0.
    """
    shared, written = sums[:, :_WORDS], sums[:, _WORDS : 2 * _WORDS]  # (R, 4) each
    length, true_length = sums[:, -2], sums[:, -1]
    floor = 0.5 ** np.cumsum(shared == 0, axis=1)
    scored = (written > 0).all(1) & (shared > 0).any(1)
    precisions = np.divide(np.where(shared > 0, shared, floor), written, out=np.ones_like(shared), where=written > 0)
    ratio = np.divide(true_length, length, out=np.ones_like(length), where=length > 0)
    brevity = np.exp(np.minimum(0.0, 1 - ratio))
    return np.where(scored, 100 * brevity * np.exp(np.log(precisions).mean(1)), 0.0)


def signatures() -> dict[str, str]:
    """Return sacrebleu's signatures of both variants, to be printed beside scores; `MissingExtraError` without it."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError as error:
        raise MissingExtraError("the signatures of BLEU and chrF need sacrebleu", "train") from error
    metrics = {"chrF": CHRF(char_order=_ORDER, beta=_BETA), "BLEU": BLEU(tokenize="intl")}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])  # the signature is complete only after a first score
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}
