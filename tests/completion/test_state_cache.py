"""The cache gives what a model gives, within its bound, and packs arrays as they were."""

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
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import kammil
from kammil.completion.completer import Completer
from kammil.completion.state_cache import CHARACTER_BYTES, NEAR_END, STRIDE, StateCache, TrieNode, pack, unpack
from kammil.decoding.options import Options
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State
from kammil.vocabulary import BOS

SIZE = 7


class CountingModel(LanguageModel):
    """Its state is all ids read; what follows depends on all of them. It counts what it reads."""

    def __init__(self) -> None:
        self.characters = self.calls = 0

    vocabulary_size = SIZE

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
    state_cache = StateCache(CountingModel(), megabytes)
    for text in texts:
        ids = np.array(text)
        expected, (line,) = CountingModel().forward(ids[None], CountingModel().initial_state(1), last=1)
        log_probabilities, (state,) = state_cache.decoder(ids).result
        assert (log_probabilities == expected[:, 0]).all() and (state == line).all()
        assert state_cache.bytes <= megabytes * 1e6 or len(state_cache) == 1


@given(TEXTS)
def test_nothing_is_read_again_where_a_text_stopped(texts: list[list[int]]) -> None:
    model = CountingModel()
    state_cache = StateCache(model)
    stops: set[tuple[int, ...]] = set()
    for text in texts:
        cached = max((n for n in range(len(text) + 1) if tuple(text[:n]) in stops), default=0)
        before = model.characters
        state_cache.decoder(np.array(text))
        assert model.characters - before <= len(text) - cached
        stops.add(tuple(text))


@given(st.lists(st.one_of(st.integers(0, 0x10FFFF), st.integers(0xD800, 0xDFFF)), min_size=1, max_size=9))
def test_any_ids_come_back_from_the_tree(ids: list[int]) -> None:
    """They are kept as characters, some of which are halves of others."""
    state_cache = StateCache(CountingModel())
    assert state_cache.prefill(np.array(ids)).next_ids(len(ids)).tolist() == ids
    *before, last = ids
    if before:
        decoder = state_cache.decoder(np.array(before))
        assert decoder.step(np.array([last]), decoder.result[1])[1][0].tolist() == [ids]


def test_typing_reads_one_character_at_a_time_and_deleting_none() -> None:
    model = CountingModel()
    state_cache = StateCache(model)
    text = np.arange(200) % 5
    for n in range(1, 201):
        state_cache.decoder(text[:n])
    assert model.characters == 200
    for n in range(200, 0, -1):
        state_cache.decoder(text[:n])
    assert model.characters == 200


def test_deleting_from_a_text_that_came_at_once_reads_a_piece_now_and_then() -> None:
    model = CountingModel()
    state_cache = StateCache(model)
    text = np.arange(300) % 5
    state_cache.decoder(text)
    assert model.calls == 300 // STRIDE + 1
    for n in range(299, 200, -1):
        before = model.characters
        state_cache.decoder(text[:n])
        assert model.characters - before <= STRIDE + NEAR_END
    assert model.characters - 300 <= 100 / NEAR_END * (STRIDE + NEAR_END)


def test_what_was_used_longest_ago_goes_first_and_leaves_no_empty_nodes() -> None:
    model = CountingModel()
    state_cache = StateCache(CountingModel())
    state_cache.decoder(np.array([0, 1, 1]))
    state_cache = StateCache(model, 4 * state_cache.bytes / 1e6)  # four texts of three
    for first in range(5):
        state_cache.decoder(np.array([first, 1, 1]))
        state_cache.decoder(np.array([0, 1, 1]))
    assert model.characters == 15  # the first one was always used again
    assert len(state_cache) == 4
    state_cache.decoder(np.array([1, 1, 1]))
    assert model.characters == 18


def test_the_bound_is_on_the_tree_as_well() -> None:
    """Of a small state the characters that lead to it take more memory than the state."""
    state_cache = StateCache(CountingModel(), 0.1)
    generator = np.random.default_rng(1)
    tracemalloc.start()
    try:
        for _ in range(100):
            state_cache.decoder(generator.integers(0, SIZE, 640))
        assert tracemalloc.get_traced_memory()[0] <= 3e5
    finally:
        tracemalloc.stop()


def written(state_cache: StateCache, text: list[int], ids: list[int]) -> tuple[LogProbabilities, State]:
    """What a walk from a text says after these ids."""
    decoder = state_cache.decoder(np.array(text))
    result = decoder.result
    for id in ids:
        result = decoder.step(np.array([id]), result[1])
    return result


