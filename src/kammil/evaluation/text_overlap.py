"""chrF and BLEU of completions against the true texts: the overlap of their n-grams, wherever those stand.

sacrebleu (Post 2018) computes both; its signatures name the exact variants. Its score of a test set is a function of
counts summed over texts. `chrf_columns` and `bleu_columns` return these counts text by text, so that intervals and
paired differences come from the same resamples as those of all measures. The counts of BLEU are sacrebleu's own; those
of chrF (Popović 2015) it does not expose, so they are counted here, and a test compares the result with sacrebleu's.

Shapes: N texts, R resamples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kammil.errors import MissingExtraError
from kammil.evaluation.bootstrap import Array

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

_ORDER, _BETA = 6, 2
"""Longest n-gram of characters in chrF, and the weight of recall against precision: sacrebleu's defaults."""
_WORDS = 4
"""Longest n-gram of words in BLEU."""


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
    metric = _bleu(sentences=True)
    scores = [metric.sentence_score(w, [t]) for w, t in zip(written, true, strict=True)]
    rows = [[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores]
    return np.array(rows, np.float64).reshape(-1, 2 * _WORDS + 2)


def bleu(sums: Array) -> Array:
    """Compute BLEU, 0 to 100, smoothed as sacrebleu does, from summed counts, (R, 10) -> (R,)."""
    metric, values = _bleu(), list[float]()
    for row in sums.astype(np.int64).tolist():
        *counts, sys_len, ref_len = row
        score = metric.compute_bleu(
            counts[:_WORDS], counts[_WORDS:], sys_len, ref_len, smooth_method=metric.smooth_method
        )
        values.append(float(score.score))
    return np.array(values)


def signatures() -> dict[str, str]:
    """Return sacrebleu's signatures of both variants, to be printed beside scores; `MissingExtraError` without it."""
    words = _bleu()
    from sacrebleu.metrics.chrf import CHRF

    metrics = {"chrF": CHRF(char_order=_ORDER, beta=_BETA), "BLEU": words}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])  # the signature is complete only after a first score
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def _bleu(*, sentences: bool = False) -> BLEU:
    """Return BLEU with international tokenisation: the default splits Latin punctuation only."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ModuleNotFoundError as error:
        raise MissingExtraError("BLEU and chrF need sacrebleu; run: pip install 'kammil[train]'") from error
    return BLEU(tokenize="intl", effective_order=sentences)  # the order matters to a sentence's score, not its counts
