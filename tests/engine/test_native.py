"""The native engine computes what the reference engine does, in every build, and samples what its steps lead to."""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests import needs

from kammil.engine import build as engine_build
from kammil.engine.layout import COLUMN_BLOCK, INPUT_GROUP, QuantizedMatrix
from kammil.engine.weights import STATE_MAX, WEIGHT_MAX
from kammil.language_model import Ids, LogProbabilities, State, concat_states, select_rows
from kammil.models.blend import model as blend_model
from kammil.models.blend import model as blend_settings
from kammil.models.blend.experts import NgramExperts
from kammil.models.blend.model import BlendModel, BlendSettings, Kind
from kammil.models.blend.network import BlendNetwork, export
from kammil.ngrams import adaptive as learning
from kammil.ngrams.compression import pack, unpack
from kammil.ngrams.count_table import CountTable
from kammil.ngrams.features import WINDOW
from kammil.vocabulary import BOS, EOS, PAD, CharacterVocabulary

LIBRARY = engine_build.load_native()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason=needs.COMPILER)

TEXTS = ["شو رأيك نطلع بكرا عالبحر؟", "شو رأيك نطلع بكرا عالجبل", "كيفك اليوم يا صديقي", "كيف الجو عندكن اليوم؟"]
VOCABULARY = CharacterVocabulary.from_texts(TEXTS)
ALL: tuple[Kind, ...] = ("o1", "o2", "o3", "o5", "o12", "w", "w1", "w2", "w1s")
MADE = [
    BlendSettings(embedding=8, hidden=16, networks=2, gate=8, kinds=ALL, history=("o2", "w")),
    BlendSettings(embedding=3, hidden=9, networks=1, gate=3, kinds=("o2", "o1"), history=()),
    BlendSettings(embedding=4, hidden=70, networks=3, gate=17, kinds=("w1s", "w"), history=("w", "w1s")),
]
"""Every kind of context; sizes that fill no register; three networks, and no context of a fixed length."""


@cache
def weights(number: int, background: bool = True) -> dict[str, np.ndarray]:
    """Of a blend that was not trained; its gate is, by chance, of strong opinions."""
    chosen = MADE[number]
    encoded = [VOCABULARY.encode(text) for text in TEXTS]
    made = NgramExperts(
        encoded,
        encoded[:1],
        kin=list(range(len(TEXTS))),
        background=encoded[2:3] * 2 if background else [],
        vocabulary=VOCABULARY,
        settings=chosen,
    )
    torch.manual_seed(number)
    networks = [BlendNetwork(VOCABULARY.size, made.count, chosen) for _ in range(chosen.networks)]
    for member in networks:
        torch.nn.init.normal_(member.gate_out.weight, std=0.3)
        torch.nn.init.normal_(member.output.weight, std=0.5)
    return {**export(networks).weights, **made.arrays()}


def opened(number: int, code: ctypes.CDLL | None, background: bool = True) -> BlendModel:
    return made(number, weights(number, background), code)


def made(number: int, arrays: dict[str, np.ndarray], code: ctypes.CDLL | None) -> BlendModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend_model, "load_native", lambda: code)
        return BlendModel(MADE[number], arrays)


def codes() -> list[ctypes.CDLL]:
    """All that this machine can run."""
    assert LIBRARY is not None
    paths = [engine_build.build_path(level) for level in range(LIBRARY.kammil_best_level() + 1)]
    return [engine_build.open_build(path) for path in paths if path.is_file()]


def tied(hidden: NDArray[np.generic]) -> bool:
    return bool((np.abs(np.abs(hidden.astype(np.float64)) * STATE_MAX % 1 - 0.5) < 1e-3).any())