@given(TEXTS, TEXTS, st.sampled_from([0.0, 0.0005, 0.1, 1.0]))
def test_to_write_is_as_if_all_were_read(texts: list[list[int]], more: list[list[int]], megabytes: float) -> None:
    state_cache = StateCache(CountingModel(), megabytes)
    for text, ids in zip(texts, more, strict=False):
        expected, (line,) = CountingModel().forward(np.array([text + ids]), CountingModel().initial_state(1), last=1)
        log_probabilities, (state,) = written(state_cache, text, ids)
        assert (log_probabilities == expected[:, 0]).all() and (state == line).all()
        assert state_cache.bytes <= megabytes * 1e6 or len(state_cache) == 1


@given(TEXTS, TEXTS, st.sampled_from([0.0, 0.01, 0.1, 1.0]))
def test_the_tree_has_stops_and_partings_and_nothing_else(
    texts: list[list[int]], more: list[list[int]], megabytes: float
) -> None:
    state_cache = StateCache(CountingModel(), megabytes)
    for text, ids in zip(texts, more, strict=False):
        written(state_cache, text, ids)
        nodes, stops, characters = [state_cache.root], 0, 0
        while nodes:
            node = nodes.pop()
            stops, characters = stops + (node.block is not None), characters + len(node.label)
            assert node is state_cache.root or node.block is not None or len(node.children) > 1
            for first, below in node.children.items():
                assert below.parent is node and below.label[0] == first
                nodes.append(below)
        assert stops == len(state_cache) >= 1
        assert CHARACTER_BYTES * characters < state_cache.bytes


def test_who_types_on_as_was_written_waits_for_one_character() -> None:
    model = CountingModel()
    state_cache = StateCache(model)
    text, ids = [0, 1, 2], [0, 1, 2, 0, 0, 1, 2, 2]
    written(state_cache, text, ids[:5])
    for n in range(3):
        before = model.characters
        written(state_cache, text + ids[:n], ids[n : n + 6])
        assert model.characters == before + 1
    written(state_cache, text, [1])  # another way, and back
    before = model.characters
    written(state_cache, text, ids)
    assert model.characters == before


def test_large_states_are_not_kept_of_what_is_written() -> None:
    model = CountingModel()
    state_cache = StateCache(model, 0.1)
    written(state_cache, [0] * 3, [1] * 100)
    kept = len(state_cache)
    assert 1 < kept < 100  # those of up to some forty characters
    assert state_cache.bytes <= 1e5


def test_what_was_written_is_forgotten_when_the_model_learns() -> None:
    model = CountingModel()
    state_cache = StateCache(model)
    decoder = state_cache.decoder(np.array([0, 1]))
    decoder.step(np.array([1]), decoder.result[1])
    model.version += 1
    again = state_cache.decoder(np.array([0, 1]))
    before = model.characters
    result = again.step(np.array([1]), again.result[1])
    model.version += 1
    again.step(np.array([2]), result[1])  # on the way: it is written, and not kept
    state_cache.decoder(np.array([0, 1]))
    assert model.characters == before + 4
    assert len(state_cache) == 1


def test_a_step_after_learning_is_not_that_of_before() -> None:
    """On the way from a text, on which more was written before."""
    model = CountingModel()
    state_cache = StateCache(model)
    written(state_cache, [0, 1], [1, 2])
    decoder = state_cache.decoder(np.array([0, 1]))
    model.version += 1
    before, stops = model.characters, len(state_cache)
    result = decoder.result
    for n, id in enumerate((1, 2), 1):
        result = decoder.step(np.array([id]), result[1])
        assert (model.characters, len(state_cache)) == (before + n, stops)


def test_a_question_is_answered_once_while_its_text_is_kept() -> None:
    model, asked = CountingModel(), list[str]()
    state_cache = StateCache(model)

    def answer(text: list[int], question: str) -> str:
        decoder = state_cache.decoder(np.array(text))
        return decoder.once(question, lambda result: (asked.append(question), f"{question}{result[0].sum()}")[1])

    first = answer([0, 1, 2], "a")
    assert answer([0, 1, 2], "a") == first and asked == ["a"]
    assert answer([0, 1], "a") != first and asked == ["a", "a"]  # of a beginning
    answer([0, 1, 2, 0, 1], "a")
    assert answer([0, 1, 2], "a") == first and len(asked) == 3  # what is behind it leaves it
    assert answer([0, 1, 2], "b") != first and len(asked) == 4
    model.version += 1
    answer([0, 1, 2], "b")
    assert len(asked) == 5
    state_cache.clear()
    answer([0, 1, 2], "b")
    assert len(asked) == 6
    small = StateCache(model, 0.0)  # keeps the state of the last text alone, and where others part
    for text in ([0, 1], [0, 1, 2], [0, 1, 1], [0, 1]):
        small.decoder(np.array(text)).once("c", lambda _: asked.append("c"))
    assert asked[6:] == ["c"] * 4


