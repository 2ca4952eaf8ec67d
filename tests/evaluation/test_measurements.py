"""What a report measures: a bounded number of texts, spread over all, and typing only where there is time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.measurements import MAX_LENGTH, QUOTED, cut, measure, within

TEXTS = st.lists(st.text("شو ab", max_size=30), min_size=1, max_size=50)


@given(texts=TEXTS, number=st.integers(1, 60), characters=st.integers(1, 400))
def test_texts_stay_within_their_bounds(texts: list[str], number: int, characters: int) -> None:
    found = within(texts, number, characters)
    assert 1 <= len(found) <= number
    assert len(found) == 1 or sum(map(len, found)) <= characters
    if sum(map(len, texts)) <= characters:
        assert len(found) == min(number, len(texts))


@given(text=st.text("شو ab", max_size=60), length=st.integers(1, 40))
def test_a_text_is_cut_behind_a_word(text: str, length: int) -> None:
    found = cut(text, length)
    assert text.startswith(found) and len(found) <= length
    if len(text) <= length:
        assert found == text
    elif len(found) < length and found:
        assert text[len(found)] == " ", "what fits is left out only with its word"
    if text.strip(" ") and not text.startswith(" "):
        assert found


def test_cuts_by_hand() -> None:
    assert cut("يا زلمة شو", 8) == "يا زلمة"
    assert cut("يا زلمة شو", 7) == "يا زلمة"
    assert cut("يا زلمة شو", 6) == "يا"
    assert cut("زلمةةةةة", 4) == "زلمة"


def test_what_is_measured(folder_of: Callable[[str], Path], texts: list[str]) -> None:
    model, some = kammil.load(folder_of("ngram")), texts[240:262]
    found = measure(model, ["شو " * 400, *some], seconds=1e6)  # time decides no test
    assert len(found.samples) == len(found.explanations) == QUOTED
    assert all(
        explanation.text.startswith(sample.input)
        for sample, explanation in zip(found.samples, found.explanations, strict=True)
    )
    assert max(len(explanation.text) for explanation in found.explanations) <= MAX_LENGTH
    assert found.sliced == 23 and sum(each.texts for each in found.slices if each.criterion == "emoji") == 23
    assert found.typing is not None and found.typing.texts == 23


def test_nobody_types_without_time_or_texts(folder_of: Callable[[str], Path], texts: list[str]) -> None:
    model = kammil.load(folder_of("ngram"))
    assert measure(model, texts[240:262], seconds=1e-9).typing is None
    assert measure(model, texts[240 : 240 + MIN_TEXTS - 1], seconds=1e6).typing is None
    assert measure(model, [" "], seconds=1e6).samples == ()
