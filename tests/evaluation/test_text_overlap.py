"""Summed counts give sacrebleu's own scores."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from kammil.evaluation import text_overlap

LETTERS = "شوحلو ab،.1٢½+🔗\u200c\t"
TEXTS = st.lists(
    st.tuples(st.text(LETTERS, max_size=30), st.text(LETTERS, min_size=1, max_size=30)),
    min_size=1,
    max_size=8,
)


@given(TEXTS)
def test_sums_give_the_scores_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    written, true = [w for w, _ in pairs], [t for _, t in pairs]
    (chrf,) = text_overlap.chrf(text_overlap.chrf_columns(written, true).sum(axis=0, keepdims=True))
    (bleu,) = text_overlap.bleu(text_overlap.bleu_columns(written, true).sum(axis=0, keepdims=True))
    assert chrf == pytest.approx(CHRF().corpus_score(written, [true]).score, abs=1e-6)
    expected = BLEU(tokenize="intl").corpus_score(written, [true])
    assert bleu == pytest.approx(expected.score if expected.counts[3] else 0, abs=1e-6)


def test_many_resamples_are_scored_one_by_one() -> None:
    written, true = ["شو حلو هالنهار اليوم", "ab b a", ""], ["شو حلو هالنهار اليوم كتير", "a b b", "ab"]
    for columns, score in (
        (text_overlap.chrf_columns(written, true), text_overlap.chrf),
        (text_overlap.bleu_columns(written, true), text_overlap.bleu),
    ):
        sums = np.cumsum(columns, axis=0)
        assert score(sums) == pytest.approx([score(row[None])[0] for row in sums])


def test_the_same_text_is_100() -> None:
    text = ["شو حلو الشعور لما تنجح"]
    assert text_overlap.chrf(text_overlap.chrf_columns(text, text)) == pytest.approx([100])
    assert text_overlap.bleu(text_overlap.bleu_columns(text, text)) == pytest.approx([100])


def test_without_a_shared_run_of_four_words_there_is_no_score() -> None:
    columns = text_overlap.bleu_columns(["شو حلو هالنهار يا زلمة", "وينك"], ["شو حلو هالنهار بس برد", "وينك"])
    assert columns[:, :4].sum(axis=0).tolist() == [4, 2, 1, 0]
    assert text_overlap.bleu(columns).tolist() == [0, 0]


def test_without_sacrebleu_there_is_no_bleu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    columns = text_overlap.bleu_columns(["شو", "حلو"], ["شو", "مر"])
    assert columns.shape == (2, 10) and np.isnan(text_overlap.bleu(columns)).all()


def test_signatures_name_the_variants() -> None:
    named = text_overlap.signatures()
    assert "tok:intl" in named["BLEU"]
    assert "nc:6" in named["chrF"]
