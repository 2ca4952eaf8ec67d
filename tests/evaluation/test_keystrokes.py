"""The typing simulator against a writer who asks the model at every key, and against fingers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.completion.test_pieces import counter

from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GhostLevel
from kammil.data.blocklist import BlockedWord
from kammil.evaluation.keystrokes import (
    LOOK_AFTER,
    WIDTHS,
    Flags,
    Help,
    first_ghost_words,
    type_texts,
    type_with_help,
    type_with_oracle,
    type_with_random_words,
)
from kammil.evaluation.suggestion_hits import farthest_ends, suggestion_hits, with_slips, word_ends
from kammil.evaluation.typing_report import simulate
from kammil.text import gives_way, space_after, words

LETTERS = st.text("ab ,\u064e", max_size=12)
GHOST_LEVELS = get_args(GhostLevel)
LEAST = 0.001
"""A threshold that lets the smallest models say something."""


def chosen(model: Completer, texts: list[str]) -> list[str]:
    """Held-out texts, a training text, which has more words that are guessed, and odd ones."""
    sample = [texts[0][:40], texts[250][:40], "ش", "شو حلو 漢", "شو، حلو (كتير)!", "..", "لبنان_"]
    return [model.normalise(text) for text in sample]


def helps(texts: Sequence[str], right: Sequence[Flags], shown: Sequence[Flags], spaced: Sequence[Flags]) -> list[Help]:
    """The help of single words."""
    return [Help.of(*each) for each in zip(texts, right, shown, spaced, strict=True)]


class Screen:
    """What stands before a writer, by the rule of the page and in no other words than a person's."""

    def __init__(self) -> None:
        self.text, self.spaced = "", False

    def press(self, character: str) -> None:
        """A key. The page's own space gives way to a comma, and to a space."""
        if self.spaced and gives_way(character):
            self.text = self.text[:-1]
        self.text, self.spaced = self.text + character, False

    def delete(self) -> None:
        """Backspace."""
        self.text, self.spaced = self.text[:-1], False

    def take(self, added: str) -> None:
        """A button, or a word of the ghost text."""
        space = space_after(added)
        self.text, self.spaced = self.text + added + space, bool(space)


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
        unwanted = screen.spaced and (not text.startswith(screen.text) or gives_way(text[at : at + 1]))
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
    sample = chosen(model, texts)
    channel = Channel.of(model.vocabulary)
    suggested = suggestion_hits(
        model.language_model, model.vocabulary, sample, max(WIDTHS), LEAST, channel=channel
    ).texts
    for width in (1, 3):

        def words_after(prefix: str, width: int = width) -> list[str]:
            found = model.suggest(prefix, max(WIDTHS), threshold=LEAST)[:width]
            return ["" if s.replaces else s.added for s in found]  # without slips no correction is right

        right: list[Flags] = [np.logical_or.reduce(hits.right[:, :width], axis=1) for hits in suggested]
        shown: list[Flags] = [hits.probabilities[:, 0] > 0 for hits in suggested]
        columns = type_texts(sample, helps(sample, right, shown, [hits.spaced > 0 for hits in suggested]))
        expected = [
            write_out(
                text, lambda before, word: word in words_after(before), lambda before, _: bool(words_after(before))
            )
            for text in sample
        ]
        assert [tuple(row) for row in columns[:, [0, 2, 3]].tolist()] == expected


@given(LETTERS, st.integers(0, 2**32 - 1))
def test_every_key_that_a_screen_asks_for_is_counted(text: str, seed: int) -> None:
    hits, shown, spaced = np.random.default_rng(seed).random((3, len(text) + 1)) < 0.5
    expected = write_out(
        text,
        lambda before, _: bool(hits[len(before)]),
        lambda before, unwanted: bool(spaced[len(before) - 1] if unwanted else shown[len(before)]),
    )
    assert tuple(type_texts([text], [Help.of(text, hits, shown, spaced)])[0, [0, 2, 3]].tolist()) == expected


