"""The typing simulator against a writer who asks the model at every key, and against fingers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.completion.completer import Completer
from kammil.errors import DataError
from kammil.evaluation.keystrokes import (
    WIDTHS,
    Flags,
    every_word_known,
    keystrokes_saved,
    precision,
    simulate,
    typed,
    write,
)
from kammil.evaluation.suggestion_hits import suggestion_hits, word_ends
from kammil.spacing import gives_way, space_after
from kammil.text import words

LETTERS = st.text("ab ,\u064e", max_size=12)
LEAST = 0.001
"""A threshold that lets the smallest models say something."""


def chosen(model: Completer, texts: list[str]) -> list[str]:
    """Held-out texts, a training text, which has more words that are guessed, and odd ones."""
    some = [texts[0][:40], texts[250][:40], "ش", "شو حلو 漢", "شو، حلو (كتير)!", "..", "لبنان_"]
    return [model.normalise(text) for text in some]


class Screen:
    """What stands before a writer, by the rule of the page and in no other words than a person's."""

    def __init__(self) -> None:
        self.text, self.own = "", False

    def press(self, character: str) -> None:
        """A key. The page's own space gives way to a comma, and to a space."""
        if self.own and gives_way(character):
            self.text = self.text[:-1]
        self.text, self.own = self.text + character, False

    def delete(self) -> None:
        """Backspace."""
        self.text, self.own = self.text[:-1], False

    def take(self, added: str) -> None:
        """A button, or a word of the ghost text."""
        space = space_after(added)
        self.text, self.own = self.text + added + space, bool(space)


def write_out(text: str, right: Callable[[str, str], bool], seen: Callable[[str, bool], bool]) -> tuple[int, int, int]:
    """Keys for a text, places with suggestions, and words taken, by a writer who has nothing but a screen.

    Args:
        text: what is wanted.
        right: whether what is suggested after the one text holds the other.
        seen: whether anything is suggested after a text, which may end in a space that is not wanted.
    """
    screen, pressed, looked, taken = Screen(), 0, 0, 0
    while screen.text != text:
        pressed += 1
        at = len(screen.text)
        end = next((b for _, b in words(text) if b > at), at)
        unwanted = screen.own and (not text.startswith(screen.text) or gives_way(text[at : at + 1]))
        looked += seen(screen.text, unwanted)
        if unwanted:
            if gives_way(text[at - 1 : at]):
                screen.press(text[at - 1])
            else:
                screen.delete()
        elif end > at and right(screen.text, text[at:end]):
            taken += 1
            screen.take(text[at:end])
        else:
            screen.press(text[at])
    return pressed, looked, taken


def test_keystrokes_are_those_of_a_writer_who_asks(model: Completer, texts: list[str]) -> None:
    some = chosen(model, texts)
    offered = suggestion_hits(model.language_model, model.vocabulary, some, max(WIDTHS), LEAST).texts
    for width in (1, 3):

        def words_after(prefix: str, width: int = width) -> list[str]:
            return [s.added for s in model.suggest(prefix, max(WIDTHS), threshold=LEAST)[:width]]

        right: list[Flags] = [np.logical_or.reduce(of.right[:, :width], axis=1) for of in offered]
        shown: list[Flags] = [of.probabilities[:, 0] > 0 for of in offered]
        made = typed(some, right, shown, [of.spaced for of in offered])
        asked = [
            write_out(
                text, lambda before, word: word in words_after(before), lambda before, _: bool(words_after(before))
            )
            for text in some
        ]
        assert [tuple(row) for row in made[:, [0, 2, 3]].tolist()] == asked


@given(LETTERS, st.integers(0, 2**32 - 1))
def test_every_key_that_a_screen_asks_for_is_counted(text: str, seed: int) -> None:
    hits, shown, spaced = np.random.default_rng(seed).random((3, len(text) + 1)) < 0.5
    asked = write_out(
        text,
        lambda before, _: bool(hits[len(before)]),
        lambda before, unwanted: bool(spaced[len(before) - 1] if unwanted else shown[len(before)]),
    )
    assert tuple(typed([text], [hits], [shown], [spaced])[0, [0, 2, 3]].tolist()) == asked


def test_offers_are_suggestions(model: Completer, texts: list[str]) -> None:
    some = [text[:20] for text in chosen(model, texts)]
    offered = suggestion_hits(model.language_model, model.vocabulary, some, 3, LEAST)
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
    together = suggestion_hits(model.language_model, model.vocabulary, some, 3, LEAST).texts
    for i in (0, 7, 17):
        (alone,) = suggestion_hits(model.language_model, model.vocabulary, [some[i]], 3, LEAST).texts
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
    made = write(model.language_model, model.vocabulary, some, LEAST).ghost

    def first(before: str, word: str) -> bool:
        whole = before + model.phrase(before).added
        begin = len(before)
        return whole[begin:].startswith(word) and next((b for _, b in words(whole) if b > begin), 0) == begin + len(
            word
        )

    asked = [write_out(text, first, lambda before, _: bool(model.phrase(before).added)) for text in some]
    assert made[:, 0].tolist() == [keys for keys, _, _ in asked]
    assert made[:, 3].tolist() == [taken for _, _, taken in asked]


