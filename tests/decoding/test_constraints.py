"""What may be written next: which rules a call needs at all, and what each does to one row of log-probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kammil.data import bloom
from kammil.data.bloom import BloomFilter
from kammil.decoding.constraints import Constraints
from kammil.decoding.filters import LogWeights, log_softmax
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.options import DecodingOptions
from kammil.errors import OptionError
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

LETTERS = CharacterVocabulary("abc")
A, B, C = range(SPECIALS, SPECIALS + 3)
NEVER = (PAD, UNK, BOS)
ROWS: LogWeights = log_softmax(np.array([[0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]]))


def guide(bias: dict[int, float] | None = None, **options: Any) -> Constraints:
    runs = BloomFilter(bloom.build(["abcabcabcabcabc"]))
    return Constraints(DecodingOptions.of(**options), LETTERS, NEVER, runs, bias)


def written(rules: Constraints, text: str) -> tuple[list[Hypothesis], Any]:
    """A draft that holds a text, and how often it has each character."""
    draft, counts = rules.hypothesis(), rules.counts(1)
    for letter in text:
        counts = rules.counted(counts, np.zeros(1, np.int64), LETTERS.encode(letter))
        draft.add(letter, 1.0)
    return [draft], counts


def allowed(rules: Constraints, text: str) -> set[str | None]:
    """What may follow a text; None is the end."""
    weights, _ = rules.apply(ROWS, *written(rules, text))
    assert (weights < np.inf).all()
    return {rules.piece(int(id)) for id in np.flatnonzero(np.isfinite(weights[0]))}


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"length": 3}, {"stop": ["a"]}, {"seed": 3}])
def test_what_needs_neither_rules_nor_filters(options: dict[str, Any]) -> None:
    rules = guide(**options)
    assert rules.static_mask and rules.only_temperature
    weights, ends = rules.apply(ROWS, *written(rules, ""))
    assert np.array_equal(weights, ROWS + rules.mask) and not ends.any()


@pytest.mark.parametrize("options", [{"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}, {"typical_p": 0.9}])
def test_a_filter_needs_no_rules_but_a_step_for_each_character(options: dict[str, Any]) -> None:
    assert guide(**options).static_mask and not guide(**options).only_temperature


@pytest.mark.parametrize(
    "options",
    [
        {"bias": {A: 1.0}},
        {"repetition_penalty": 1.1},
        {"presence_penalty": 0.1},
        {"frequency_penalty": -0.1},
        {"forbid": ["a"]},
        {"no_copy": 12},
        {"min_length": 1},
    ],
)
def test_a_rule_is_neither_plain_nor_easy(options: dict[str, Any]) -> None:
    assert not guide(**options).static_mask and not guide(**options).only_temperature


def test_a_bias_is_added_before_all_else() -> None:
    weights, _ = (rules := guide({A: 2.0, C: -np.inf})).apply(ROWS, *written(rules, ""))
    expected = np.exp(ROWS[0] + [0, 0, 0, 0, 2, 0, -np.inf])
    expected /= expected.sum()
    assert np.exp(weights[0]) == pytest.approx(np.where(np.isin(np.arange(len(expected)), NEVER), 0, expected))


def test_the_end_waits_for_the_shortest_length() -> None:
    assert allowed(guide(), "") == {None, "a", "b", "c"}
    short = guide(min_length=2)
    assert [None in allowed(short, text) for text in ("", "a", "ab", "abc")] == [False, False, True, True]


@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"forbid": ["a"]}, {"stop": ["a"]}])
def test_a_text_that_goes_on_may_end_at_once_only_behind_the_mark_of_an_end(options: dict[str, Any]) -> None:
    rules = guide(**options)
    for prompt in ("", "شو", "شو ", "شو،", "شو. ", "1:"):
        there = rules.at(prompt, goes_on=True)
        assert [None in allowed(there, text) for text in ("", "b", "bc")] == [False, True, True]
        assert None in allowed(rules.at(prompt), "")
    for prompt in ("شو.", "شو؟", "so!"):
        assert None in allowed(rules.at(prompt, goes_on=True), "")
    assert None not in allowed(guide(min_length=2, **options).at("شو.", goes_on=True), "b")
    nothing = guide(forbid=["a", "b", "c"]).at("شو", goes_on=True)
    assert allowed(nothing, "") == {None}  # where nothing may follow


def test_without_the_runs_of_the_training_texts_no_copy_is_promised() -> None:
    with pytest.raises(OptionError, match="no_copy is 12"):
        Constraints(DecodingOptions(no_copy=12), LETTERS, NEVER, None)


def test_only_what_would_copy_is_refused() -> None:
    rules = guide(no_copy=12)
    assert allowed(rules, "abcabcabcab") == {None, "a", "b", "c"}
    assert allowed(rules, "abcabcabcabc") == {None, "b", "c"}


def test_where_nothing_may_follow_a_text_ends() -> None:
    rules = guide(forbid=["a", "b", "c"], min_length=3)
    weights, ends = rules.apply(ROWS, *written(rules, ""))
    assert ends.tolist() == [True]
    assert np.flatnonzero(np.isfinite(weights[0])).tolist() == [EOS] and weights[0, EOS] == 0
    # A model that says nothing ends no text: the caller sees it.
    weights, ends = rules.apply(np.full_like(ROWS, np.nan), *written(rules, ""))
    assert not ends.any()


def test_a_text_whose_end_must_wait_and_has_nothing_else_ends() -> None:
    only = np.where(np.arange(len(ROWS[0])) == EOS, 0.0, -np.inf)[None]
    weights, ends = (rules := guide(min_length=1)).apply(only, *written(rules, ""))
    assert ends.tolist() == [True] and weights[0, EOS] == 0


@pytest.mark.parametrize(
    "options",
    [{"min_length": 2}, {"no_copy": 12}, {"forbid": ["a", "b", "cc"], "min_length": 3}, {"frequency_penalty": 1}],
)
def test_each_text_of_a_batch_keeps_its_own_rules(options: dict[str, Any]) -> None:
    rules = guide(**options)
    some = [written(rules, text) for text in ("", "c", "abcabcabcabc")]
    together = np.concatenate([counts for _, counts in some])
    rows = ROWS.repeat(3, axis=0)
    weights, ends = rules.apply(rows, [draft for [draft], _ in some], together)
    assert np.array_equal(rows, ROWS.repeat(3, axis=0))  # what a model said stays as it is
    for i, one in enumerate(some):
        alone, ended = rules.apply(ROWS, *one)
        assert np.array_equal(weights[i], alone[0]) and ends[i] == ended[0]


def test_a_character_that_is_never_written_has_no_piece() -> None:
    assert Constraints(DecodingOptions(), LETTERS, (*NEVER, B), None).piece(B) == ""


def test_counts_are_those_of_each_text() -> None:
    rules = guide(presence_penalty=1.0)
    counts = rules.counts(2)
    for parents, ids in (([0, 1], [A, B]), ([1, 1], [B, C])):
        counts = rules.counted(counts, np.array(parents), np.array(ids))
    assert counts[:, SPECIALS:].tolist() == [[0, 2, 0], [0, 1, 1]]
    assert guide().counts(2).shape == (2, 0)


def test_an_id_is_written_as_another_unless_strings_are_asked_for() -> None:
    def respelt(prompt: str) -> dict[int, int]:
        return {} if "c" in prompt else {C: B}

    def pieces(prompt: str, **options: Any) -> str:
        rules = Constraints(DecodingOptions.of(**options), LETTERS, NEVER, None, respelt=respelt).at(prompt)
        return "".join(rules.piece(id) or "" for id in (A, B, C))

    assert pieces("a") == "abb" and pieces("ac") == pieces("a", forbid=["c"]) == "abc"
