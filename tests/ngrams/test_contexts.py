"""Hashes of contexts are equal exactly where the contexts are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.language_model import Ids
from kammil.ngrams.contexts import WORD_CONTEXTS, ContextHasher
from kammil.vocabulary import BOS

V = 12
IN_WORD = np.array([i >= 6 for i in range(V)])  # ids 4 and 5 stand between words
KINDS = ("o1", "o2", "o4", *WORD_CONTEXTS)
IDS = st.lists(st.integers(4, V - 1), min_size=1, max_size=30)


def oracle(ids: list[int], kind: str) -> tuple[object, ...]:
    """Return the context after some ids as a tuple."""
    line = [BOS] * 8 + ids
    if kind[0] == "o":
        return tuple(line[-int(kind[1:]) :])
    words: list[tuple[int, ...]] = []
    before = -1
    for inside, run_ids in itertools.groupby(ids, key=lambda i: bool(IN_WORD[i])):
        run = tuple(run_ids)
        if inside:
            words.append((before, *run))  # the id before a word belongs to the context
        else:
            before = run[-1]
    letters = 1
    if IN_WORD[ids[-1]]:
        *finished, current = words
        letters = len(current) - 1
    else:
        finished, current = words, (ids[-1],)
    earlier, previous = [None, None, *finished][-2:]
    return {
        "w": (current,),
        "w1": (current, previous),
        "w2": (current, previous, earlier),
        "w1s": (current, earlier),
        "l": (current[-letters:],),
        "l1": (current[-letters:], previous and previous[1:]),
    }[kind]


@given(st.lists(IDS, min_size=1, max_size=12))
def test_hashes_are_equal_exactly_where_contexts_are(texts: list[list[int]]) -> None:
    contexts = ContextHasher(KINDS, IN_WORD)
    found: dict[tuple[str, object], int] = {}
    for ids in texts:
        hashes, _ = contexts.hash_contexts(np.array([[BOS, *ids]]), contexts.initial_state(1))
        for t in range(1, len(ids) + 1):
            for k, kind in enumerate(KINDS):
                value = int(hashes[0, t, k])
                assert found.setdefault((kind, oracle(ids[:t], kind)), value) == value
    assert len(set(found.values())) == len(found)


@given(IDS, st.integers(0, 30))
def test_reading_in_two_parts_is_reading_at_once(ids: list[int], cut: int) -> None:
    contexts = ContextHasher(KINDS, IN_WORD)
    batch: Ids = np.array([ids, ids[::-1]])
    at_once, end = contexts.hash_contexts(batch, contexts.initial_state(2))
    cut = min(cut, len(ids))
    state, parts = contexts.initial_state(2), list[np.ndarray]()
    for part in (batch[:, :cut], batch[:, cut:]):
        hashes, state = contexts.hash_contexts(part, state)
        parts.append(hashes)
    assert (np.concatenate(parts, axis=1) == at_once).all()
    for in_parts, read in zip(state, end, strict=True):
        assert (in_parts == read).all()


@pytest.mark.parametrize("kind", ["o0", "o33", "x", "", "w3", "o"])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="kind of context"):
        ContextHasher(["o1", kind], IN_WORD)


@given(IDS)
def test_one_text_by_itself_is_hashed_the_same(ids: list[int]) -> None:
    contexts = ContextHasher(KINDS, IN_WORD)
    hashes, end = contexts.hash_contexts(np.array([ids, ids[::-1]]), contexts.initial_state(2))  # (2, T, K)
    state = contexts.initial_state(1)
    for t, id in enumerate(ids):
        hashed, state = contexts.hash_contexts(np.array([[id]]), state)
        assert (hashed[0, 0] == hashes[0, t]).all()
    for stepped, read in zip(state, end, strict=True):
        assert (stepped == read[:1]).all()