@pytest.mark.parametrize(
    ("text", "right", "expected"),
    [
        ("abc de", "111111", (3, 6, 3, 2, 2)),  # one key for "abc ", one for "de ", one to delete the space
        ("abc de", "011111", (4, 6, 4, 2, 2)),
        ("abc de.", "1111111", (3, 7, 3, 2, 2)),
        ("abc de", "000010", (6, 6, 6, 1, 2)),
        ("abc de", "000000", (6, 6, 6, 0, 2)),
        ("abc de ", "0000101", (5, 7, 5, 1, 2)),  # the space that the text ends in
        ("abc, de", "1111111", (4, 7, 4, 2, 2)),  # "abc ", "abc,", " de " at once, and without the space
        ("abc, de", "1111011", (5, 7, 5, 2, 2)),  # the space after the comma is the writer's
        ("abc , de", "11110111", (5, 8, 5, 2, 2)),  # a space before a comma too
        ("abc، de", "1000000", (5, 7, 5, 1, 2)),
        ("abc!", "1111", (2, 4, 2, 1, 1)),  # after the last word there is nothing to be right about
        ("abc-de", "1110111", (5, 6, 5, 2, 2)),  # the space before a hyphen is deleted, and that at the end
        ("abc😂", "1111", (3, 4, 3, 1, 1)),
        ("abc 😂", "1111", (2, 5, 2, 1, 1)),
        ("a  b", "11111", (4, 4, 4, 2, 2)),
        ("漢、字", "101", (3, 3, 3, 2, 2)),  # no space, so none to be deleted
        ("a", "1", (2, 1, 2, 1, 1)),  # the writer takes the word, and then sees the space
        ("", "", (0, 0, 0, 0, 0)),
    ],
)
def test_keys_counted_on_fingers(text: str, right: str, expected: tuple[int, ...]) -> None:
    hit = np.array([c == "1" for c in right.ljust(len(text) + 1, "0")], np.bool_)
    every = np.ones(len(text) + 1, np.bool_)
    assert tuple(typed([text], [hit], [every], [every])[0].tolist()) == expected


@given(st.lists(LETTERS, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_a_word_taken_costs_at_most_the_space_behind_it(texts: list[str], seed: int) -> None:
    generator = np.random.default_rng(seed)
    some: list[Flags] = [generator.random(len(text) + 1) < 0.5 for text in texts]
    every: list[Flags] = [np.ones(len(text) + 1, np.bool_) for text in texts]
    made = typed(texts, some, every, every)
    keys, characters, looked, taken, many = made.T
    assert (keys <= characters + taken).all()
    assert (taken <= looked).all() and (taken <= many).all()
    assert (every_word_known(texts)[:, 3] == many).all()


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
    made, figures = write(model.language_model, model.vocabulary, some, LEAST), simulate(model, some, threshold=LEAST)
    for writing, saved in ((made.ghost, figures.model.ghost), (made.lists[3], figures.model.lists[3])):
        for columns, figure in ((keystrokes_saved(writing), saved.keystrokes), (precision(writing), saved.precision)):
            above, below = columns.sum(axis=0)
            assert (figure is None) == (below == 0)  # a model may be sure of nothing
            assert figure is None or figure.value == pytest.approx(above / below)
    most = keystrokes_saved(every_word_known(some)).sum(axis=0)
    assert figures.ceiling is not None and figures.ceiling.value == pytest.approx(most[0] / most[1])


def test_a_list_holds_the_most_probable_words(model: Completer, texts: list[str]) -> None:
    some = chosen(model, texts)  # so sure that at some places there is one suggestion alone
    made = write(model.language_model, model.vocabulary, some, 0.2)
    for width, columns in made.lists.items():
        offered = suggestion_hits(model.language_model, model.vocabulary, some, width, 0.2).texts
        right: list[Flags] = [np.logical_or.reduce(of.right, axis=1) for of in offered]
        shown: list[Flags] = [np.logical_or.reduce(of.probabilities > 0, axis=1) for of in offered]
        assert columns.tolist() == typed(some, right, shown, [of.spaced for of in offered]).tolist()


def test_a_model_that_stays_silent(model: Completer, texts: list[str]) -> None:
    made = simulate(model, texts[300:302], threshold=1).model
    assert made.lists[3].precision is None and made.calibration.error is None and made.calibration.bins == ()
    assert made.lists[3].keystrokes is not None and made.lists[3].keystrokes.value == 0


def test_of_many_texts_some_are_typed(model: Completer, texts: list[str]) -> None:
    some = [text[:10] for text in texts[:9]]
    assert simulate(model, some, most=3) == simulate(model, some[::3])
    assert simulate(model, some[:2], most=None) == simulate(model, some[:2])
    assert simulate(model, [text + "  " for text in some[:2]]) == simulate(model, some[:2])  # as files are read


def test_nothing_to_type(model: Completer) -> None:
    with pytest.raises(DataError, match="no text to type"):
        simulate(model, ["", " "])