def test_offers_are_suggestions(model: Completer, texts: list[str]) -> None:
    sample = [text[:20] for text in chosen(model, texts)]
    channel = Channel.of(model.vocabulary)
    suggested = suggestion_hits(model.language_model, model.vocabulary, sample, 3, LEAST, channel=channel)
    for text, hits in zip(sample, suggested.texts, strict=True):
        assert hits.probabilities.shape == hits.right.shape == (len(text) + 1, 3)
        for at in range(len(text) + 1):
            alone = model.suggest(text[:at], 3, threshold=LEAST)
            assert hits.probabilities[at][: len(alone)] == pytest.approx([s.probability for s in alone], rel=1e-3)
            assert not hits.probabilities[at][len(alone) :].any()
            next_ = text[at : word_ends(text)[at]]
            assert hits.right[at][: len(alone)].tolist() == [s.added == next_ and not s.replaces for s in alone]
            assert not hits.right[at][len(alone) :].any()
    assert 0 <= suggested.proven <= 1
    assert suggested.steps > 0


def test_a_batch_changes_no_offer(model: Completer, texts: list[str]) -> None:
    sample = [text[:12] for text in texts[:18]]  # more than one batch
    channel = Channel.of(model.vocabulary)
    batched = suggestion_hits(model.language_model, model.vocabulary, sample, 3, LEAST, channel=channel).texts
    for i in (0, 7, 17):
        (alone,) = suggestion_hits(model.language_model, model.vocabulary, [sample[i]], 3, LEAST, channel=channel).texts
        assert batched[i].probabilities == pytest.approx(alone.probabilities, rel=1e-3)
        assert batched[i].right.tolist() == alone.right.tolist()


@pytest.mark.parametrize("text", ["قلت الحمدلله كتير", "اللهم صل على محمد كتير"])
def test_simulated_ghost_text_brings_up_nothing_that_was_not_called_for(text: str) -> None:
    model = counter([text] * 20, 8)
    (ghost,) = first_ghost_words(model.language_model, model.vocabulary, [text], 0.3).texts
    (listed,) = suggestion_hits(model.language_model, model.vocabulary, [text], 1, 0.3).texts
    shown, listed = ghost.probabilities[:, 0] > 0, listed.probabilities[:, 0] > 0
    hidden = np.flatnonzero(listed & ~shown).tolist()
    assert hidden and shown.any() and not (shown & ~listed).any()
    for end in range(len(text) + 1):
        added = model.phrase(text[:end], threshold=0.3).added
        assert not added if end in hidden else shown[end] or not added


def test_the_writer_is_shown_what_every_interface_shows() -> None:
    model = counter(["شو حلو كتير", "شو حلو يا"] * 9, 6)
    model = Completer(model.language_model, model.vocabulary, model.rules, block=[BlockedWord("كتير")], messages=True)
    text = "شو حلو كتير"
    (hits,) = suggestion_hits(
        model.language_model, model.vocabulary, [text], 3, LEAST, refusals=model.refusals(), openings=model.openings
    ).texts
    for end in range(len(text) + 1):
        shown = [one.probability for one in model.suggest(text[:end], 3, threshold=LEAST, correct=False)]
        assert [p for p in hits.probabilities[end].tolist() if p] == pytest.approx(shown)
    assert not hits.right[7:].any() and hits.right[:6].any()
    report = simulate(model, [text], threshold=LEAST).model.lists[3].keystrokes
    plain = Completer(model.language_model, model.vocabulary, model.rules)
    unblocked = simulate(plain, [text], threshold=LEAST).model.lists[3].keystrokes
    assert report is not None and unblocked is not None and report.value < unblocked.value


@given(LETTERS)
def test_the_next_word_ends_where_it_ends(text: str) -> None:
    ends = word_ends(text)
    assert len(ends) == len(text) + 1
    for at, end in enumerate(ends.tolist()):
        assert end == next((b for _, b in words(text) if b > at), at)


@pytest.mark.parametrize("level", GHOST_LEVELS)
def test_ghost_text_is_the_phrase_that_is_shown(model: Completer, texts: list[str], level: GhostLevel) -> None:
    sample = chosen(model, texts)
    columns = type_with_help(model.language_model, model.vocabulary, sample, LEAST).ghosts[level].writing

    def first(before: str, word: str) -> bool:
        shown = before + model.phrase(before, ghost=level).added
        begin = len(before)
        return shown[begin:].startswith(word) and next((b for _, b in words(shown) if b > begin), 0) == begin + len(
            word
        )

    expected = [
        write_out(text, first, lambda before, _: bool(model.phrase(before, ghost=level).added)) for text in sample
    ]
    assert columns[:, 0].tolist() == [keys for keys, _, _ in expected]
    assert columns[:, 3].tolist() == [taken for _, _, taken in expected]


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
        ("我们去吃饭。", "1", (2, 6, 2, 1, 5)),  # a piece for one key
        ("我们去吃饭。", "01", (3, 6, 3, 1, 5)),
        ("一二三四五六七八九十", "1111111111", (2, 10, 2, 2, 10)),  # a piece has eight letters
        ("我用ab写", "11111", (4, 5, 4, 3, 4)),  # "我用", "ab ", Backspace, "写"
        ("a", "1", (2, 1, 2, 1, 1)),  # the writer takes the word, and then sees the space
        ("", "", (0, 0, 0, 0, 0)),
    ],
)
def test_keys_counted_on_fingers(text: str, right: str, expected: tuple[int, ...]) -> None:
    hit = np.array([c == "1" for c in right.ljust(len(text) + 1, "0")], np.bool_)
    every = np.ones(len(text) + 1, np.bool_)
    assert tuple(type_texts([text], [Help.of(text, hit, every, every)])[0, :5].tolist()) == expected


