"""Contexts as hashes: equal where the words say so, different elsewhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.language_model import Ids
from kammil.ngrams.contexts import WORD_KINDS, ContextHasher
from kammil.vocabulary import BOS

V = 12
IN_WORD = np.array([i >= 6 for i in range(V)])  # ids 4 and 5 stand between words
KINDS = ("o1", "o2", "o4", *WORD_KINDS)
IDS = st.lists(st.integers(4, V - 1), min_size=1, max_size=30)


def oracle(ids: list[int], kind: str) -> tuple[object, ...]:
    """The context after some ids, spelled out."""
    line = [BOS] * 8 + ids
    if kind[0] == "o":
        return tuple(line[-int(kind[1:]) :])
    words: list[tuple[int, ...]] = []
    before = -1
    for inside, together in itertools.groupby(ids, key=lambda i: bool(IN_WORD[i])):
        run = tuple(together)
        if inside:
            words.append((before, *run))  # a word is told from another by what stands before it too
        else:
            before = run[-1]
    if IN_WORD[ids[-1]]:
        *finished, now = words
    else:
        finished, now = words, (ids[-1],)
    one, two = ([None, None, *finished])[-1], ([None, None, *finished])[-2]
    return {"w": (now,), "w1": (now, one), "w2": (now, one, two), "w1s": (now, two)}[kind]


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
    line: Ids = np.array([ids, ids[::-1]])
    whole, end = contexts.hash_contexts(line, contexts.initial_state(2))
    cut = min(cut, len(ids))
    state, parts = contexts.initial_state(2), list[np.ndarray]()
    for part in (line[:, :cut], line[:, cut:]):
        hashes, state = contexts.hash_contexts(part, state)
        parts.append(hashes)
    assert (np.concatenate(parts, axis=1) == whole).all()
    for one, other in zip(state, end, strict=True):
        assert (one == other).all()


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
        now, state = contexts.hash_contexts(np.array([[id]]), state)
        assert (now[0, 0] == hashes[0, t]).all()
    for one, other in zip(state, end, strict=True):
        assert (one == other[:1]).all()
