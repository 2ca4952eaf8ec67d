"""The native engine: `kernel.c` computes what `reference` computes, several times as fast.

Shapes: B batch, T time, V vocabulary, M networks, H hidden, G a gate's width, D tables, K context types, C context
types of the text cache, E = D * K + C experts, P positions, N outputs of a matrix.
"""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Callable, Sequence
from copy import copy
from functools import cache
from itertools import accumulate, chain
from operator import attrgetter
from struct import Struct
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kammil.engine import layout
from kammil.engine.layout import (
    COLUMN_BLOCK,
    CONTEXT_OF_WORDS,
    INPUT_GROUP,
    LOG_TABLE_SIZE,
    MESSAGE_HEADER,
    QUERY_HEADER,
)
from kammil.engine.weights import STATE_MAX, BlendWeights, GRUWeights, fold_absent_feature, input_gates, quantize_rows
from kammil.language_model import Ids, LogProbabilities, State
from kammil.ngrams.adaptive import LEVELS, SHARED, START, AdaptiveCounts, SortedCounts
from kammil.ngrams.contexts import WORD_CONTEXTS, WORD_STATE
from kammil.ngrams.features import WINDOW, Floats
from kammil.ngrams.index import CountIndex
from kammil.vocabulary import EOS

log = logging.getLogger("kammil.engine")

_NO_MEMORY, _UNKNOWN_STATES = -1, -3
_INT64, _UINT64, _FLOAT32, _UINT32 = (np.dtype(kind) for kind in (np.int64, np.uint64, np.float32, np.uint32))
_REQUEST_DTYPES = tuple(map(np.dtype, layout.Request.dtypes.values()))
_HEADER, _QUERY = Struct(f"{MESSAGE_HEADER}q"), Struct(f"4q2d{QUERY_HEADER - 6}q")
_nbytes = attrgetter("nbytes")


def suits(index: CountIndex) -> bool:
    """Return whether tables fit 16 bits; older ones may not, with one warning."""
    wide = [array for array in (index.pruned, index.ids, index.counts) if array.dtype != np.uint16]
    if wide:
        _warn(max(int(array.max(initial=0)) for array in wide))
    return not wide


@cache
def _warn(number: int) -> None:
    log.warning(
        "kammil: this model's tables of counts hold the number %d, and the compiled engine holds none above 65535, so "
        "it runs in NumPy, several times as slowly; train the model again to have its counts fit.",
        number,
    )


class WordArrays(NamedTuple):
    """The part of each id in a word, as a search reads it."""

    fold_begins: NDArray[np.int32]
    """(V + 1,): where the folded letters of an id begin."""
    folds: NDArray[np.int32]
    """Numbers of letters."""
    kinds: NDArray[np.uint8]
    """Bits of each letter: `LETTER`, `LONG_VOWEL`."""
    close: NDArray[np.float32]
    """(V,): 1 for ids that end a word."""
    classes: NDArray[np.uint8]
    """(V,): `BEGINS` and so on, and `CAREFUL` in a query."""


class WordQuery(NamedTuple):
    """A search for words from N roots; see `WordQuery` of `kernel.c`."""

    k: int
    width: int
    max_characters: int
    threshold: float
    min_foreign: float
    arrays: WordArrays
    refusals: tuple[int, int, int]
    """Addresses of what is refused and blocked, and the number of states; zeros for nothing."""
    weights: Sequence[float]
    states: Sequence[int]
    stems: Sequence[Sequence[int]]
    """Ids that each root has in place of what was typed, and those that were typed."""
    p: Floats
    """(N, V): of what follows each."""
    allowed: NDArray[np.bool_]
    """(N, V): ids that may come first."""
    learn_states: Callable[[Sequence[Sequence[int]]], bool]
    """Makes known which states follow states and ids; returns False where there is no room."""


SearchedWord = tuple[int, list[int], float, float]
"""Root, ids behind it, probabilities of the word and of its best spelling."""


