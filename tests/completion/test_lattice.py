"""Beams over what a writer may intend, against all that can be intended, letter by letter: slips and spellings, and
Arabic in Latin letters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.completion.test_suggestions import counter

from kammil.completion import channel as slips
from kammil.completion import lattice, transliteration
from kammil.completion.begun_word import MAX_TYPED
from kammil.completion.channel import Channel, Edits
from kammil.completion.completer import Completer
from kammil.completion.lattice import Beam
from kammil.completion.suggestions import Suggestion
from kammil.completion.transliteration import Begun, Transliteration
from kammil.text import TextRules, open_word

LETTERS = "بلاكتهة"
TEXTS = st.lists(st.text(st.sampled_from(LETTERS + " "), min_size=1, max_size=12), min_size=1, max_size=5)


@pytest.fixture
def unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lattice, "WIDTH", 100_000)
    monkeypatch.setattr(lattice, "MIN_SHARE", 0.0)
    monkeypatch.setattr(slips, "WIDTH", 100_000)
    monkeypatch.setattr(slips, "MIN_SHARE", 1e-200)
    monkeypatch.setattr(slips, "MAX_DROPPED", 100_000)
    monkeypatch.setattr(slips, "NEVER", 0.0)
    monkeypatch.setattr(transliteration, "MAX_SILENT", 100_000)
    monkeypatch.setattr(transliteration, "MIN_SHARE", 0.0)


def read(model: Completer, context: str, typed: str) -> Beam[Edits]:
    log_probabilities, state = model.after(context)
    found = Beam.start(np.exp(log_probabilities), state, Edits())
    channel = Channel.of(model.vocabulary)
    for id in model.vocabulary.encode(typed).tolist():
        found = found.after(model.language_model, channel.arcs, id, kept=(*found.memory[0].typed, id))
    return found


def explanations(channel: Channel, model: Completer, typed: str) -> Iterator[tuple[str, float]]:
    """Every way in which a word may have been typed: what was wanted, and the weight of the channel."""
    code = model.vocabulary
    letters = code.decode(np.flatnonzero(channel.letters))

    def go(at: int, wanted: str, weight: float, slipped: bool, skipped: bool) -> Iterator[tuple[str, float]]:
        if at == len(typed):
            yield wanted, weight
            return
        letter = typed[at]
        ids, likelihood, spellings = channel.intended(int(code.encode(letter)[0]))
        for i, (a, w) in enumerate(zip(code.decode(ids), likelihood.tolist(), strict=True)):
            if i < spellings or not slipped:
                yield from go(at + 1, wanted + a, weight * w, slipped or i >= spellings, False)
        run = len(typed[:at]) - len(typed[:at].rstrip(letter))
        if run == 1 and not slipped:
            yield from go(at + 1, wanted, weight * channel.doubled, True, True)
        if run > 1 and skipped:
            more = channel.stretched / channel.doubled if run == 2 else 1.0
            yield from go(at + 1, wanted, weight * more, True, True)
        if run == 0 and at > 0 and not slipped:
            yield from go(at + 1, wanted, weight * channel.inserted, True, False)
        if not slipped:
            for a in letters:
                if a != letter:
                    yield from go(at + 1, wanted + a + letter, weight * channel.dropped, True, False)
            if typed[at + 1 : at + 2] not in ("", letter):
                exchanged = wanted + typed[at + 1] + letter
                yield from go(at + 2, exchanged, weight * channel.swapped, True, False)

    yield from go(0, "", 1.0, False, False)


@pytest.mark.usefixtures("unbounded")
@given(TEXTS, st.text(st.sampled_from(LETTERS), min_size=1, max_size=3))
@settings(max_examples=12)
def test_weights_are_those_of_all_explanations(texts: list[str], typed: str) -> None:
    assume(
        sum(letter in "هة" for letter in typed) <= 1
    )  # else the same letters by two ways, of which one is remembered
    model = counter([*texts, LETTERS])
    context = "ب "
    found = read(model, context, typed)
    expected: defaultdict[str, float] = defaultdict(float)
    for wanted, weight in explanations(Channel.of(model.vocabulary), model, typed):
        expected[wanted] += weight
    scored = {
        wanted: weight * 2 ** -sum(model.score(wanted, context).bits[: len(wanted)])
        for wanted, weight in expected.items()
    }
    got = {model.vocabulary.decode(np.array(ids)): w for ids, w in zip(found.intended, found.weights, strict=True)}
    assert got == pytest.approx(scored, rel=1e-4, abs=1e-12)
    assert next(iter(got)) == typed


@given(TEXTS, st.text(st.sampled_from(LETTERS), min_size=1, max_size=6))
@settings(max_examples=25)
def test_a_narrow_beam_keeps_the_word_as_typed_and_the_states_of_all(texts: list[str], typed: str) -> None:
    model = counter([*texts, LETTERS])
    found = read(model, "ب ", typed)
    assert model.vocabulary.decode(np.array(found.intended[0])) == typed
    assert len(found.intended) <= lattice.WIDTH
    assert len(set(found.intended)) == len(found.intended)
    for ids, p in zip(found.intended, found.p, strict=True):
        log_probabilities, _ = model.after("ب " + model.vocabulary.decode(np.array(ids)))
        assert p == pytest.approx(np.exp(log_probabilities[0]), rel=1e-4, abs=1e-7)


@pytest.fixture(scope="module")
def teacher() -> Completer:
    """A counter that knows few words, and those well."""
    return counter(
        ["بكرا منروح عالجبل", "شو اخبارك اليوم", "المدرسة بعيدة", "حلو كتير", "أكلنا أكلة طيبة", "هلأ ؤ"] * 8, 6
    )


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("بكرا منروح عالحبل", "عالجبل"),  # a neighbour on the keyboard, and the word is whole
        ("بكرا منروح عالحب", "عالجبل"),
        ("شو اخباؤ", "اخبارك"),
        ("شو اخبر", "اخبارك"),  # a letter dropped
        ("شو اخابر", "اخبارك"),  # exchanged
        ("شو اخخبا", "اخبارك"),  # doubled
        ("حلووووو", "حلو"),  # stretched
        ("شو اخبشارك", "اخبارك"),  # a key too many
        ("اك", "أكلة"),  # another spelling
        ("المدرسه", "المدرسة"),
    ],
)
def test_a_slip_or_another_spelling_is_corrected(teacher: Completer, prefix: str, text: str) -> None:
    (first, *_) = (one for one in teacher.suggest(prefix, 5) if one.replaces)
    found = {one.text: one for one in teacher.suggest(prefix, 5) if one.replaces}
    assert text in found, first
    one = found[text]
    assert one.replaces == len(open_word(prefix))
    assert one.appended_to(prefix) == prefix.removesuffix(open_word(prefix)) + text
    assert not any(each.replaces for each in teacher.suggest(prefix, 5, correct=False))


def test_what_was_typed_as_it_is_comes_first(teacher: Completer) -> None:
    for prefix in ("شو اخبا", "أك", "بكرا من", "المد"):
        plain, corrected = teacher.suggest(prefix, 3, correct=False), teacher.suggest(prefix, 3)
        assert corrected[0].text == plain[0].text
        assert not corrected[0].replaces


def test_a_word_that_the_model_does_not_see_as_typed_is_not_replaced() -> None:
    raw = counter(["شو اخبارك اليوم ؤ"] * 8, 6)
    model = Completer(raw.language_model, raw.vocabulary, TextRules())
    assert any(one.replaces for one in model.suggest("شو اخباؤ"))
    assert not any(one.replaces for one in model.suggest("شو اخبـاؤ"))  # with a stretching stroke


@pytest.mark.parametrize("prefix", ["", " ", "شو ", "شو 12", "...", "ش" * (MAX_TYPED + 1), "漢"])
def test_nothing_to_correct(teacher: Completer, prefix: str) -> None:
    assert teacher.suggest(prefix, 5) == teacher.suggest(prefix, 5, correct=False)


@given(st.text(st.sampled_from(LETTERS + "أى ."), max_size=10), st.integers(1, 6))
def test_probabilities_of_a_list_sum_to_one_at_most(teacher: Completer, prefix: str, k: int) -> None:
    found = teacher.suggest(prefix, k, threshold=0.0)
    assert sum(one.probability for one in found) <= 1 + 1e-6
    texts = [one.appended_to(prefix) for one in found]
    assert len(set(texts)) == len(texts) == len(found)
    assert all(isinstance(one, Suggestion) and one.replaces in (0, len(open_word(prefix))) for one in found)
    assert all(one.appended_to(prefix) != prefix for one in found)


ARABIC, LATIN = "باكشهع", "abksh3"
ARABIC_TEXTS = st.lists(st.text(st.sampled_from(ARABIC + " "), min_size=1, max_size=12), min_size=1, max_size=5)
TYPED = st.text(st.sampled_from(LATIN), min_size=1, max_size=4)


def knowing(texts: list[str]) -> tuple[Completer, Transliteration]:
    model = counter([*texts, ARABIC + " " + LATIN])
    foreign = np.array([False, False, False, False, *(c in LATIN for c in model.vocabulary.characters)])
    table = Transliteration.of(model.vocabulary, foreign[-model.vocabulary.size :])
    assert table is not None
    return model, table


def transliterated(model: Completer, table: Transliteration, context: str, typed: str) -> Beam[Begun]:
    log_probabilities, state = model.after(context)
    found = Beam.start(np.exp(log_probabilities), state, Begun({"": 1.0}))
    for sign in typed:
        found = found.after(model.language_model, table.arcs, sign)
    return found


def transliterations(
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
                for rest, p in transliterations(model, table, typed[begin:], first=False):
                    yield letter + rest, written[part][1] * p
        if not silent and written[""][1] > 0:
            for rest, p in transliterations(model, table, typed, first=False, silent=True):
                yield letter + rest, written[""][1] * p


@pytest.mark.usefixtures("unbounded")
@given(ARABIC_TEXTS, TYPED)
@settings(max_examples=12, deadline=None)
def test_weights_of_readings_are_those_of_all_transliterations(texts: list[str], typed: str) -> None:
    model, table = knowing(texts)
    found = transliterated(model, table, "ب ", typed)
    expected: defaultdict[str, float] = defaultdict(float)
    for wanted, p in transliterations(model, table, typed):
        expected[wanted] += p
    scored = {
        wanted: p * 2 ** -sum(model.score(wanted, "ب ").bits[: len(wanted)]) for wanted, p in expected.items() if p > 0
    }
    got = {model.vocabulary.decode(np.array(ids)): w for ids, w in zip(found.intended, found.weights, strict=True)}
    assert got == pytest.approx(scored, rel=1e-4, abs=1e-12)


@given(ARABIC_TEXTS, st.text(st.sampled_from(LATIN), min_size=1, max_size=7))
@settings(max_examples=25, deadline=None)
def test_a_narrow_beam_of_readings_keeps_the_states_of_all(texts: list[str], typed: str) -> None:
    model, table = knowing(texts)
    found = transliterated(model, table, "ب ", typed)
    assert len(found.intended) == len(found.memory) == len(found.p) <= lattice.WIDTH
    assert len(set(found.intended)) == len(found.intended)
    assert (found.weights > 0).all()
    for ids, p in zip(found.intended, found.p, strict=True):
        log_probabilities, _ = model.after("ب " + model.vocabulary.decode(np.array(ids)))
        assert p == pytest.approx(np.exp(log_probabilities[0]), rel=1e-4, abs=1e-7)


def test_a_sign_of_two_letters_is_begun_by_the_first() -> None:
    model, table = knowing(["شكا شك"] * 5)
    best = {"s": "ش", "sh": "ش", "sha": "شا", "shk": "شك", "shak": "شك", "shaka": "شكا"}
    for typed, wanted in best.items():
        found = transliterated(model, table, "", typed)
        texts = [model.vocabulary.decode(np.array(ids)) for ids in found.intended]
        assert wanted in texts
        if typed not in ("s", "sha"):
            assert texts[int(np.argmax(found.weights))] == wanted


def test_what_no_letter_is_written_as_has_no_reading() -> None:
    model = counter(["با kb"] * 5)
    foreign = np.zeros(model.vocabulary.size, np.bool_)
    foreign[model.vocabulary.encode("kb")] = True
    table = Transliteration.of(model.vocabulary, foreign)
    assert table is not None
    assert transliterated(model, table, "", "b").intended
    for typed in ("k", "bk", "bkb", "kbb"):
        found = transliterated(model, table, "", typed)
        assert (found.intended, found.memory, found.p.shape) == ([], [], (0, model.vocabulary.size))
