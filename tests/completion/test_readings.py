"""Readings of what is typed in Latin letters, against all that can be made of it letter by letter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.completion.test_suggestions import counter

from kammil.completion import readings as module
from kammil.completion.completer import Completer
from kammil.completion.readings import MAX_READINGS, Readings
from kammil.completion.transliteration import Transliteration

LETTERS, LATIN = "باكشهع", "abksh3"
TEXTS = st.lists(st.text(st.sampled_from(LETTERS + " "), min_size=1, max_size=12), min_size=1, max_size=5)
TYPED = st.text(st.sampled_from(LATIN), min_size=1, max_size=4)


@pytest.fixture
def unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_READINGS", 100_000)
    monkeypatch.setattr(module, "MAX_SILENT", 100_000)
    monkeypatch.setattr(module, "LEAST_SHARE", 0.0)


def knowing(texts: list[str]) -> tuple[Completer, Transliteration]:
    model = counter([*texts, LETTERS + " " + LATIN])
    foreign = np.array([False, False, False, False, *(c in LATIN for c in model.vocabulary.characters)])
    table = Transliteration.of(model.vocabulary, foreign[-model.vocabulary.size :])
    assert table is not None
    return model, table


def read(model: Completer, table: Transliteration, context: str, typed: str) -> Readings:
    log_probabilities, state = model.after(context)
    found = Readings.start(np.exp(log_probabilities), state)
    for sign in typed:
        found = found.after(model.language_model, table, sign)
    return found


def explanations(
    model: Completer, table: Transliteration, typed: str, *, first: bool = True, silent: bool = False
) -> Iterator[tuple[str, float]]:
    """Every Arabic text whose last letter the last typed one belongs to, and the probability that it is typed so; of
    two letters in a row one is written."""
    for id, written in table.written[first].items():
        letter = model.vocabulary.decode([id])
        for begin in range(1, len(typed) + 1):
            part = typed[:begin]
            if begin == len(typed) and part in written:
                yield letter, written[part][0]
            elif part in written and written[part][1] > 0:
                for rest, p in explanations(model, table, typed[begin:], first=False):
                    yield letter + rest, written[part][1] * p
        if not silent and written[""][1] > 0:
            for rest, p in explanations(model, table, typed, first=False, silent=True):
                yield letter + rest, written[""][1] * p


@pytest.mark.usefixtures("unbounded")
@given(TEXTS, TYPED)
@settings(max_examples=12, deadline=None)
def test_weights_are_those_of_all_explanations(texts: list[str], typed: str) -> None:
    model, table = knowing(texts)
    found = read(model, table, "ب ", typed)
    expected: defaultdict[str, float] = defaultdict(float)
    for wanted, p in explanations(model, table, typed):
        expected[wanted] += p
    scored = {
        wanted: p * 2 ** -sum(model.score(wanted, "ب ").bits[: len(wanted)]) for wanted, p in expected.items() if p > 0
    }
    got = {model.vocabulary.decode(np.array(ids)): w for ids, w in zip(found.wanted, found.weights, strict=True)}
    assert got == pytest.approx(scored, rel=1e-4, abs=1e-12)


@given(TEXTS, st.text(st.sampled_from(LATIN), min_size=1, max_size=7))
@settings(max_examples=25, deadline=None)
def test_a_narrow_beam_keeps_the_states_of_all(texts: list[str], typed: str) -> None:
    model, table = knowing(texts)
    found = read(model, table, "ب ", typed)
    assert len(found.wanted) == len(found.begun) == len(found.p) <= MAX_READINGS
    assert len(set(found.wanted)) == len(found.wanted)
    assert (found.weights > 0).all()
    for ids, p in zip(found.wanted, found.p, strict=True):
        log_probabilities, _ = model.after("ب " + model.vocabulary.decode(np.array(ids)))
        assert p == pytest.approx(np.exp(log_probabilities[0]), rel=1e-4, abs=1e-7)


def test_a_sign_of_two_letters_is_begun_by_the_first() -> None:
    model, table = knowing(["شكا شك"] * 5)
    best = {"s": "ش", "sh": "ش", "sha": "شا", "shk": "شك", "shak": "شك", "shaka": "شكا"}
    for typed, wanted in best.items():
        found = read(model, table, "", typed)
        texts = [model.vocabulary.decode(np.array(ids)) for ids in found.wanted]
        assert wanted in texts
        if typed not in ("s", "sha"):
            assert texts[int(np.argmax(found.weights))] == wanted


def test_what_no_letter_is_written_as_has_no_reading() -> None:
    model = counter(["با kb"] * 5)
    foreign = np.zeros(model.vocabulary.size, np.bool_)
    foreign[model.vocabulary.encode("kb")] = True
    table = Transliteration.of(model.vocabulary, foreign)
    assert table is not None
    assert read(model, table, "", "b").wanted
    for typed in ("k", "bk", "bkb", "kbb"):
        found = read(model, table, "", typed)
        assert (found.wanted, found.begun, found.p.shape) == ([], [], (0, model.vocabulary.size))