@pytest.mark.parametrize("filled", [True, False])
def test_what_is_forgotten_leaves_memory_also_where_it_was_frozen(filled: bool) -> None:
    model = CountingModel()
    state_cache = StateCache(model)
    texts = [np.arange(begin, begin + 50) % 5 for begin in range(5)]
    for text in texts if filled else []:
        state_cache.decoder(text)
    gc.collect()
    gc.freeze()  # as a server does when it has opened a model
    try:
        for text in texts:
            state_cache.decoder(text)
        model.version += 1
        state_cache.decoder(np.array([0]))
    finally:
        gc.unfreeze()
    # Not collected: what is left is what reference counting did not free.
    assert sum(type(thing) is TrieNode and thing.label[:2] in {"\0\1", "\1\2"} for thing in gc.get_objects()) == 0


@given(st.integers(0, 200), st.integers(1, 300))
def test_stops_do_not_depend_on_the_pieces_that_are_read(prefix_length: int, length: int) -> None:
    """A server reads many texts in pieces of common sizes."""
    caches = [StateCache(CountingModel()) for _ in range(2)]
    text = np.arange(prefix_length + length) % 5
    for state_cache in caches:
        if prefix_length:
            state_cache.decoder(text[:prefix_length])
    caches[0].decoder(text)
    prefill = caches[1].prefill(text)
    while remaining := prefill.remaining:
        size = 1 << (remaining.bit_length() - 1)
        _, (line,) = CountingModel().forward(prefill.next_ids(size)[None], prefill.state, last=1)
        prefill.advance(size, np.zeros((1, SIZE), np.float32), (line,))
    assert list(stops(caches[0].root)) == list(stops(caches[1].root))


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
            completion, expected = session.complete(**options), fresh.complete(typed, **options)
            assert completion.text == expected.text
            assert completion.bits == pytest.approx(expected.bits, abs=1e-3)
    assert [c.text for c in session.samples(3, length=5)] == [c.text for c in model.samples(session.text, 3, length=5)]
    assert "".join(session.stream(length=5)) == session.complete(length=5).text


def test_what_may_follow_a_text(model: Completer) -> None:
    log_probabilities, state = model.after("شو ")
    ids = np.concatenate([[BOS], model.vocabulary.encode("شو ")])[None]
    expected, _ = model.language_model.forward(ids, model.language_model.initial_state(1), last=1)
    assert log_probabilities == pytest.approx(expected[:, 0], abs=1e-5)
    assert all(len(array) == 1 for array in state)


def test_what_one_types_another_does_not_see(model: Completer) -> None:
    first, second = model.session(), model.session()
    first.update("شو")
    second.update("كيف")
    assert (first.text, second.text) == ("شو", "كيف")
    assert first.complete(length=4, temperature=0).text == model.complete("شو", length=4, temperature=0).text


def test_a_continuation_that_came_true_is_found(model: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    session = model.session()
    session.update("شو ")
    first = session.complete(length=8, temperature=0).text
    num_read = 0
    family = type(model.language_model)
    forward = family.forward

    def counting(
        self: LanguageModel, ids: Ids, state: State, *, last: int | None = None
    ) -> tuple[LogProbabilities, State]:
        nonlocal num_read
        num_read += ids.size
        return forward(self, ids, state, last=last)

    monkeypatch.setattr(family, "forward", counting)
    session.update("شو " + first[:3])
    assert session.complete(length=8, temperature=0).text[: len(first) - 3] == first[3:]
    assert num_read == 3
    options: dict[str, Any] = {"length": 8, "top_k": 50, "seed": 1}  # what is drawn is not kept
    session.complete(**options)
    before = num_read
    session.complete(**options)
    assert num_read == before + before - 3 > before


def test_where_there_is_no_room_for_a_state_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_arrays: object) -> None:
        raise MemoryError

    state_cache = StateCache(CountingModel())
    state_cache.decoder(np.array([0, 1, 2]))
    monkeypatch.setattr("kammil.completion.state_cache.pack", full)
    for text in ([0, 1, 1], [1], [0]):
        with pytest.raises(MemoryError):
            state_cache.decoder(np.array(text))
    (only,) = state_cache.root.children.values()
    assert only.label == "\x00\x01\x02" and not only.children
    monkeypatch.undo()
    assert state_cache.decoder(np.array([0, 1, 1])).result[1][0].tolist() == [[0, 1, 1]]


@given(
    st.lists(
        arrays(
            st.sampled_from([np.uint8, np.float16, np.float32, np.int64, np.uint64]),
            st.tuples(st.just(1), st.integers(0, 5), st.integers(0, 5)),
        ),
        max_size=5,
    )
)
def test_what_is_packed_comes_back_as_it_was(contiguous: list[NDArray[np.generic]]) -> None:
    originals = [array.swapaxes(1, 2) for array in contiguous]  # not in the order of memory
    for array, copy in zip(originals, unpack(pack(originals)), strict=True):
        assert array.dtype == copy.dtype and array.shape == copy.shape and array.tobytes() == copy.tobytes()
        assert copy.flags.aligned and not copy.flags.writeable
