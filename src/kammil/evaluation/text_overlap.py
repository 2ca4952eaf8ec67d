"""chrF and BLEU of completions against what was truly written: how much of it they share, wherever it stands.

sacrebleu (Post 2018) computes both; its signatures name the exact variants. Its scores of a whole test set are made of
counts summed over texts. Those counts, text by text, are what `columns` gives, so that intervals and paired
differences come from the same resamples as everything else's. BLEU's are sacrebleu's own; for chrF (Popović 2015) it
gives none away, so they are counted here, and a test holds the sum of them to sacrebleu's score.

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
"""Longest run of characters in chrF, and how many times recall weighs as much as precision: sacrebleu's defaults."""
_WORDS = 4
"""Longest run of words in BLEU."""


def chrf_columns(written: Sequence[str], true: Sequence[str]) -> Array:
    """Runs of 1 to 6 characters, white space left out: in the completion, in the truth, in both; (N, 18)."""
    return np.array([_chrf(w, t) for w, t in zip(written, true, strict=True)], np.float64).reshape(-1, 3 * _ORDER)


def _chrf(written: str, true: str) -> list[int]:
    counts: list[int] = []
    for n in range(1, _ORDER + 1):
        ours, theirs = _runs(written, n), _runs(true, n)
        counts += [ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()]
    return counts


def _runs(text: str, n: int) -> Counter[str]:
    """Every run of n characters."""
    joined = "".join(text.split())
    return Counter(joined[i : i + n] for i in range(len(joined) - n + 1))


def chrf(sums: Array) -> Array:
    """chrF of summed counts, (R, 18) -> (R,), 0 to 100."""
    ours, theirs, both = sums.reshape(-1, _ORDER, 3).transpose(2, 0, 1)  # (R, 6) each
    counted = ours > 0  # where the truth has none either, `_chrf` counts none
    orders = np.maximum(counted.sum(1), 1)
    precision = np.divide(both, ours, out=np.zeros_like(both), where=counted).sum(1) / orders  # (R,)
    recall = np.divide(both, theirs, out=np.zeros_like(both), where=counted).sum(1) / orders
    weighted = _BETA**2 * precision + recall
    above = (1 + _BETA**2) * precision * recall
    return 100 * np.divide(above, weighted, out=np.zeros_like(above), where=weighted > 0)


def bleu_columns(written: Sequence[str], true: Sequence[str]) -> Array:
    """Runs of 1 to 4 words in both, and in the completion; words of the completion, and of the truth; (N, 10)."""
    metric = _bleu(sentences=True)
    scores = [metric.sentence_score(w, [t]) for w, t in zip(written, true, strict=True)]
    rows = [[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores]
    return np.array(rows, np.float64).reshape(-1, 2 * _WORDS + 2)


def bleu(sums: Array) -> Array:
    """BLEU of summed counts, (R, 10) -> (R,), 0 to 100, smoothed as sacrebleu does."""
    metric, values = _bleu(), list[float]()
    for row in sums.astype(np.int64).tolist():
        *counts, sys_len, ref_len = row
        score = metric.compute_bleu(
            counts[:_WORDS], counts[_WORDS:], sys_len, ref_len, smooth_method=metric.smooth_method
        )
        values.append(float(score.score))
    return np.array(values)


def signatures() -> dict[str, str]:
    """sacrebleu's names of the two variants, to be printed beside every such figure; `MissingExtraError` without it."""
    words = _bleu()
    from sacrebleu.metrics.chrf import CHRF

    metrics = {"chrF": CHRF(char_order=_ORDER, beta=_BETA), "BLEU": words}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])  # it knows its signature only after it was used
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def _bleu(*, sentences: bool = False) -> BLEU:
    """BLEU over international tokenisation: the default one splits Latin punctuation only."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ModuleNotFoundError as error:
        raise MissingExtraError("BLEU and chrF need sacrebleu; run: pip install 'kammil[train]'") from error
    return BLEU(tokenize="intl", effective_order=sentences)  # the order matters to a sentence's score, not its counts
