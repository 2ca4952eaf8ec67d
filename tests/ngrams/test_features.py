"""The text cache against a plain search."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.language_model import Ids
from kammil.ngrams.features import WINDOW, TextCache, columns_of
from kammil.vocabulary import PAD

TEXTS = st.lists(st.integers(4, 7), min_size=1, max_size=25)
KINDS = 2


def keyed(ids: list[int]) -> np.ndarray:
    """Return keys of the last id and of the last two ids, (1, T, 2)."""
    return np.array([[[now, 100 + 10 * before + now] for before, now in zip([0, *ids], ids, strict=False)]], np.uint32)


def searched(ids: list[int]) -> dict[tuple[int, int, int], int]:
    """Count each (position, context type, follower) by comparing all pairs of positions."""
    keys = keyed(ids)[0].tolist()
    found: Counter[tuple[int, int, int]] = Counter()
    for t in range(len(ids)):
        for earlier in range(max(0, t - WINDOW), t):
            for kind in range(KINDS):
                if keys[earlier][kind] == keys[t][kind]:
                    found[t, kind, ids[earlier + 1]] += 1
    return dict(found)


@given(TEXTS)
def test_it_finds_what_a_search_finds(ids: list[int]) -> None:
    cache = TextCache(KINDS)
    matches, _ = cache.look_up(np.array([ids]), keyed(ids), cache.initial_state(1), last=len(ids))
    found = {
        (int(p) // KINDS, int(p) % KINDS, int(i)): int(c)
        for p, i, c in zip(matches.flat_index, matches.ids, matches.counts, strict=True)
    }
    assert found == searched(ids)
    for t in range(len(ids)):
        for kind in range(KINDS):
            here = [n for (at, k, _), n in found.items() if (at, k) == (t, kind)]
            assert (matches.totals[t, kind], matches.distinct[t, kind]) == (sum(here), len(here))


@given(TEXTS, st.integers(0, 25))
def test_reading_in_two_parts_is_reading_at_once(ids: list[int], cut: int) -> None:
    cache = TextCache(KINDS)
    at_once, end = cache.look_up(np.array([ids]), keyed(ids), cache.initial_state(1), last=len(ids))
    cut = min(cut, len(ids))
    batch: Ids = np.array([ids])
    _, state = cache.look_up(batch[:, :cut], keyed(ids)[:, :cut], cache.initial_state(1), last=0)
    rest, state = cache.look_up(batch[:, cut:], keyed(ids)[:, cut:], state, last=len(ids) - cut)
    kept = at_once.flat_index >= cut * KINDS
    assert (rest.flat_index + cut * KINDS == at_once.flat_index[kept]).all()
    assert (rest.ids == at_once.ids[kept]).all() and (rest.counts == at_once.counts[kept]).all()
    for stepped, read in zip(state, end, strict=True):
        assert (stepped == read).all()


@given(st.lists(TEXTS, min_size=1, max_size=3), st.sampled_from([1, 25]))
def test_stepping_is_reading(texts: list[list[int]], repeat: int) -> None:
    """In a batch of padded texts; beyond the window too."""
    texts = [text * repeat for text in texts]
    cache = TextCache(KINDS)
    width = max(map(len, texts))
    ids = np.array([text + [PAD] * (width - len(text)) for text in texts])
    keys = np.concatenate([np.pad(keyed(t), ((0, 0), (0, width - len(t)), (0, 0))) for t in texts])
    at_once, end = cache.look_up(ids, keys, cache.initial_state(len(texts)), last=width)
    state = cache.initial_state(len(texts))
    for t in range(width):
        step, state = cache.look_up(ids[:, t : t + 1], keys[:, t : t + 1], state, last=1)
        row, kind = np.divmod(step.flat_index, KINDS)
        here = at_once.flat_index // KINDS % width == t
        assert ((row * width + t) * KINDS + kind).tolist() == at_once.flat_index[here].tolist()
        assert step.ids.tolist() == at_once.ids[here].tolist() and step.counts.tolist() == at_once.counts[here].tolist()
    for stepped, read in zip(state, end, strict=True):
        assert (stepped == read).all()


def test_the_window_forgets() -> None:
    cache = TextCache(KINDS)
    ids = [4, 5, *[6] * WINDOW, 4]
    matches, _ = cache.look_up(np.array([ids]), keyed(ids), cache.initial_state(1), last=1)
    assert not len(matches.flat_index)
    matches, _ = cache.look_up(np.array([ids[1:]]), keyed(ids[1:]), cache.initial_state(1), last=1)
    ids = [4, 5, *[6] * (WINDOW - 2), 4]
    matches, _ = cache.look_up(np.array([ids]), keyed(ids), cache.initial_state(1), last=1)
    assert matches.ids.tolist() == [5]


def test_padding_is_no_context() -> None:
    cache = TextCache(KINDS)
    ids = np.array([[4, 5, 4, PAD, PAD]])
    matches, _ = cache.look_up(ids, np.zeros((1, 5, KINDS), np.uint32), cache.initial_state(1), last=5)
    assert set((matches.flat_index // KINDS).tolist()) == {1, 2}


def test_a_context_type_that_is_not_counted_is_refused() -> None:
    assert columns_of(("o3", "o1"), ("o1", "w", "o3")).tolist() == [2, 0]
    with pytest.raises(ValueError, match="o2 is looked up"):
        columns_of(("o2",), ("o1",))
