"""Exact copies of training texts are recognised as the audit counts them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data.bloom import ExactTexts, build
from kammil.data.splits import leaks
from kammil.errors import FolderError

TEXTS = st.lists(
    st.text(max_size=6)
    | st.sampled_from(["شو حلو", "شو حلو!", "شو", "#شو_حلو", "😂", "😂 ", "", "https://a.example", "a\ud800"]),
    min_size=1,
    max_size=8,
)


@given(TEXTS, TEXTS)
def test_a_text_stands_there_as_the_audit_says(training: list[str], held_out: list[str]) -> None:
    found = np.flatnonzero(ExactTexts(build(training)).contains(held_out)).tolist()
    assert tuple(found) == leaks(training, held_out).exact_rows


def test_a_short_text_within_a_longer_one_does_not_stand_there() -> None:
    texts = ExactTexts(build(["شو حلو الشعور لما تنجح بعد تعب طويل"]))
    assert texts.contains(["شو حلو الشعور لما", "شو حلو الشعور لما تنجح بعد تعب طويل؟"]).tolist() == [False, True]


def test_a_folder_from_before_keeps_no_texts() -> None:
    arrays = build(["a", "b"])
    assert ExactTexts(arrays).available
    older = ExactTexts({"bits": arrays["bits"]})
    assert not older.available and not older.contains(["a"]).any()


@pytest.mark.parametrize("texts", [np.zeros(3, np.uint8), np.zeros((2, 2), np.uint32), np.zeros(8)])
def test_foreign_hashes_are_refused(texts: np.ndarray) -> None:
    with pytest.raises(FolderError, match=r"seen\.safetensors"):
        ExactTexts({"texts": texts})