@given(st.lists(LETTERS, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_a_word_taken_costs_at_most_the_space_behind_it(texts: list[str], seed: int) -> None:
    generator = np.random.default_rng(seed)
    right: list[Flags] = [generator.random(len(text) + 1) < 0.5 for text in texts]
    every: list[Flags] = [np.ones(len(text) + 1, np.bool_) for text in texts]
    columns = type_texts(texts, helps(texts, right, every, every))
    keys, characters, looked, taken, num_words, *_ = columns.T
    assert (keys <= characters + taken).all()
    assert (taken <= looked).all() and (taken <= num_words).all()
    assert (type_with_oracle(texts)[:, 3] == num_words).all()


def test_a_list_holds_the_most_probable_words(model: Completer, texts: list[str]) -> None:
    sample = chosen(model, texts)  # so sure that at some places there is one suggestion alone
    runs = type_with_help(model.language_model, model.vocabulary, sample, 0.2)
    for width, run in runs.lists.items():
        suggested = suggestion_hits(model.language_model, model.vocabulary, sample, width, 0.2).texts
        right: list[Flags] = [np.logical_or.reduce(hits.right, axis=1) for hits in suggested]
        shown: list[Flags] = [np.logical_or.reduce(hits.probabilities > 0, axis=1) for hits in suggested]
        expected = type_texts(sample, helps(sample, right, shown, [hits.spaced > 0 for hits in suggested]))
        assert run.writing[:, :5].tolist() == expected[:, :5].tolist()


def test_every_place_where_something_is_shown_is_counted(model: Completer, texts: list[str]) -> None:
    sample = chosen(model, texts)
    runs = type_with_help(model.language_model, model.vocabulary, sample, LEAST)
    for level, run in runs.ghosts.items():
        for text, counted in zip(sample, run.places.tolist(), strict=True):
            right = shown = 0
            for at in range(len(text) + 1):
                added = model.phrase(text[:at], ghost=level).added  # pyright: ignore[reportArgumentType]
                end = next((b for _, b in words(text) if b > at), at)
                first = next((b for _, b in words(text[:at] + added) if b > at), at)
                shown += bool(added)
                right += end > at and added[: first - at] == text[at:end]
            assert counted == [right, shown, len(text) + 1]


def test_a_writer_looks_at_a_list_once_a_word(model: Completer, texts: list[str]) -> None:
    sample = chosen(model, texts)
    runs = type_with_help(model.language_model, model.vocabulary, sample, LEAST)
    for run in runs.lists.values():
        writing = run.timed
        long_words = [sum(end - begin > LOOK_AFTER for begin, end in words(text)) for text in sample]
        assert (writing[:, 6] <= long_words).all() and (writing[:, 2] == writing[:, 6]).all()


def test_only_what_is_new_is_read() -> None:
    # "abcd ef": the same word is shown from the first letter on, then a wrong one after the second, then nothing.
    shown = np.array([[1], [1], [1], [0], [0], [1], [0], [0]], np.bool_)
    right = np.array([0, 0, 0, 0, 0, 1, 0, 0], np.bool_)
    new = np.array([1, 0, 1, 0, 0, 1, 0, 0], np.bool_)
    none = np.zeros(8, np.int64)
    letters = np.array([5, 4, 3, 0, 0, 2, 0, 0])
    ends = word_ends("abcd ef")
    help = Help(right, none, shown[:, 0].astype(np.int64), new, letters, none, none, ends)
    keys, characters, looked, taken, _, _, read, bits, wrong, wrong_letters, _ = type_texts(["abcd ef"], [help])[
        0
    ].tolist()
    assert (keys, characters, looked, taken) == (7, 7, 4, 1)  # "ef" for one key, and the space behind it deleted
    assert (read, bits, wrong, wrong_letters) == (3, 3, 2, 5 + 3)


def test_the_farthest_end_of_a_piece() -> None:
    assert farthest_ends("，我们去ab 吃", 2).tolist() == [3, 3, 4, 4, 6, 6, 8, 8, 8]
    assert farthest_ends("ที่นี่", 4).tolist() == [3, 3, 6, 6, 6, 6, 6]  # letters with their marks
    assert farthest_ends("ab cd", 8).tolist() == word_ends("ab cd").tolist()


def test_the_longest_right_piece_is_taken() -> None:
    text = "我们去吃饭"
    model = counter(["我们去吃饭", "我们去吃饭", "我们去", "我们好"])
    (hits,) = suggestion_hits(model.language_model, model.vocabulary, [text], 5, LEAST).texts
    help = Help.lists(hits, 5)
    for at in range(len(text) + 1):
        added = [s.added for s in model.suggest(text[:at], 5, threshold=LEAST)]
        right = [each for each in added if text.startswith(each, at)]
        assert help.right[at] == bool(right)
        assert not right or help.ends[at] == at + max(map(len, right))
    writing = type_texts([text], [help])
    assert writing[0, [0, 1, 4, 10]].tolist() == [1, 5, 5, 5]  # the whole text for one key


def test_a_writer_looks_at_pieces_after_every_second_letter() -> None:
    text = "我们去吃饭ab"
    every = np.ones(len(text) + 1, np.bool_)
    looks = Help.of(text, every, every, every).once_a_word(text)
    assert np.flatnonzero(looks.new).tolist() == [2, 4]


def test_a_suggestion_is_right_if_the_word_stands_as_it_was_wanted(model: Completer, texts: list[str]) -> None:
    sample = [text[:24] for text in chosen(model, texts)[:2]]
    typed = with_slips(sample, 0.3)
    channel = Channel.of(model.vocabulary)
    suggested = suggestion_hits(
        model.language_model, model.vocabulary, sample, 4, LEAST, typed=typed, channel=channel
    ).texts
    for text, slipped, hits in zip(sample, typed, suggested, strict=True):
        for at in range(len(text) + 1):
            begin, end = next(((a, b) for a, b in words(text) if a < at < b), (at, int(word_ends(text)[at])))
            for j, s in enumerate(model.suggest(slipped[:at], 4, threshold=LEAST)):
                stands = s.appended_to(slipped[:at])
                assert hits.right[at, j] == (stands == slipped[:begin] + text[begin:end] and at < end)
                assert hits.ends[at, j] == len(stands)


def test_a_correction_is_one_key() -> None:
    model = counter(["شو اخبارك اليوم ؤ"] * 9, 6)
    text, typed = "شو اخبارك اليوم", "شو اخباؤك اليوم"
    looks = np.zeros(len(text) + 1, np.bool_)
    looks[8] = True  # behind the slip
    keys: list[float] = []
    for channel in (None, Channel.of(model.vocabulary)):
        (hits,) = suggestion_hits(
            model.language_model, model.vocabulary, [text], 3, LEAST, typed=[typed], channel=channel
        ).texts
        help = Help.lists(hits, 3)
        assert help.right[8] == (channel is not None)
        keys.append(type_texts([text], [replace(help, right=help.right & looks)])[0, 0])
    assert keys == [15, 14]  # the tap takes the place of a letter and the space


def test_random_words_are_right_as_often_as_chance_has_it() -> None:
    texts = ["ab cd ef gh ij kl mn op"] * 400
    runs = type_with_random_words(texts)
    for width, run in runs.items():
        right, shown, all_places = run.places.sum(axis=0)
        assert shown == all_places == 24 * len(texts)  # a list is shown at every place, behind the last word too
        assert right / (23 * len(texts)) == pytest.approx(width / 8, abs=0.02)
        taken = run.writing[:, 5].sum() / run.writing[:, 3].sum()
        assert taken == pytest.approx((width - 1) / 2, abs=0.1)  # the right one stands at any place of the list
    again = type_with_random_words(texts)
    assert all((runs[width].writing == again[width].writing).all() for width in WIDTHS)
    assert all(run.writing[0, 3] == 1 for run in type_with_random_words(["ab"]).values())  # there is no other
    assert all((run.writing[:, 3] == 0).all() for run in type_with_random_words([".", ""]).values())
