"""The typing simulator against a writer who asks the model at every key, and against fingers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.completion import Completer
from kammil.errors import DataError
from kammil.evaluation.offers import offers, word_ends
from kammil.evaluation.typing import (
    WIDTHS,
    Flags,
    every_word_known,
    keystrokes_saved,
    precision,
    simulate,
    typed,
    write,
)
from kammil.text import words

LETTERS = st.text("ab ,\u064e", max_size=12)
LEAST = 0.001
"""A threshold that lets the smallest models say something."""


def chosen(model: Completer, texts: list[str]) -> list[str]:
    """Held-out texts, a training text, which has more words that are guessed, and odd ones."""
    some = [texts[0][:40], texts[250][:40], "ش", "شو حلو 漢", "شو، حلو (كتير)!", "..", "لبنان_"]
    return [model.normalise(text) for text in some]


def keys(model: Completer, text: str, width: int) -> tuple[int, int, int]:
    """Keys for a text, lists seen, and words taken, by a writer who asks for suggestions at every key."""
    pressed = seen = taken = at = 0
    while at < len(text):
        found = model.suggest(text[:at], max(WIDTHS), threshold=LEAST)[:width]
        end = next((b for _, b in words(text) if b > at), at)
        pressed += 1
        seen += bool(found)
        if any(s.added == text[at:end] for s in found):
            taken += 1
            at = end + text[end:].startswith(" ")
        else:
            at += 1
    return pressed, seen, taken


def test_keystrokes_are_those_of_a_writer_who_asks(model: Completer, texts: list[str]) -> None:
    some = chosen(model, texts)
    offered = offers(model.runner, model.vocabulary, some, max(WIDTHS), LEAST).texts
    for width in (1, 3):
        right: list[Flags] = [np.logical_or.reduce(of.right[:, :width], axis=1) for of in offered]
        made = typed(some, right, [of.probabilities[:, 0] > 0 for of in offered])
        assert [tuple(row) for row in made[:, [0, 2, 3]].tolist()] == [keys(model, text, width) for text in some]


def test_offers_are_suggestions(model: Completer, texts: list[str]) -> None:
    some = [text[:20] for text in chosen(model, texts)]
    offered = offers(model.runner, model.vocabulary, some, 3, LEAST)
    for text, of in zip(some, offered.texts, strict=True):
        assert of.probabilities.shape == of.right.shape == (len(text) + 1, 3)
        for at in range(len(text) + 1):
            alone = model.suggest(text[:at], 3, threshold=LEAST)
            assert of.probabilities[at][: len(alone)] == pytest.approx([s.probability for s in alone], rel=1e-3)
            assert not of.probabilities[at][len(alone) :].any()
            next_ = text[at : word_ends(text)[at]]
            assert of.right[at][: len(alone)].tolist() == [s.added == next_ for s in alone]
            assert not of.right[at][len(alone) :].any()
    assert 0 <= offered.proven <= 1
    assert offered.steps > 0


def test_a_batch_changes_no_offer(model: Completer, texts: list[str]) -> None:
    some = [text[:12] for text in texts[:18]]  # more than one batch
    together = offers(model.runner, model.vocabulary, some, 3, LEAST).texts
    for i in (0, 7, 17):
        (alone,) = offers(model.runner, model.vocabulary, [some[i]], 3, LEAST).texts
        assert together[i].probabilities == pytest.approx(alone.probabilities, rel=1e-3)
        assert together[i].right.tolist() == alone.right.tolist()


@given(LETTERS)
def test_the_next_word_ends_where_it_ends(text: str) -> None:
    ends = word_ends(text)
    assert len(ends) == len(text) + 1
    for at, end in enumerate(ends.tolist()):
        assert end == next((b for _, b in words(text) if b > at), at)


def test_ghost_text_is_the_phrase_that_is_shown(model: Completer, texts: list[str]) -> None:
    some = chosen(model, texts)
    made = keystrokes_saved(write(model.runner, model.vocabulary, some, LEAST).ghost)
    for (saved, characters), text in zip(made.tolist(), some, strict=True):
        pressed = at = 0
        while at < len(text):
            end = next((b for _, b in words(text) if b > at), at)
            whole = text[:at] + model.phrase(text[:at]).added
            if end > at and next((b for _, b in words(whole) if b > at), None) == end and whole[:end] == text[:end]:
                at = end + text[end:].startswith(" ")
            else:
                at += 1
            pressed += 1
        assert (saved, characters) == (len(text) - pressed, len(text))


@pytest.mark.parametrize(
    ("text", "right", "expected"),
    [
        ("abc de", "111111", (2, 6, 2, 2, 2)),  # one key for "abc ", one for "de"
        ("abc de", "011111", (3, 6, 3, 2, 2)),
        ("abc de", "000000", (6, 6, 6, 0, 2)),
        ("abc de", "000010", (5, 6, 5, 1, 2)),
        ("abc, de", "1111111", (2, 7, 2, 2, 2)),  # "abc", then ", de" at once: whatever is next may be offered
        ("abc, de", "1110111", (3, 7, 3, 2, 2)),
        ("abc!", "1111", (2, 4, 2, 1, 1)),  # after the last word there is nothing to be right about
        ("a  b", "1111", (2, 4, 2, 2, 2)),
        ("", "", (0, 0, 0, 0, 0)),
    ],
)
def test_keys_counted_on_fingers(text: str, right: str, expected: tuple[int, ...]) -> None:
    hit = np.array([c == "1" for c in right], np.bool_)
    assert tuple(typed([text], [hit], [np.ones(len(text), np.bool_)])[0].tolist()) == expected


@given(st.lists(LETTERS, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_help_never_costs_a_key_and_saves_less_than_the_ceiling(texts: list[str], seed: int) -> None:
    generator = np.random.default_rng(seed)
    some: list[Flags] = [generator.random(len(text)) < 0.5 for text in texts]
    more: list[Flags] = [hits | (generator.random(len(hits)) < 0.5) for hits in some]
    every: list[Flags] = [np.ones(len(text), np.bool_) for text in texts]
    keys = [typed(texts, right, every)[:, 0] for right in (every, some)]
    assert (keys[0] <= keys[1]).all()
    assert (keys[1] <= [len(text) for text in texts]).all()
    taken = typed(texts, more, every)
    assert (taken[:, 3] <= taken[:, 2]).all() and (taken[:, 3] <= taken[:, 4]).all()


def test_figures_of_a_model_and_its_baseline(model: Completer, texts: list[str]) -> None:
    made = simulate(model, [*texts[300:304], " "], threshold=LEAST)
    assert (made.texts, made.threshold) == (4, LEAST)
    assert made.ceiling is not None
    assert list(made.baselines) == ["3-gram"]
    for helped in (made.model, *made.baselines.values()):
        assert list(helped.lists) == list(WIDTHS)
        saved = [each.keystrokes.value for each in helped.lists.values() if each.keystrokes is not None]
        assert saved == sorted(saved) and saved[-1] <= made.ceiling.value  # a longer list saves no less here
        assert helped.calibration.bins
        assert 0 <= helped.proven <= 1
    assert made.to_dict()["model"]["lists"].keys() == set(WIDTHS)


def test_columns_add_up_to_the_figures(model: Completer, texts: list[str]) -> None:
    some = [model.normalise(text) for text in texts[300:304]]
    made, figures = write(model.runner, model.vocabulary, some, LEAST), simulate(model, some, threshold=LEAST)
    for writing, saved in ((made.ghost, figures.model.ghost), (made.lists[3], figures.model.lists[3])):
        for columns, figure in ((keystrokes_saved(writing), saved.keystrokes), (precision(writing), saved.precision)):
            above, below = columns.sum(axis=0)
            assert (figure is None) == (below == 0)  # a model may be sure of nothing
            assert figure is None or figure.value == pytest.approx(above / below)
    most = keystrokes_saved(every_word_known(some)).sum(axis=0)
    assert figures.ceiling is not None and figures.ceiling.value == pytest.approx(most[0] / most[1])


def test_a_model_that_stays_silent(model: Completer, texts: list[str]) -> None:
    made = simulate(model, texts[300:302], threshold=1).model
    assert made.lists[3].precision is None and made.calibration.error is None and made.calibration.bins == ()
    assert made.lists[3].keystrokes is not None and made.lists[3].keystrokes.value == 0


def test_of_many_texts_some_are_typed(model: Completer, texts: list[str]) -> None:
    some = [text[:10] for text in texts[:9]]
    assert simulate(model, some, most=3) == simulate(model, some[::3])
    assert simulate(model, some[:2], most=None) == simulate(model, some[:2])


def test_nothing_to_type(model: Completer) -> None:
    with pytest.raises(DataError, match="no text to type"):
        simulate(model, ["", " "])
