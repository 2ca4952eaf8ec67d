"""The counter against Kneser-Ney written down slowly, with dictionaries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.language_model import Ids
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK

SIZE = 9


def slow(texts: Sequence[Ids], order: int, history: list[int]) -> list[float]:
    """Interpolated modified Kneser-Ney by its definition: the distribution after a history that begins with BOS."""
    padded = [[PAD] * (order - 1) + [BOS, *map(int, text), EOS] for text in texts]
    pairs = [(tuple(p[i - order + 1 : i]), p[i]) for p in padded for i in range(order, len(p))]
    p = [0.0] * SIZE
    for id in [UNK, *range(EOS, SIZE)]:
        p[id] = 1 / (SIZE - 2)
    history = [PAD] * (order - 1) + history
    for k in range(order):
        if k == order - 1:
            counts = Counter(pairs)
        else:
            # After how many different characters did the pair stand?
            longer = {(c[len(c) - k - 1 :], f) for c, f in pairs}
            counts = Counter((c[1:], f) for c, f in longer)
        if k == 0:
            texts_with = Counter(c for text in texts for c in {*map(int, text)})
            counts[(), UNK] = max(1, sum(n == 1 for n in texts_with.values()) // 2)
        n = [0] + [sum(c == size for c in counts.values()) for size in (1, 2, 3, 4)]
        discounts = [0.0, 0.5, 0.75, 0.75]
        if all(n[1:]):
            y = n[1] / (n[1] + 2 * n[2])
            discounts = [0.0] + [min(max(c - (c + 1) * y * n[c + 1] / n[c], 0.05), c - 0.05) for c in (1, 2, 3)]
        followers: dict[tuple[int, ...], dict[int, int]] = defaultdict(dict)
        for (context, follower), count in counts.items():
            followers[context][follower] = count
        context = tuple(history[len(history) - k :]) if k else ()
        if context in followers:
            total = sum(followers[context].values())
            backoff = sum(discounts[min(c, 3)] for c in followers[context].values()) / total
            p = [backoff * q for q in p]
            for follower, count in followers[context].items():
                p[follower] += (count - discounts[min(count, 3)]) / total
    return p


TEXTS = st.lists(st.lists(st.integers(SPECIALS, SIZE - 1), max_size=12), min_size=1, max_size=8)


@given(TEXTS, st.integers(1, 4), st.lists(st.sampled_from([UNK, *range(SPECIALS, SIZE)]), max_size=6))
def test_equals_the_definition(texts: list[list[int]], order: int, history: list[int]) -> None:
    encoded = [np.array(text, np.int64) for text in texts]
    settings, artifacts = ngram_counting.fit(encoded, (), SIZE, ngram_model.NGramSettings(order=order))
    model = ngram_model.NGramModel(settings, artifacts.weights)
    ids = np.array([[BOS, *history]], np.int64)
    log_probabilities, _ = model.forward(ids, model.initial_state(1), last=1)
    assert np.exp(log_probabilities[0, 0]) == pytest.approx(slow(encoded, order, [BOS, *history]), abs=1e-6)


def test_the_order_is_chosen_on_validation() -> None:
    generator = np.random.default_rng(0)
    noise = [generator.integers(SPECIALS, SIZE, 40) for _ in range(30)]
    pattern = [np.tile(np.array([4, 4, 5, 4, 4, 6, 4, 4, 7]), 5) for _ in range(30)]
    free = ngram_model.NGramSettings()
    for_noise, _ = ngram_counting.fit(noise[:20], noise[20:], SIZE, free)
    for_pattern, _ = ngram_counting.fit(pattern[:20], pattern[20:], SIZE, free)
    assert for_noise.order == 1
    assert for_pattern.order is not None
    assert for_pattern.order >= 3


@pytest.mark.parametrize("name", ["offsets.1", "ids.1", "counts.1", "keys.1", "size"])
def test_inconsistent_counts_are_refused(name: str) -> None:
    settings, artifacts = ngram_counting.fit([np.array([4, 5, 6, 4])], (), SIZE, ngram_model.NGramSettings(order=2))
    weights = dict(artifacts.weights)
    weights[name] = weights[name][:-1] if name != "size" else np.array([5])
    with pytest.raises((ValueError, IndexError)):
        ngram_model.NGramModel(settings, weights)


@given(texts=st.lists(st.lists(st.integers(SPECIALS, SPECIALS + 3), max_size=12), min_size=1, max_size=8))
def test_counts_are_those_of_a_plain_count_however_many_are_sorted_at_once(texts: list[list[int]]) -> None:
    encoded = [np.array(text, np.int64) for text in texts]
    order = 4
    followed: list[Counter[tuple[tuple[int, ...], int]]] = [Counter() for _ in range(order)]
    for text in texts:
        line = [PAD] * (order - 1) + [BOS, *text, EOS]
        for at in range(order, len(line)):
            for k in range(order):
                followed[k][(tuple(line[at - k : at]), line[at])] += 1
    for max_sorted in (3, 1 << 24):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ngram_counting, "_MAX_SORTED", max_sorted)
            levels = ngram_counting._count(encoded, order)  # pyright: ignore[reportPrivateUsage]
        for k, level in enumerate(levels):
            assert (level.table.keys[1:] > level.table.keys[:-1]).all()
            widths = level.table.num_followers
            unknown = 1 if k == 0 else 0  # UNK is counted beside what was seen
            contexts: dict[tuple[int, ...], list[int]] = {}
            for (context, _), times in followed[k].items():
                contexts.setdefault(context, []).append(times)
            counted = sorted(
                sorted(level.table.counts[b : b + w].tolist())
                for b, w in zip(level.table.starts[:-1].tolist(), widths.tolist(), strict=True)
            )
            if not unknown:
                assert counted == sorted(sorted(times) for times in contexts.values())
                longer: Counter[tuple[tuple[int, ...], int]] = Counter()
                if k + 1 < order:
                    for context, follower in followed[k + 1]:
                        longer[(context[1:], follower)] += 1
                    assert sorted(level.preceded.tolist()) == sorted(longer.values())
            else:
                assert sum(widths.tolist()) == len(followed[0]) + 1