def same(one: State, other: State, *, near: float) -> None:
    for ours, theirs in zip(one, other, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        assert ours.astype(np.float64) == pytest.approx(theirs.astype(np.float64), abs=near)


@pytest.mark.parametrize("number", range(len(MADE)))
@pytest.mark.parametrize("background", [True, False])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_it_says_what_the_portable_engine_says(number: int, background: bool, data: st.DataObject) -> None:
    """From every state along some texts, one call on: what is rounded on the way may be rounded the other way, and
    would lead away from each other step by step."""
    batch, time = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 12))
    ids = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, VOCABULARY.size, (batch, time))
    learnt = data.draw(st.lists(st.sampled_from([*TEXTS, "شو هالحكي", "يا"]), max_size=3))
    many = data.draw(st.booleans())
    for code in codes():
        ours = opened(number, code, background)
        theirs = opened(number, None, background)
        encoded = [VOCABULARY.encode(text) for text in learnt]
        long_way, short_way = (ours, theirs) if data.draw(st.booleans()) else (theirs, ours)
        with pytest.MonkeyPatch.context() as patch:
            if many:  # some in either level, and some in one that went in the other
                patch.setattr(learning, "_MAX_RECENT_PAIRS", 20)
                long_way.learn_all([*encoded, *encoded, VOCABULARY.encode("شو")])
            for text in encoded:
                long_way.learn(text)
            if many:
                patch.undo()
                long_way.learn(VOCABULARY.encode("يا"))
                long_way.forget(VOCABULARY.encode("شو"))
        short_way.learn_all([*encoded * 3, VOCABULARY.encode("يا")] if many else encoded)  # what is left, at once
        state = theirs.initial_state(batch)
        for t in range(time):
            log_probs, after = ours.forward(ids[:, t : t + 1], state)
            expected, later = theirs.forward(ids[:, t : t + 1], state)
            # A number in the middle between two whole ones becomes one here and the other there.
            near = 0.1 if any(tied(hidden[0]) for hidden in (state, after, later)) else 2e-4
            assert log_probs == pytest.approx(expected, abs=near)
            same(after, later, near=near)
            parts, _ = ours.expert_scores(ids[:, t : t + 1], state)
            wanted, state = theirs.expert_scores(ids[:, t : t + 1], state)
            assert parts == pytest.approx(wanted, abs=near)


BUILDS = pytest.mark.parametrize("code", codes() if LIBRARY else [])


@BUILDS
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 64), (72, 128), (1024, 64)])
@pytest.mark.parametrize("extreme", [True, False])
def test_products_are_exact(inputs: int, outputs: int, extreme: bool, code: ctypes.CDLL) -> None:
    """Up to the largest sums, in every number of rows that are multiplied together."""
    rng = np.random.default_rng(inputs)
    weights = rng.integers(-WEIGHT_MAX, WEIGHT_MAX + 1, (outputs, inputs), np.int8)
    x_q = rng.integers(1, 256, (4, inputs), np.uint8)
    if extreme:
        weights[:] = np.where(np.arange(outputs) % 2, WEIGHT_MAX, -WEIGHT_MAX)[:, None]
        x_q[:] = np.array([1, 128, 254, 255])[:, None]
    blocks = outputs // COLUMN_BLOCK, COLUMN_BLOCK, inputs // INPUT_GROUP, INPUT_GROUP
    stored = np.ascontiguousarray(weights.reshape(blocks).swapaxes(1, 2))
    zero_offsets = 128 * weights.sum(axis=1, dtype=np.int32)
    matrix = QuantizedMatrix(stored.ctypes.data, 0, zero_offsets.ctypes.data, inputs, outputs)
    for n in range(1, 5):
        sums = np.full((n, outputs), -1, np.int32)
        code.kammil_matmul(ctypes.addressof(matrix), x_q.ctypes.data, n, sums.ctypes.data)
        assert (sums == x_q[:n].astype(np.int64) @ weights.T.astype(np.int64)).all()


