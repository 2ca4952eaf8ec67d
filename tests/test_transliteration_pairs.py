"""The pairs that the table of Latin letters is learnt from, and how it is learnt, by hand and by enumeration."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_benchmarks import script

from kammil.completion.transliteration import FIRST
from kammil.data.blocklist import is_offensive
from kammil.languages import known

recipe = script("recipes/transliteration.py")
_ROWS = {"ك": {"k": 0.75, "kk": 0.25}, "ا": {"a": 0.5, "": 0.5}}
SIGNS = _ROWS | {FIRST + letter: row for letter, row in _ROWS.items()}
VOWELS = {"ك": {"": 0.5, "a": 0.25, "e": 0.25}, "ا": {"": 1.0}}
TABLE = SIGNS, VOWELS


def ways(arabic: str, arabizi: str) -> dict[tuple[tuple[str, str, str], ...], float]:
    """All ways in which a word may have been typed, with their probabilities."""
    keys = [FIRST * (i == 0) + letter for i, letter in enumerate(arabic)]
    options = [[(k, s, v, p * q) for s, p in SIGNS[k].items() for v, q in VOWELS[k[-1]].items()] for k in keys]
    found: dict[tuple[tuple[str, str, str], ...], float] = {}
    for chosen in itertools.product(*options):
        if "".join(s + v for _, s, v, _ in chosen) == arabizi:
            p = 1.0
            for *_, each in chosen:
                p *= each
            found[tuple((k, s, v) for k, s, v, _ in chosen)] = p
    return found


@given(st.text(st.sampled_from("كا"), min_size=1, max_size=3), st.text(st.sampled_from("kae"), min_size=1, max_size=5))
def test_expected_counts_are_those_of_all_ways(arabic: str, arabizi: str) -> None:
    every = ways(arabic, arabizi)
    total = sum(every.values())
    assert recipe.likelihood(TABLE, arabic, arabizi) == pytest.approx(total)
    expected: defaultdict[Any, float] = defaultdict(float)
    for way, p in every.items():
        for each in way:
            expected[each] += p / total
    got: defaultdict[Any, float] = defaultdict(float)
    for key, sign, vowel, n in recipe.expected_counts(TABLE, arabic, arabizi):
        got[key, sign, vowel] += n
    assert got == pytest.approx(expected)


def test_what_pairs_have_most_is_learnt() -> None:
    signs, vowels = recipe.learn([("شك", "shak")] * 20 + [("كش", "kesh")] * 20 + [("شك", "chak")] * 5)
    assert signs[FIRST + "ش"]["sh"] > 0.7
    assert 0.1 < signs[FIRST + "ش"]["ch"] < 0.3
    assert signs["ش"]["sh"] > 0.9
    assert vowels["ش"]["a"] > 0.4
    assert vowels["ك"]["e"] > 0.3
    for rows in (signs, vowels):
        assert all(sum(row.values()) == pytest.approx(1) for row in rows.values())


@pytest.fixture(scope="module")
def stored() -> Any:
    return known()["arabic"].table("transliteration")


def test_the_table_is_that_of_the_pairs(stored: Any) -> None:
    signs, vowels = recipe.learn(recipe.words("learn"))
    for name, rows in (("signs", signs), ("vowels", vowels)):
        for key, row in rows.items():
            assert stored[name][key] == pytest.approx({e: p for e, p in row.items() if p >= 0.00001}, abs=1e-4)


@pytest.mark.parametrize("part", ["learn", "test"])
def test_pairs_are_explained_and_inoffensive(part: str, stored: Any) -> None:
    pairs = list(recipe.words(part))
    assert len(pairs) > 200
    unexplained = [pair for pair in pairs if not recipe.likelihood((stored["signs"], stored["vowels"]), *pair)]
    assert len(unexplained) < 0.01 * len(pairs)
    assert not [word for pair in pairs for word in pair if is_offensive(word)]
