"""Beams against a search through all texts of a tiny model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.decoding.beam_search import beam_search, ordered_extensions
from kammil.decoding.constraints import Constraints
from kammil.decoding.options import DecodingOptions
from kammil.errors import FolderError, OptionError
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.text import RAW
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

LETTERS = "abc"


def tiny(texts: list[str], order: int = 3) -> Completer:
    """A model that counts over three letters."""
    vocabulary = CharacterVocabulary(LETTERS)
    chosen = ngram_model.NGramSettings(order=order)
    _, artifacts = ngram_counting.fit([vocabulary.encode(text) for text in texts], (), vocabulary.size, chosen)
    return Completer(ngram_model.NGramModel(chosen, artifacts.weights), vocabulary, RAW)


MODELS = st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=1, max_size=6).map(tiny)


def all_texts(model: Completer, prompt: str, asked: dict[str, Any]) -> dict[str, float]:
    """Every text that may be written, and the best mean log-probability of a way to write it, in bits."""
    options = DecodingOptions.of(**asked)
    made: dict[str, float] = {}
    for n in range(options.length + 1):
        for letters in itertools.product(LETTERS, repeat=n):
            text = "".join(letters)
            bits = model.score(text, given=prompt).bits
            floor = max([options.min_length, *(_end(text, s) for s in options.force)])
            cuts = [at for at in (text.find(s, floor) for s in options.stop) if at >= 0]
            before = [at for at in (text[:-1].find(s, floor) for s in options.stop) if at >= 0]
            if before or _writes(prompt, text, options.forbid) or not all(s in text for s in options.force):
                continue
            if cuts:
                made[text[: min(cuts)]] = max(made.get(text[: min(cuts)], -math.inf), -sum(bits[:-1]) / n)
            elif n == options.length:
                made[text] = max(made.get(text, -math.inf), -sum(bits[:-1]) / n)
            elif n >= options.min_length:
                made[text] = max(made.get(text, -math.inf), -sum(bits) / (n + 1))
    return made


def _writes(prompt: str, text: str, strings: Sequence[str]) -> bool:
    """Whether a text after a prompt ends any of the strings, which may have begun in the prompt."""
    return any(
        (prompt + text).endswith(string, 0, len(prompt) + end) for string in strings for end in range(1, len(text) + 1)
    )


def _end(text: str, string: str) -> int:
    """Where a string first stands whole; far away if it does not."""
    return text.find(string) + len(string) if string in text else 99


@st.composite
def asked_of(draw: st.DrawFn) -> dict[str, Any]:
    strings = st.lists(st.text(LETTERS, min_size=1, max_size=2), max_size=2).map(tuple)
    made: dict[str, Any] = {
        "length": draw(st.integers(1, 4)),
        "min_length": draw(st.integers(0, 2)),
        "stop": draw(strings),
        "forbid": draw(strings),
        "force": draw(strings),
    }
    kept = draw(st.sets(st.sampled_from(sorted(made))))
    return {name: value for name, value in made.items() if name in kept | {"length"}}


@given(MODELS, st.text(LETTERS, max_size=3), asked_of(), st.integers(1, 5))
@settings(max_examples=150)
def test_enough_beams_find_the_best_texts(model: Completer, prompt: str, asked: dict[str, Any], n: int) -> None:
    try:
        DecodingOptions.of(**asked)
        found = model.samples(prompt, n, beams=64, **asked)
    except OptionError:
        assert "force" in asked or asked.get("min_length", 0) > asked.get("length", 30)
        return
    if "forbid" in asked and asked.get("min_length", 0):
        return  # where nothing may follow, a text ends before its time
    expected = all_texts(model, prompt, asked)
    scores = [expected[one.text] for one in found]
    assert scores == pytest.approx(sorted(expected.values(), reverse=True)[:n], abs=1e-4)
    assert len({one.text for one in found}) == len(found) == min(n, len(expected))
    for one in found:
        assert one.bits == pytest.approx(model.score(one.text, given=prompt).bits[:-1], abs=1e-4)


@given(MODELS, st.text(LETTERS, max_size=3), st.integers(2, 4), st.integers(1, 12))
def test_beams_follow_their_definition(model: Completer, prompt: str, beams: int, length: int) -> None:
    """A plain search: all extensions of the beams, best first, until enough go on."""
    live, finished = [("", 0.0)], dict[str, float]()
    for step in range(1, length + 1):
        extensions: list[tuple[float, int, int, str]] = []
        for row, (text, total) in enumerate(live):
            for id, letter in [(EOS, ""), *enumerate(LETTERS, EOS + 1)]:
                bits = model.score(text + letter, given=prompt).bits
                cost = bits[len(text)]
                extensions.append((total + cost, row, id, text + letter))
        going: list[tuple[str, float]] = []
        ended = 0
        for total, _, id, text in sorted(extensions):
            if len(going) == beams or (step == length and ended == beams):
                break
            if id == EOS or len(text) == length:
                ended += text not in finished
                finished[text] = min(finished.get(text, math.inf), total / step)
            else:
                going.append((text, total))
        live = going
    found = model.samples(prompt, beams, beams=beams, length=length)
    best = sorted(finished.values())[:beams]
    assert [finished[one.text] for one in found] == pytest.approx(best, abs=1e-4)


@given(MODELS, st.integers(2, 8))
def test_forced_strings_stand_in_every_beam(model: Completer, beams: int) -> None:
    for force in (["cab"], ["ca", "bb"], ["abc", "bca"], ["cccccc"]):
        for one in model.samples("a", 2, beams=beams, length=9, force=force):
            assert all(s in one.text for s in force)


def test_beams_find_what_greed_misses() -> None:
    # "a" is the likelier beginning, but what follows it is anybody's guess.
    model = tiny(["aa", "ab", "ac", "aab", "acb", "bcc", "bcc", "bcc", "bcc"], order=4)
    greedy = model.complete("", temperature=0, length=3)
    search = model.complete("", beams=3, length=3)
    assert greedy.text[0] == "a"
    assert search.text == "bcc"
    assert "".join(model.stream("", beams=3, length=3)) == "bcc"


def test_fewer_texts_than_asked_for() -> None:
    model = tiny(["abc"])
    assert len(model.samples("", 4, beams=4, length=1, forbid=["a", "b"])) == 2  # "c" and nothing
    assert [one.text for one in model.samples("", 3, beams=3, length=0)] == [""]


@pytest.mark.parametrize("options", [{"temperature": 1.0, "seed": 3}, {"top_k": 1}, {"seed": 7}])
def test_beams_draw_nothing(options: dict[str, Any]) -> None:
    model = tiny(["abcab", "acb", "bca"])
    assert model.complete("a", beams=3, **options) == model.complete("a", beams=3)


def test_what_beams_cannot_do() -> None:
    model = tiny(["abc"])
    with pytest.raises(OptionError, match=r"n is 3, .*2 .*beams"):
        model.samples("", 3, beams=2)
    with pytest.raises(OptionError, match=r"best_of is 2, .*beams"):
        model.complete("", beams=2, best_of=2)


def test_a_penalty_counts_for_beams_too() -> None:
    model = tiny(["aaaaaaaa"] * 3 + ["aabb"])
    assert np.unique(list(model.complete("a", beams=4, length=4, min_length=4).text)).tolist() == ["a"]
    assert len(set(model.complete("a", beams=4, length=4, min_length=4, repetition_penalty=50).text)) > 1


NEVER = (PAD, UNK, BOS)
LETTER = dict(zip(LETTERS, range(SPECIALS, SPECIALS + len(LETTERS)), strict=True))


def scored(*beams: dict[str, float]) -> NDArray[np.float64]:
    """Scores (B, V) of some letters of each beam."""
    scores = np.full((len(beams), SPECIALS + len(LETTERS)), -np.inf)
    for row, beam in zip(scores, beams, strict=True):
        for letter, score in beam.items():
            row[LETTER[letter]] = score
    return scores


def dealt(guide: Constraints, texts: list[str], scores: NDArray[np.float64]) -> list[tuple[int, str]]:
    """Beam and letter in the order of the search."""
    beams = [guide.hypothesis() for _ in texts]
    for beam, text in zip(beams, texts, strict=True):
        for letter in text:
            beam.add(letter, 1.0)
    parents, ids = ordered_extensions(scores, guide.missing_after(beams))
    return [(int(p), LETTERS[id - SPECIALS]) for p, id in zip(parents, ids, strict=True)]


def test_extensions_are_gone_through_by_their_scores() -> None:
    guide = Constraints(DecodingOptions(), CharacterVocabulary(LETTERS), NEVER, None)
    scores = scored({"c": -2.0, "b": -1.0}, {"b": -1.0, "a": -1.0})
    assert dealt(guide, ["", ""], scores) == [(0, "b"), (1, "a"), (1, "b"), (0, "c")]  # of equals, the better beam


def test_beams_are_dealt_to_those_that_are_as_far_with_what_is_forced() -> None:
    guide = Constraints(DecodingOptions(force=("ab",)), CharacterVocabulary(LETTERS), NEVER, None)
    scores = scored({"a": -1.0, "b": -2.0, "c": -3.0}, {"a": -1.5, "b": -9.0, "c": -2.5})
    assert dealt(guide, ["c", "a"], scores) == [
        (0, "a"),  # the best of those that miss one character
        (0, "b"),  # of those that miss two
        (1, "b"),  # of those that miss none
        (1, "a"),  # then all second best
        (1, "c"),
        (0, "c"),
    ]


def test_a_search_that_is_stopped_knows_the_best_so_far() -> None:
    """Finished texts and those under way, by what each decision cost in the mean."""
    model = tiny(["abcab", "acb", "bca", "a"])
    options = DecodingOptions(beams=64, length=5)
    guide = Constraints(options, model.vocabulary, NEVER, None)
    said, state = model.language_model.step(np.array([BOS]), model.language_model.initial_state(1))
    steps = beam_search(model.language_model, guide, said, state, 9)
    for length in (1, 2):
        expected = all_texts(model, "", {"length": length})
        best = next(steps)
        costs = [hypothesis.mean_bits for hypothesis in best]
        assert costs == pytest.approx(sorted(-bits for bits in expected.values())[: len(costs)], abs=1e-4)
        assert len(best) == min(9, len(expected)) == len({hypothesis.text for hypothesis in best})


def test_a_ruined_model_is_said() -> None:
    model = tiny(["ab"])
    guide = Constraints(DecodingOptions(beams=2), model.vocabulary, NEVER, None)
    ruined = np.zeros((1, model.vocabulary.size), np.float32)
    ruined[0, -1] = np.nan
    with pytest.raises(FolderError, match="no probabilities"):
        next(beam_search(model.language_model, guide, ruined, model.language_model.initial_state(1), 1))


def test_an_end_that_was_no_choice_costs_nothing() -> None:
    model = tiny(["ab"])
    guide = Constraints(DecodingOptions(beams=2, forbid=tuple(LETTERS), min_length=1), model.vocabulary, NEVER, None)
    said, state = model.language_model.step(np.array([BOS]), model.language_model.initial_state(1))
    *_, (made,) = beam_search(model.language_model, guide, said, state, 2)
    assert (made.text, made.reason, made.end_bits) == ("", "end", 0.0)
