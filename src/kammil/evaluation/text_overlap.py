"""chrF and BLEU: the overlap of n-grams of completions and true texts, at any place.

Scores are functions of counts summed over texts. BLEU is sacrebleu's (Post 2018), and chrF is defined as
there. Sources: Popović 2015 (chrF); Papineni et al. 2002 (BLEU).

Shapes: N texts, R resamples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kammil.errors import MissingExtraError
from kammil.evaluation.bootstrap import Array

_ORDER, _BETA = 6, 2
"""chrF's longest n-gram of characters, and weight of recall: sacrebleu's defaults."""
_WORDS = 4
"""BLEU's longest n-gram of words."""
NO_RUN = f"no run of {_WORDS} words"
"""Shown for a BLEU of 0."""


def chrf_columns(written: Sequence[str], true: Sequence[str]) -> Array:
    """Count n-grams of 1 to 6 characters in the completion, the truth and both, (N, 18)."""
    columns = np.zeros((len(written), _ORDER, 3))
    for text, answer, truth in zip(columns, written, true, strict=True):
        for n, row in enumerate(text, 1):
            found, wanted = (_ngrams("".join(each.split()), n) for each in (answer, truth))
            row[:] = found.total() if wanted else 0, wanted.total(), (found & wanted).total()
    return columns.reshape(-1, 3 * _ORDER)


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))


def chrf(sums: Array) -> Array:
    """Compute chrF, 0 to 100, from summed counts, (R, 18) -> (R,)."""
    written, true, shared = sums.reshape(-1, _ORDER, 3).transpose(2, 0, 1)  # (R, 6) each
    present = written > 0  # 0 where the truth has none
    orders = np.maximum(present.sum(1), 1)
    precision = np.divide(shared, written, out=np.zeros_like(shared), where=present).sum(1) / orders  # (R,)
    recall = np.divide(shared, true, out=np.zeros_like(shared), where=present).sum(1) / orders
    weighted = _BETA**2 * precision + recall
    above = (1 + _BETA**2) * precision * recall
    return 100 * np.divide(above, weighted, out=np.zeros_like(above), where=weighted > 0)


def bleu_columns(written: Sequence[str], true: Sequence[str]) -> Array:
    """Count n-grams of 1 to 4 words in both and in the completion, and words, (N, 10); NaN without sacrebleu."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ModuleNotFoundError:
        return np.full((len(written), 2 * _WORDS + 2), np.nan)
    metric = BLEU(tokenize="intl", effective_order=True)  # changes the score, not the counts
    scores = [metric.sentence_score(w, [t]) for w, t in zip(written, true, strict=True)]
    counts = [[*score.counts, *score.totals, score.sys_len, score.ref_len] for score in scores]
    return np.array(counts, np.float64).reshape(-1, 2 * _WORDS + 2)


def bleu(sums: Array) -> Array:
    """Compute BLEU, 0 to 100, from summed counts, (R, 10) -> (R,).

    BLEU is 0 where no text shares 4 consecutive words: smoothing alone would make the score.
    """
    if np.isnan(sums).any():
        return np.full(len(sums), np.nan)
    if not sums[:, _WORDS - 1].any():
        return np.zeros(len(sums))
    from sacrebleu.metrics.bleu import BLEU

    rows = sums.astype(np.int64).tolist()
    return np.array([BLEU.compute_bleu(r[:4], r[4:8], r[8], r[9], smooth_method="exp").score for r in rows])


def signatures() -> dict[str, str]:
    """Return sacrebleu's signatures of both; `MissingExtraError` without it."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError as error:
        raise MissingExtraError("the signatures of BLEU and chrF need sacrebleu", "train") from error
    metrics = {"chrF": CHRF(char_order=_ORDER, beta=_BETA), "BLEU": BLEU(tokenize="intl")}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])  # completes the signature
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}
