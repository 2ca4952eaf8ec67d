"""Greedy choices, words and keystrokes against a writer who asks the model at every key."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.completion import Completer
from kammil.evaluation.greedy import Guesses, continuations, guesses
from kammil.evaluation.metrics import half
from kammil.evaluation.scorecard import targets
from kammil.evaluation.typing import keystrokes_saved
from kammil.evaluation.words import next_word, spans

LETTERS = st.text("ab \t", max_size=12)


def chosen(model: Completer, texts: list[str]) -> list[str]:
    """Held-out texts and training texts, which have more words that are guessed, and odd ones."""
    some = [*texts[:2], *texts[250:252], "ش", "شو حلو 漢", "شو   في", "شو في "]
    return [model.rules.normalise(text) for text in some]


def ghost(model: Completer, prompt: str) -> str:
    """The word that is suggested after a prompt, as `complete` writes it."""
    return model.complete(prompt, temperature=0, length=40, stop=[" "]).text


def typed(model: Completer, text: str) -> int:
    """Keys for a text when a right ghost is taken as soon as it shows."""
    keys = at = 0
    while at < len(text):
        left = text[at:].split(" ", maxsplit=1)[0]
        if left and ghost(model, text[:at]) == left:
            at += len(left) + (at + len(left) < len(text))
        else:
            at += 1
        keys += 1
    return keys


def test_keystrokes_are_those_of_a_writer(model: Completer, texts: list[str]) -> None:
    some = chosen(model, texts)
    made = keystrokes_saved(guesses(model.runner, model.vocabulary, some), some)
    assert made[:, 1].tolist() == [len(text) for text in some]
    assert made[:, 0].tolist() == [len(text) - typed(model, text) for text in some]


def test_a_counter_saves_keys_on_what_it_was_taught(model: Completer, texts: list[str]) -> None:
    made = keystrokes_saved(guesses(model.runner, model.vocabulary, texts[:40]), texts[:40]).sum(axis=0)
    assert 0 <= made[0] < made[1]
    if model.model is not None and model.model.description.family == "ngram":
        assert made[0] > 0.1 * made[1]


def test_next_words_are_those_that_complete_writes(model: Completer, texts: list[str]) -> None:
    some = chosen(model, texts)
    made = next_word(guesses(model.runner, model.vocabulary, some), some, targets(some))
    for (right, asked), text in zip(made.tolist(), some, strict=True):
        begins = [
            a
            for a in range(1, len(text))
            if half(text) <= a < half(text) + 30 and text[a - 1] == " " and text[a] != " "
        ]
        assert asked == len(begins)
        assert right == sum(ghost(model, text[:a]) == text[a:].split(" ")[0] for a in begins)


def test_continuations_are_what_complete_writes(model: Completer, texts: list[str]) -> None:
    prompts = [text[: half(text)] for text in texts[240:260]]
    written = continuations(model.runner, model.vocabulary, [*prompts, ""], 30)
    for prompt, ids in zip([*prompts, ""], written, strict=True):
        assert model.vocabulary.decode(ids) == model.complete(prompt, temperature=0, length=30).text


def test_batches_change_no_guess(model: Completer, texts: list[str]) -> None:
    together = guesses(model.runner, model.vocabulary, texts[:66])
    for text, guess in zip(texts[:66:11], together[::11], strict=True):
        (alone,) = guesses(model.runner, model.vocabulary, [text])
        assert guess.right.tolist() == alone.right.tolist()
        assert guess.ends.tolist() == alone.ends.tolist()


@given(LETTERS)
def test_words_are_what_white_space_leaves(text: str) -> None:
    assert [text[a:b] for a, b in spans(text)] == text.split()


def knows(text: str, *places: int) -> list[Guesses]:
    """Right at all places but these."""
    right = np.ones(len(text), np.bool_)
    right[list(places)] = False
    ends = np.array([c.isspace() for c in text] + [True])
    return [Guesses(right, ends)]


@pytest.mark.parametrize(
    ("text", "wrong", "saved"),
    [
        ("abc de", (), 3 + 1),  # one key for "abc ", one for "de"
        ("abc de", (0,), 2 + 1),
        ("abc de", (1,), 1 + 1),
        ("abc de", (2,), 0 + 1),
        ("abc de", (4,), 3 + 0),  # the last letter of a text: a key saves nothing
        ("abc de", (0, 1, 2, 3, 4, 5), 0),
        ("a b", (), 1 + 0),
        (" ab", (), 1),
        ("", (), 0),
    ],
)
def test_keys_counted_on_fingers(text: str, wrong: tuple[int, ...], saved: int) -> None:
    assert keystrokes_saved(knows(text, *wrong), [text]).tolist() == [[saved, len(text)]]


def test_a_word_must_also_end() -> None:
    guess = knows("ab cd")[0]
    longer = Guesses(guess.right, np.zeros(6, np.bool_))
    assert keystrokes_saved([longer], ["ab cd"]).tolist() == [[0, 5]]
    assert next_word([longer], ["ab cd"], [slice(2, 5)]).tolist() == [[0, 1]]
    assert next_word([guess], ["ab cd"], [slice(2, 5)]).tolist() == [[1, 1]]
    assert next_word([guess], ["ab cd"], [slice(0, 3)]).tolist() == [[0, 0]]  # the first word follows no space