@BUILDS
@pytest.mark.parametrize("number", range(len(MADE)))
@pytest.mark.parametrize("learnt", [0, 3])
def test_a_text_is_the_same_alone_and_among_others_at_once_and_step_by_step(
    number: int, learnt: int, code: ctypes.CDLL
) -> None:
    runner = opened(number, code)
    runner.learn_all([VOCABULARY.encode(text) for text in TEXTS[:learnt]])
    ids = np.random.default_rng(0).integers(0, VOCABULARY.size, (7, 50))
    together, end = runner.forward(ids, runner.initial_state(7))
    tail, _ = runner.forward(ids, runner.initial_state(7), last=3)
    assert (tail == together[:, -3:]).all()
    states = runner.initial_state(7)
    for t in range(50):
        log_probs, states = runner.step(ids[:, t], states)
        assert (log_probs == together[:, t]).all()
    for one, other in zip(states, end, strict=True):
        assert (one == other).all()
    for row in range(7):
        alone, _ = runner.forward(ids[row : row + 1], runner.initial_state(1))
        assert (alone[0] == together[row]).all()
    chosen = concat_states([select_rows(end, np.array([5])), select_rows(end, np.array([2]))])
    log_probs, _ = runner.step(np.array([7, 8]), chosen)
    assert (log_probs[1] == runner.step(np.array([8]), select_rows(end, np.array([2])))[0][0]).all()


@pytest.mark.parametrize("number", range(len(MADE)))
def test_all_processors_compute_the_same_bits(number: int) -> None:
    ids = np.random.default_rng(3).integers(0, VOCABULARY.size, (2, 300))
    runners = [opened(number, code) for code in codes()]
    for runner in runners:
        runner.learn_all([VOCABULARY.encode(text) for text in TEXTS])
    first, *others = [runner.forward(ids, runner.initial_state(2)) for runner in runners]
    for log_probs, after in others:
        for one, other in zip((log_probs, *after), (first[0], *first[1]), strict=True):
            assert one.tobytes() == other.tobytes()


@BUILDS
@pytest.mark.parametrize("number", range(len(MADE)))
@pytest.mark.parametrize("before", [1, 40, WINDOW - 3, WINDOW + 5])
@pytest.mark.parametrize("learnt", [0, 3])
def test_what_is_drawn_is_what_steps_lead_to(number: int, before: int, learnt: int, code: ctypes.CDLL) -> None:
    runner = opened(number, code)
    runner.learn_all([VOCABULARY.encode(text) for text in TEXTS[:learnt]])
    ids = np.random.default_rng(1).integers(4, VOCABULARY.size, (1, before))
    log_probs, state = runner.forward(ids, runner.initial_state(1), last=1)
    refused = np.zeros(VOCABULARY.size)
    refused[[0, 2, 9]] = -np.inf
    chances = np.random.default_rng(2).random(12)
    for temperature in (0.0, 0.4, 1.0):
        drawn, paid, after = runner.sample(state, chances, temperature=temperature, refused=refused)
        row, now = log_probs[:, 0], state
        assert 1 <= len(drawn) <= 12
        for id, cost, chance in zip(drawn.tolist(), paid.tolist(), chances.tolist(), strict=False):
            weighed = row[0].astype(np.float64) + refused
            if temperature:
                cumulative = np.exp(weighed / temperature).cumsum()
                assert id == int(np.searchsorted(cumulative, chance * cumulative[-1], side="right"))
            else:
                assert id == int(weighed.argmax())
            assert cost == row[0, id]
            row, now = runner.step(np.array([id]), now)
        assert len(drawn) == 12 or drawn[-1] == EOS
        for one, other in zip(after, now, strict=True):
            assert (one == other).all()


@BUILDS
def test_threads_do_not_disturb_each_other(code: ctypes.CDLL) -> None:
    """One call at a time uses the scratch memory that a model keeps; the others allocate their own."""
    runner = opened(0, code)
    ids = np.random.default_rng(3).integers(0, VOCABULARY.size, (8, 3, 60))

    def read(some: Ids) -> LogProbabilities:
        return runner.forward(some, runner.initial_state(3))[0]

    alone = [read(some) for some in ids]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            together = pool.map(read, ids)
            assert all((one == other).all() for one, other in zip(alone, together, strict=True))


