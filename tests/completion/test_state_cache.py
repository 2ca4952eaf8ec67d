"""What was read is found again, never read twice while it is kept, and bounded."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.completion.completer import Completer
from kammil.completion.state_cache import CHARACTER, EVERY, NEAR, PackedArrays, StateCache, TrieNode
from kammil.decoding.options import Options
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State
from kammil.vocabulary import BOS

SIZE = 7


class Counting(LanguageModel):
    """Its state is all ids read; what follows depends on all of them. It counts what it reads."""

    def __init__(self) -> None:
        self.characters = self.calls = 0

    @property
    def vocabulary_size(self) -> int:
        return SIZE

    def initial_state(self, batch: int) -> State:
        return (np.zeros((batch, 0), np.int64),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        self.calls += 1
        self.characters += ids.shape[1]
        line = np.concatenate([state[0].astype(np.int64), ids], axis=1)
        scores = np.stack([(line.sum(1) + line.shape[1] * k) % 11 for k in range(SIZE)], axis=1)
        wanted = ids.shape[1] if last is None else last
        return scores[:, None].repeat(wanted, axis=1).astype(np.float32), (line,)


TEXTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=30), min_size=1, max_size=12)


@given(TEXTS, st.sampled_from([0.0, 0.0005, 0.002, 1.0]))
def test_it_is_as_if_all_were_read_anew(texts: list[list[int]], megabytes: float) -> None:
    prefixes = StateCache(Counting(), megabytes)
    for text in texts:
        ids = np.array(text)
        expected, (line,) = Counting().forward(ids[None], Counting().initial_state(1), last=1)
        log_probabilities, (state,) = prefixes.decoder(ids).result
        assert (log_probabilities == expected[:, 0]).all() and (state == line).all()
        assert prefixes.bytes <= megabytes * 1e6 or len(prefixes) == 1


@given(TEXTS)
def test_nothing_is_read_again_where_a_text_stopped(texts: list[list[int]]) -> None:
    runner = Counting()
    prefixes = StateCache(runner)
    stops: set[tuple[int, ...]] = set()
    for text in texts:
        known = max((n for n in range(len(text) + 1) if tuple(text[:n]) in stops), default=0)
        before = runner.characters
        prefixes.decoder(np.array(text))
        assert runner.characters - before <= len(text) - known
        stops.add(tuple(text))


@given(st.lists(st.one_of(st.integers(0, 0x10FFFF), st.integers(0xD800, 0xDFFF)), min_size=1, max_size=9))
def test_any_ids_come_back_from_the_tree(ids: list[int]) -> None:
    """They are kept as characters, some of which are halves of others."""
    prefixes = StateCache(Counting())
    assert prefixes.prefill(np.array(ids)).next_ids(len(ids)).tolist() == ids
    *before, last = ids
    if before:
        walk = prefixes.decoder(np.array(before))
        assert walk.step(np.array([last]), walk.result[1])[1][0].tolist() == [ids]


def test_typing_reads_one_character_at_a_time_and_deleting_none() -> None:
    runner = Counting()
    prefixes = StateCache(runner)
    text = np.arange(200) % 5
    for n in range(1, 201):
        prefixes.decoder(text[:n])
    assert runner.characters == 200
    for n in range(200, 0, -1):
        prefixes.decoder(text[:n])
    assert runner.characters == 200


def test_deleting_from_a_text_that_came_at_once_reads_a_piece_now_and_then() -> None:
    runner = Counting()
    prefixes = StateCache(runner)
    text = np.arange(300) % 5
    prefixes.decoder(text)
    assert runner.calls == 300 // EVERY + 1
    for n in range(299, 200, -1):
        before = runner.characters
        prefixes.decoder(text[:n])
        assert runner.characters - before <= EVERY + NEAR
    assert runner.characters - 300 <= 100 / NEAR * (EVERY + NEAR)


def test_what_was_used_longest_ago_goes_first_and_leaves_no_empty_nodes() -> None:
    runner = Counting()
    prefixes = StateCache(Counting())
    prefixes.decoder(np.array([0, 1, 1]))
    prefixes = StateCache(runner, 4 * prefixes.bytes / 1e6)  # four texts of three
    for first in range(5):
        prefixes.decoder(np.array([first, 1, 1]))
        prefixes.decoder(np.array([0, 1, 1]))
    assert runner.characters == 15  # the first one was always used again
    assert len(prefixes) == 4
    prefixes.decoder(np.array([1, 1, 1]))
    assert runner.characters == 18


def test_the_bound_is_on_the_tree_as_well() -> None:
    """Of a small state the characters that lead to it take more memory than the state."""
    prefixes = StateCache(Counting(), 0.1)
    generator = np.random.default_rng(1)
    tracemalloc.start()
    try:
        for _ in range(100):
            prefixes.decoder(generator.integers(0, SIZE, 640))
        assert tracemalloc.get_traced_memory()[0] <= 3e5
    finally:
        tracemalloc.stop()


def written(prefixes: StateCache, text: list[int], ids: list[int]) -> tuple[LogProbabilities, State]:
    """What a walk from a text says after these ids."""
    walk = prefixes.decoder(np.array(text))
    known = walk.result
    for id in ids:
        known = walk.step(np.array([id]), known[1])
    return known


@given(TEXTS, TEXTS, st.sampled_from([0.0, 0.0005, 0.1, 1.0]))
def test_to_write_is_as_if_all_were_read(texts: list[list[int]], more: list[list[int]], megabytes: float) -> None:
    prefixes = StateCache(Counting(), megabytes)
    for text, ids in zip(texts, more, strict=False):
        expected, (line,) = Counting().forward(np.array([text + ids]), Counting().initial_state(1), last=1)
        log_probabilities, (state,) = written(prefixes, text, ids)
        assert (log_probabilities == expected[:, 0]).all() and (state == line).all()
        assert prefixes.bytes <= megabytes * 1e6 or len(prefixes) == 1


@given(TEXTS, TEXTS, st.sampled_from([0.0, 0.01, 0.1, 1.0]))
def test_the_tree_has_stops_and_partings_and_nothing_else(
    texts: list[list[int]], more: list[list[int]], megabytes: float
) -> None:
    prefixes = StateCache(Counting(), megabytes)
    for text, ids in zip(texts, more, strict=False):
        written(prefixes, text, ids)
        nodes, stops, characters = [prefixes.root], 0, 0
        while nodes:
            node = nodes.pop()
            stops, characters = stops + (node.block is not None), characters + len(node.label)
            assert node is prefixes.root or node.block is not None or len(node.children) > 1
            for first, below in node.children.items():
                assert below.parent is node and below.label[0] == first
                nodes.append(below)
        assert stops == len(prefixes) >= 1
        assert CHARACTER * characters < prefixes.bytes


def test_who_types_on_as_was_written_waits_for_one_character() -> None:
    runner = Counting()
    prefixes = StateCache(runner)
    text, ids = [0, 1, 2], [0, 1, 2, 0, 0, 1, 2, 2]
    written(prefixes, text, ids[:5])
    for n in range(3):
        before = runner.characters
        written(prefixes, text + ids[:n], ids[n : n + 6])
        assert runner.characters == before + 1
    written(prefixes, text, [1])  # another way, and back
    before = runner.characters
    written(prefixes, text, ids)
    assert runner.characters == before


def test_large_states_are_not_kept_of_what_is_written() -> None:
    runner = Counting()
    prefixes = StateCache(runner, 0.1)
    written(prefixes, [0] * 3, [1] * 100)
    kept = len(prefixes)
    assert 1 < kept < 100  # those of up to some forty characters
    assert prefixes.bytes <= 1e5


def test_what_was_written_is_forgotten_when_the_model_learns() -> None:
    runner = Counting()
    prefixes = StateCache(runner)
    walk = prefixes.decoder(np.array([0, 1]))
    walk.step(np.array([1]), walk.result[1])
    runner.version += 1
    again = prefixes.decoder(np.array([0, 1]))
    before = runner.characters
    known = again.step(np.array([1]), again.result[1])
    runner.version += 1
    again.step(np.array([2]), known[1])  # on the way: it is written, and not kept
    prefixes.decoder(np.array([0, 1]))
    assert runner.characters == before + 4
    assert len(prefixes) == 1


@pytest.mark.parametrize("filled", [True, False])
def test_what_is_forgotten_leaves_memory_also_where_it_was_frozen(filled: bool) -> None:
    runner = Counting()
    prefixes = StateCache(runner)
    texts = [np.arange(begin, begin + 50) % 5 for begin in range(5)]
    for text in texts if filled else []:
        prefixes.decoder(text)
    gc.collect()
    gc.freeze()  # as a server does when it has opened a model
    try:
        for text in texts:
            prefixes.decoder(text)
        runner.version += 1
        prefixes.decoder(np.array([0]))
    finally:
        gc.unfreeze()
    # Not collected: what is left is what reference counting did not free.
    assert sum(type(one) is TrieNode and one.label[:2] in {"\0\1", "\1\2"} for one in gc.get_objects()) == 0


@given(st.integers(0, 200), st.integers(1, 300))
def test_stops_do_not_depend_on_the_pieces_that_are_read(known: int, length: int) -> None:
    """A server reads many texts in pieces of common sizes."""
    trees = [StateCache(Counting()) for _ in range(2)]
    text = np.arange(known + length) % 5
    for prefixes in trees:
        if known:
            prefixes.decoder(text[:known])
    trees[0].decoder(text)
    reading = trees[1].prefill(text)
    while due := reading.remaining:
        size = 1 << (due.bit_length() - 1)
        _, (line,) = Counting().forward(reading.next_ids(size)[None], reading.state, last=1)
        reading.advance(size, np.zeros((1, SIZE), np.float32), (line,))
    assert list(stops(trees[0].root)) == list(stops(trees[1].root))


def stops(node: TrieNode, depth: int = 0) -> Iterator[int]:
    """How many characters lead to each state, shortest first where texts do not part."""
    if node.block is not None:
        yield depth
    for below in node.children.values():
        yield from stops(below, depth + len(below.label))


@pytest.fixture(scope="module", params=["ngram", "blend", "transformer"])
def model(request: pytest.FixtureRequest, folder_of: Callable[[str], Path]) -> Completer:
    return kammil.load(folder_of(str(request.param)))


def test_a_session_says_what_a_model_says_that_never_read_anything(model: Completer) -> None:
    session = model.session()
    text = "شو رأيك نطلع عالبحر"
    for typed in [*(text[:n] for n in range(len(text))), text, text[:7], text[:7] + "!", "", "كيفك", text + " بكرا"]:
        session.update(typed)
        assert session.text == typed
        fresh = model.with_own_cache()
        several: list[Options] = [{"length": 8}, {"length": 8, "temperature": 0.0}, {"length": 8, "seed": 3}]
        for options in several:
            ours, theirs = session.complete(**options), fresh.complete(typed, **options)
            assert ours.text == theirs.text
            assert ours.bits == pytest.approx(theirs.bits, abs=1e-3)
    assert [c.text for c in session.samples(3, length=5)] == [c.text for c in model.samples(session.text, 3, length=5)]
    assert "".join(session.stream(length=5)) == session.complete(length=5).text


def test_what_may_follow_a_text(model: Completer) -> None:
    log_probabilities, state = model.after("شو ")
    ids = np.concatenate([[BOS], model.vocabulary.encode("شو ")])[None]
    expected, _ = model.language_model.forward(ids, model.language_model.initial_state(1), last=1)
    assert log_probabilities == pytest.approx(expected[:, 0], abs=1e-5)
    assert all(len(array) == 1 for array in state)


def test_what_one_types_another_does_not_see(model: Completer) -> None:
    one, other = model.session(), model.session()
    one.update("شو")
    other.update("كيف")
    assert (one.text, other.text) == ("شو", "كيف")
    assert one.complete(length=4, temperature=0).text == model.complete("شو", length=4, temperature=0).text


def test_a_continuation_that_came_true_is_found(model: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    session = model.session()
    session.update("شو ")
    first = session.complete(length=8, temperature=0).text
    read = 0
    runner = type(model.language_model)
    reads = runner.forward

    def counting(
        self: LanguageModel, ids: Ids, state: State, *, last: int | None = None
    ) -> tuple[LogProbabilities, State]:
        nonlocal read
        read += ids.size
        return reads(self, ids, state, last=last)

    monkeypatch.setattr(runner, "forward", counting)
    session.update("شو " + first[:3])
    assert session.complete(length=8, temperature=0).text[: len(first) - 3] == first[3:]
    assert read == 3
    options: dict[str, Any] = {"length": 8, "top_k": 50, "seed": 1}  # what is drawn is not kept
    session.complete(**options)
    before = read
    session.complete(**options)
    assert read == before + before - 3 > before


def test_where_there_is_no_room_for_a_state_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_arrays: object) -> PackedArrays:
        raise MemoryError

    prefixes = StateCache(Counting())
    prefixes.decoder(np.array([0, 1, 2]))
    monkeypatch.setattr(PackedArrays, "of", full)
    for text in ([0, 1, 1], [1], [0]):
        with pytest.raises(MemoryError):
            prefixes.decoder(np.array(text))
    (only,) = prefixes.root.children.values()
    assert only.label == "\x00\x01\x02" and not only.children
    monkeypatch.undo()
    assert prefixes.decoder(np.array([0, 1, 1])).result[1][0].tolist() == [[0, 1, 1]]