class NativeEngine:
    """Computes what `ReferenceEngine` computes, for a blend or a GRU alone.

    Args:
        code: as `build.load_native` opens it.
        layers: M networks of one size, with `output`, (H, V + G), to logits and gates.
        bias: (V + M * G,), for all networks together.
        size: V.
        blend: experts and gate; `suits` must be true of its index.
    """

    def __init__(
        self,
        code: ctypes.CDLL,
        layers: Sequence[GRUWeights],
        bias: Floats,
        size: int,
        blend: BlendWeights | None = None,
    ) -> None:
        self._code, self._adaptive = code, blend.adaptive if blend else None
        self._origin: NativeEngine | None = None
        self._size, self._width = size, sum(len(layer.recurrent) for layer in layers)
        self._experts = blend.gate.experts if blend else 0
        self._arrays: list[NDArray[Any]] = []
        of_blend = self._of_blend(bias, size, blend) if blend else {"bias": self._pointer(bias, np.float32)}
        networks = [
            layout.GRUWeights(
                self._matrix(layer.recurrent),
                self._matrix(layer.output),
                *map(self._pointer, input_gates(layer), layout.GRUWeights.dtypes.values()),
            )
            for layer in layers
        ]
        self._networks = (layout.GRUWeights * len(networks))(*networks)
        self._model = layout.Model(
            vocabulary=size,
            networks=len(layers),
            hidden=len(layers[0].recurrent),
            gate=(len(bias) - size) // len(layers),
            gru=self._networks,
            **of_blend,
        )
        self._cache_types, self._max_order = self._model.cache_types, self._model.max_order
        self._address = ctypes.addressof(self._model)
        # not at exit, where threads may be in a call
        weakref.finalize(self, code.kammil_free, ctypes.byref(self._model)).atexit = False

    def _of_blend(self, bias: Floats, size: int, blend: BlendWeights) -> dict[str, int]:
        contexts, gate, table = blend.contexts, blend.gate, blend.index
        bias, feature_weights = fold_absent_feature(bias, gate, size)
        arrays = {
            "bias": bias,
            "feature_weights": feature_weights,
            "score_weights": gate.score_weights.T,
            "score_bias": gate.bias,
            "log_table": np.log1p(10 * np.arange(LOG_TABLE_SIZE)),
            "id_hashes": contexts.numbers,
            "salts": contexts.salts,
            "context_spec": [order or CONTEXT_OF_WORDS[name] for name, order in contexts.spec],
            "in_word": contexts.in_word,
            "cache_columns": blend.columns,
            "layer_columns": [*blend.adaptive.layer],
            "layer_weights": [*blend.adaptive.layer.values()],
            "trust": (START, SHARED),
            "bucket_shifts": table.shifts,
            "bucket_offsets": table.firsts,
            "bucket_begins": table.buckets,
            "table_keys": table.keys,
            "follower_begins": table.starts,
            "pruned": table.pruned,
            "follower_ids": table.ids,
            "follower_counts": table.counts,
            "large_positions": table.large_positions,
            "large_counts": table.large_counts,
        }
        pointers = {name: self._pointer(array, layout.Model.dtypes[name]) for name, array in arrays.items()}
        return pointers | {
            "tables": table.table_experts // table.context_types,
            "context_types": table.context_types,
            "hashed_types": len(contexts.context_types),
            "cache_types": len(blend.columns),
            "max_order": contexts.longest,
            "bucket_size": table.bucket_size,
            "large_size": len(table.large_positions),
            "uses_words": any(name in WORD_CONTEXTS for name in contexts.context_types),
            "layer_types": len(blend.adaptive.layer),
        }

    @staticmethod
    def initial_state(batch: int) -> State:
        """Return the empty rest of a GRU's state."""
        empty, trust = np.zeros((batch, 0), np.int64), np.zeros((batch, 0), np.float32)
        return empty, np.zeros((batch, WORD_STATE), np.uint64), np.zeros((batch, 0, 0), np.uint32), empty, trust

    def expert_scores(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """Return the networks' logits and what each expert adds, (P, 2 + E, V), the writer's layer last, and
        the state."""
        expert_scores = np.zeros((ids.size, 2 + self._experts, self._size), np.float32)
        _, after = self.forward(ids, state, ids.shape[1], expert_scores)
        return expert_scores, after

    def sample(
        self, state: State, chances: NDArray[np.float64], temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """Sample up to n ids, until an end of text; see `BulkSampler.sample`."""
        n, length = len(chances), state[4].shape[1]
        if refused.shape != (self._size,):
            raise ValueError(f"refused has the shape {refused.shape}, where {(self._size,)} is expected")
        adaptive = self._adaptive_counts  # held until the call returns
        message = self._message(np.empty((1, 0), np.int64), state, 1, adaptive)
        uniforms, forbidden = np.ascontiguousarray(chances, np.float64), np.ascontiguousarray(refused < 0)
        ids, log_probs = np.empty(n, np.int64), np.empty(n, np.float32)
        trusts = self._trusts(adaptive)
        after = np.empty(self._state_bytes(min(length + n, WINDOW), trusts), np.uint8)
        results = (_address(array) for array in (after, ids, log_probs))
        count = _checked(
            self._code.kammil_sample(
                self._address, message, n, _address(uniforms), temperature, _address(forbidden), EOS, *results
            )
        )
        return ids[:count], log_probs[:count], self._state(after, 1, min(length + count, WINDOW), trusts)

    def search(self, state: State, query: WordQuery) -> tuple[list[SearchedWord], int, bool] | None:
        """Search words from the states of roots; return them, most probable first, the number of steps, and whether
        they are proven; None where their refusals are too many."""
        if len(state) == 1:  # of a GRU alone
            state = (*state, *self.initial_state(len(state[0])))
        n, row = len(query.weights), 2 + query.max_characters
        adaptive = self._adaptive_counts  # held until the call returns
        message = self._message(np.empty((n, 0), np.int64), state, 0, adaptive)
        numbers = n, query.k, query.width, query.max_characters, query.threshold, query.min_foreign
        addresses = *map(_address, query.arrays[:4]), *query.refusals
        begins = accumulate(map(len, query.stems), initial=0)
        whole = [*query.states, *begins, *chain.from_iterable(query.stems)]
        parts = np.array(query.weights), np.array(whole, np.int64), query.p, query.arrays.classes, query.allowed
        packed: list[Any] = [_QUERY.pack(*numbers, *addresses), *map(np.ascontiguousarray, parts)]
        words, probabilities = np.empty((query.k, row), np.int64), np.empty((query.k, 2))
        stats, unknown = np.empty(2, np.int64), np.empty((query.width, 2), np.int64)
        asked = self._address, message, b"".join(packed)
        memory = np.zeros(self._code.kammil_search_bytes(*asked), np.uint8)
        results = [*map(_address, (memory, unknown, words, probabilities, stats))]
        # A function that C calls could not raise, not even for Ctrl-C: so C returns to ask, and is called again.
        while (count := self._code.kammil_search(*asked, *results)) == _UNKNOWN_STATES:
            if not query.learn_states(unknown[: stats[0]].tolist()):
                return None
        found = zip(words[: _checked(count)].tolist(), probabilities.tolist(), strict=False)
        steps, proven = stats.tolist()
        return [(ids[0], ids[2 : 2 + ids[1]], p, best) for ids, (p, best) in found], steps, bool(proven)

    def forward(
        self, ids: Ids, state: State, last: int, expert_scores: Floats | None = None
    ) -> tuple[LogProbabilities, State]:
        """Return log-probabilities (B, last, V) at the last positions of ids (B, T), and the state; fill
        `expert_scores`, if any."""
        batch, time = ids.shape
        if not 0 <= last <= time:
            raise ValueError(f"last is {last}, but {time} ids are read")
        adaptive = self._adaptive_counts  # held until the call returns
        trusts = self._trusts(adaptive)
        positions = time if trusts else last
        message = self._message(ids, state, positions, adaptive)
        length = min(state[4].shape[1] + time, WINDOW)
        after = np.empty(batch * self._state_bytes(length, trusts), np.uint8)
        log_probs = np.empty((batch, positions, self._size), np.float32)
        scores = _address(expert_scores) if expert_scores is not None else None
        _checked(self._code.kammil_forward(self._address, message, _address(after), _address(log_probs), scores))
        return log_probs[:, positions - last :], self._state(after, batch, length, trusts)

    def fork(self, adaptive: AdaptiveCounts) -> Self:
        """Return an engine with other adaptive counts."""
        forked = copy(self)
        forked._adaptive = adaptive
        forked._origin = self  # its scratch memory is freed with the first engine
        return forked

    @property
    def _adaptive_counts(self) -> tuple[SortedCounts, ...]:
        """Held while C reads it: learning replaces the arrays."""
        return self._adaptive.levels if self._adaptive is not None else (SortedCounts(),) * LEVELS

    def _trusts(self, adaptive: Sequence[SortedCounts]) -> int:
        """Return how many numbers of trust a state has: 0 where the writer's layer is empty."""
        return 1 + self._size if self._model.layer_types and any(len(counts.pairs) for counts in adaptive) else 0

    def _message(self, ids: Ids, state: State, last: int, adaptive: Sequence[SortedCounts]) -> bytes:
        """Pack bytes for `parse_request` of `kernel.c`: NumPy takes a microsecond for each address."""
        batch, time = ids.shape
        hidden, recent_ids, word_state, cached_keys, cached_ids, trust = state
        length, trusts = cached_ids.shape[1], trust.shape[1]
        addresses = (number for counts in adaptive for number in counts.addresses)
        message: list[Any] = [_HEADER.pack(batch, time, last, length, trusts, *addresses)]
        arrays = ids, recent_ids, word_state, cached_ids, hidden, cached_keys, trust
        message += map(np.ascontiguousarray, arrays, _REQUEST_DTYPES)
        size = batch * (8 * time + self._state_bytes(length, trusts))
        if sum(map(_nbytes, message[1:])) != size or trusts not in (0, 1 + self._size):
            raise ValueError("a state of another model")
        return b"".join(message)

    def _state(self, memory: NDArray[np.uint8], batch: int, length: int, trusts: int) -> State:
        """Take apart what `state_at` of `kernel.c` laid out."""
        recent_ids = np.ndarray((batch, self._max_order), _INT64, memory)
        word_state = np.ndarray((batch, WORD_STATE), _UINT64, memory, at := 8 * batch * self._max_order)
        cached_ids = np.ndarray((batch, length), _INT64, memory, at := at + 8 * batch * WORD_STATE)
        hidden = np.ndarray((batch, self._width), _FLOAT32, memory, at := at + 8 * batch * length)
        at += 4 * batch * self._width
        cached_keys = np.ndarray((batch, length, self._cache_types), _UINT32, memory, at)
        trust = np.ndarray((batch, trusts), _FLOAT32, memory, at + 4 * batch * length * self._cache_types)
        return hidden, recent_ids, word_state, cached_keys, cached_ids, trust

    def _state_bytes(self, length: int, trusts: int) -> int:
        return 8 * (self._max_order + WORD_STATE + length) + 4 * (self._width + length * self._cache_types + trusts)

    def _matrix(self, weights: Floats) -> layout.QuantizedMatrix:
        """Quantize weights (inputs, N) by output, in blocks padded with zeros."""
        quantized, scales = quantize_rows(weights.T)  # (N, inputs), (N,)
        blocks = (COLUMN_BLOCK, INPUT_GROUP)
        outputs, inputs = (-(-size // block) * block for size, block in zip(quantized.shape, blocks, strict=True))
        padded = np.zeros((outputs, inputs), np.int8)
        padded[: quantized.shape[0], : quantized.shape[1]] = quantized
        product_scales = np.zeros(outputs, np.float32)
        product_scales[: len(scales)] = scales / np.float32(STATE_MAX)
        blocked = padded.reshape(outputs // COLUMN_BLOCK, COLUMN_BLOCK, inputs // INPUT_GROUP, INPUT_GROUP)
        zero_offsets = padded.sum(axis=1, dtype=np.int32) * np.int32(STATE_MAX + 1)
        arrays = blocked.swapaxes(1, 2), product_scales, zero_offsets
        return layout.QuantizedMatrix(
            *map(self._pointer, arrays, layout.QuantizedMatrix.dtypes.values()), inputs, outputs
        )

    def _pointer(self, values: ArrayLike, kind: DTypeLike) -> int:
        """The array lives as long as the engine."""
        array = np.ascontiguousarray(values, kind)
        self._arrays.append(array)
        return array.ctypes.data


def _address(array: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(array)) if array.size else 0


def _checked(result: int) -> int:
    if result < 0:
        raise MemoryError if result == _NO_MEMORY else IndexError("an unknown id or state")
    return result