def test_it_draws_by_itself_but_for_the_most_probable() -> None:
    assert LIBRARY is not None
    runner = opened(0, LIBRARY)
    assert runner.can_sample(0.5) and not runner.can_sample(0)
    assert not opened(0, None).can_sample(0.5)


class Between:
    """Code in whose calls something else happens first, as another thread would do it."""

    def __init__(self, code: ctypes.CDLL, act: Callable[[], None]) -> None:
        self.code, self.act = code, act

    def __getattr__(self, name: str) -> object:
        real = getattr(self.code, name)

        def call(*given: object) -> object:
            self.act()
            return real(*given)

        return call if name in ("kammil_forward", "kammil_sample") else real


@BUILDS
def test_what_is_read_stays_though_more_is_learnt_meanwhile(code: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = opened(0, code)
    runner.learn(VOCABULARY.encode(TEXTS[0]))
    ids, chances, refused = np.array([[5, 6, 7]]), np.full(3, 0.5), np.zeros(VOCABULARY.size)
    log_probs, state = runner.forward(ids, runner.initial_state(1))
    drawn = runner.sample(state, chances, temperature=1.0, refused=refused)[0]
    held: list[bool] = []

    def teach() -> None:
        learnt: Any = runner._adaptive  # pyright: ignore[reportPrivateUsage]
        before = [weakref.ref(level.pairs) for level in learnt.levels if len(level.pairs)]
        for text in TEXTS:
            runner.learn(VOCABULARY.encode(text))
        held.append(bool(before) and all(pairs() is not None for pairs in before))
        assert all(runner.forget(VOCABULARY.encode(text)) for text in TEXTS)

    engine: Any = runner.engine
    monkeypatch.setattr(engine, "_code", Between(code, teach))
    assert (runner.forward(ids, runner.initial_state(1))[0] == log_probs).all()
    assert (runner.sample(state, chances, temperature=1.0, refused=refused)[0] == drawn).all()
    assert held == [True, True]


@pytest.mark.parametrize("id", [-1, VOCABULARY.size, 1 << 40])
def test_an_id_that_there_is_not_is_refused(id: int) -> None:
    runner = opened(0, LIBRARY)
    _, state = runner.forward(np.array([[5, 6]]), runner.initial_state(1))
    with pytest.raises(IndexError):
        runner.forward(np.array([[5, id]]), state)
    hidden, recent, words, marks, line, trust = state
    wrong = np.full_like(recent, id)
    with pytest.raises(IndexError):
        runner.forward(np.array([[5]]), (hidden, wrong, words, marks, line, trust))
    with pytest.raises(IndexError):
        runner.sample(
            (hidden, recent, words, marks, np.full_like(line, id), trust),
            np.ones(3),
            temperature=1,
            refused=np.zeros(VOCABULARY.size),
        )


def test_a_state_of_another_model_is_refused() -> None:
    runner, other = opened(0, LIBRARY), opened(1, LIBRARY)
    with pytest.raises(ValueError, match="another model"):
        runner.forward(np.array([[5]]), other.initial_state(1))
    with pytest.raises(ValueError, match="another model"):
        runner.forward(np.array([[5]]), runner.initial_state(2))
    with pytest.raises(ValueError, match="another model"):
        runner.forward(np.array([[5]]), (*runner.initial_state(1)[:-1], np.zeros((1, 3), np.float32)))


@pytest.mark.parametrize("code", [LIBRARY, None])
def test_a_state_outlives_what_is_learnt_and_forgotten_meanwhile(code: ctypes.CDLL | None) -> None:
    """As if the layer had foretold what was read until then as well as the blend; nothing learnt costs nothing."""
    runner, text = opened(0, code), VOCABULARY.encode(TEXTS[0])
    start, ids = runner.initial_state(2), np.array([[5, 6], [7, 8]])
    plain, before = runner.forward(ids, start)
    runner.learn(text)
    expected, learnt = runner.forward(ids, start)
    assert [state[-1].shape[1] for state in (before, learnt)] == [0, 1 + VOCABULARY.size]
    one, other = runner.pad_states([before, learnt])
    for row in (one[-1], runner.forward(ids[:, :1], start)[1][-1][:, :0]):
        assert (runner.forward(ids, (*start[:-1], row))[0] == expected).all()
    assert concat_states([one, other])[-1].shape == (4, 1 + VOCABULARY.size)
    runner.forget(text)
    log_probs, after = runner.forward(ids, (*start[:-1], learnt[-1]))
    assert (log_probs == plain).all() and after[-1].shape[1] == 0


def test_what_is_asked_for_must_be_there() -> None:
    runner = opened(0, LIBRARY)
    _, state = runner.forward(np.array([[5, 6]]), runner.initial_state(1))
    for last in (-1, 2):
        with pytest.raises(ValueError, match="last is"):
            runner.engine.forward(np.array([[5]]), state, last)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(ValueError, match="refused has the shape"):
        runner.sample(state, np.ones(2), temperature=1, refused=np.zeros(3))
    single: NDArray[Any] = np.full(3, 0.3, np.float32)
    one, other = (
        runner.sample(state, chances, temperature=1, refused=np.zeros(VOCABULARY.size))[0]
        for chances in (single, single.astype(np.float64))
    )
    assert one.tolist() == other.tolist()


def test_before_anything_was_read_nothing_can_be_drawn() -> None:
    runner = opened(0, LIBRARY)
    with pytest.raises(IndexError):
        runner.sample(runner.initial_state(1), np.ones(2), temperature=1, refused=np.zeros(VOCABULARY.size))


def agree(ours: BlendModel, theirs: BlendModel, text: str) -> list[LogProbabilities]:
    """Compare both along a text, from the state of either; return the log-probabilities."""
    state, along = theirs.initial_state(1), list[LogProbabilities]()
    for id in [BOS, *VOCABULARY.encode(text).tolist()]:
        log_probs, after = ours.step(np.array([id]), state)
        expected, later = theirs.step(np.array([id]), state)
        near = 0.1 if any(tied(hidden[0]) for hidden in (state, after, later)) else 1e-3
        assert log_probs == pytest.approx(expected, abs=near)
        along.append(expected)
        state = later
    return along


@BUILDS
def test_counts_beyond_16_bits_are_what_they_are(code: ctypes.CDLL) -> None:
    """Every second count is looked up apart; along texts that were counted all of them are read."""
    table = unpack(weights(0), blend_settings.OWN)
    many = np.arange(len(table.counts))
    larger = np.where(many % 2, 1 << 17, 1) * (1 + many)
    arrays = weights(0) | pack(
        CountTable(table.keys, table.num_followers, table.pruned, table.ids, larger), blend_settings.OWN
    )
    ours, theirs = (made(0, arrays, code) for code in (code, None))
    assert ours.can_sample(1)
    for text in TEXTS:
        plain = agree(opened(0, code), opened(0, None), text)
        moved = [np.abs(a - b).max() for a, b in zip(agree(ours, theirs, text), plain, strict=True)]
        assert min(moved) > 0.01


@BUILDS
@pytest.mark.parametrize("lost", [1, 300])
def test_occurrences_whose_followers_were_not_kept_count(lost: int, code: ctypes.CDLL) -> None:
    table = unpack(weights(0), blend_settings.OWN)
    lacking = np.full(table.pruned.shape, lost)
    arrays = weights(0) | pack(
        CountTable(table.keys, table.num_followers, lacking, table.ids, table.counts), blend_settings.OWN
    )
    ours, theirs = (made(0, arrays, code) for code in (code, None))
    assert ours.can_sample(1)
    for text in TEXTS:
        plain = agree(opened(0, code), opened(0, None), text)
        moved = [np.abs(a - b).max() for a, b in zip(agree(ours, theirs, text), plain, strict=True)]
        assert min(moved) > 0.01


def test_a_number_lost_beyond_16_bits_is_left_to_the_portable_engine(caplog: pytest.LogCaptureFixture) -> None:
    table = unpack(weights(0), blend_settings.OWN)
    lost = table.pruned.astype(np.int64)
    lost[0] = 1 << 20
    arrays = weights(0) | pack(
        CountTable(table.keys, table.num_followers, lost, table.ids, table.counts), blend_settings.OWN
    )
    assert made(0, arrays, LIBRARY).can_sample(1) is False
    assert made(0, arrays, LIBRARY).can_sample(1) is False
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == bool(LIBRARY) and all("number 1048576," in each and "NumPy" in each for each in told)


def from_this_text(runner: BlendModel, ids: list[int], state: State) -> set[int]:
    """Which ids those experts expect that look into the text itself, after the last of these."""
    *_, added = runner.expert_scores(np.array([ids]), state)[0][0]  # (1 + E, V)
    own = [i for i, name in enumerate(runner.experts) if name.startswith("this text")]
    return set(np.flatnonzero(added[own].any(axis=0)).tolist())


@pytest.mark.parametrize("code", [*codes(), None] if LIBRARY else [None])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_text_is_looked_back_at_as_far_as_the_window(at_once: bool, code: ctypes.CDLL | None) -> None:
    runner = opened(0, code)
    for between, wanted in ((WINDOW - 3, {7}), (WINDOW - 2, set[int]())):
        ids = [5, 6, 7, *[8] * between, 5, 6]
        state = runner.initial_state(1)
        if at_once:
            assert from_this_text(runner, ids, state) == wanted
        else:
            _, state = runner.forward(np.array([ids[:-1]]), state)
            assert from_this_text(runner, ids[-1:], state) == wanted


@pytest.mark.parametrize("code", [*codes(), None] if LIBRARY else [None])
def test_after_padding_nothing_is_known_of_the_text(code: ctypes.CDLL | None) -> None:
    runner = opened(0, code)
    start = runner.initial_state(1)
    assert from_this_text(runner, [5, 6, 7, 5, 6], start) == {7}
    assert from_this_text(runner, [5, PAD, 7, 5, PAD], start) == set()
    assert from_this_text(runner, [PAD, PAD, 7, PAD, PAD], start) == set()
    _, (hidden, recent, words, marks, line, trust) = runner.forward(np.array([[5, 6, 7, 5]]), start)
    assert from_this_text(runner, [6], (hidden, recent, words, marks, line, trust)) == {7}
    padded = np.where(line == 6, PAD, line)  # as what stands in front of a shorter text, whatever its marks
    assert from_this_text(runner, [6], (hidden, recent, words, marks, padded, trust)) == set()
    _, (hidden, recent, words, marks, line, trust) = runner.forward(np.array([[5, PAD, 7, 5]]), start)
    shown = np.where(line == PAD, 6, line)  # the same context again, as if the first had been none of padding
    assert from_this_text(runner, [PAD], (hidden, recent, words, marks, shown, trust)) == set()


def test_shares_far_below_one_are_told_apart() -> None:
    """A sharp temperature leaves the best alone, whatever the chance."""
    runner = opened(0, LIBRARY)
    log_probs, state = runner.forward(np.array([[5]]), runner.initial_state(1))
    for chance in (0.0, 0.5, math.nextafter(1, 0)):
        drawn, _, _ = runner.sample(state, np.array([chance]), temperature=1e-9, refused=np.zeros(VOCABULARY.size))
        assert drawn[0] == log_probs[0, 0].argmax()


def test_a_small_folder_asks_for_no_large_memory() -> None:
    for twice in ({"kinds": ("o1", "o2", "o1")}, {"history": ("o1", "o1")}):
        with pytest.raises(ValueError, match="o1 stands there twice"):
            BlendSettings.model_validate(twice)
    wide = MADE[0].model_copy(update={"networks": 16, "hidden": 8192, "gate": 4096})
    with pytest.raises(ValueError, match="more than any blend of ours"):
        BlendModel(wide, weights(0))
