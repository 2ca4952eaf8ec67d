"""What a blend says, or a GRU alone, by compiled code: `kernel.c`, of which `build` finds the best build.

It says what `reference` says, several times as fast; where there is no build that can run, that one does the work.

Shapes: B batch, T time, V vocabulary, M networks, H hidden, G a gate's width, D tables, K kinds of context, C kinds
looked up in the text itself, E = D * K + C experts, P positions, N columns of a matrix.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from operator import attrgetter
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kammil.engine.quantization import quantize_rows
from kammil.engine.weights import STATE_MAX, BlendWeights, GRUWeights, fold_absent_feature, input_gates
from kammil.language_model import Ids, LogProbabilities, State
from kammil.ngrams.adaptive import LEVELS, SortedCounts
from kammil.ngrams.contexts import WORD_KINDS
from kammil.ngrams.features import Floats
from kammil.ngrams.index import CountIndex
from kammil.ngrams.text_cache import WINDOW
from kammil.vocabulary import EOS

_COLUMNS, _INNER, _COMMON = 64, 4, 256
"""What `kernel.c` takes together of a matrix; and the counts whose logarithms it finds in a table."""
_ALIGNED = 64
_NO_MEMORY = -1
_INT, _WORD, _FLOAT, _MARK = (np.dtype(kind) for kind in (np.int64, np.uint64, np.float32, np.uint32))
_CALL = Struct(f"{4 + 3 * LEVELS}q")
_nbytes = attrgetter("nbytes")


class _Matrix(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("weights", "scales", "offsets")] + [
        (name, ctypes.c_int64) for name in ("inner", "columns")
    ]


class _Network(ctypes.Structure):
    _fields_ = [
        ("recurrent", _Matrix),
        ("outward", _Matrix),
        ("gates", ctypes.c_void_p),
        ("new", ctypes.c_void_p),
    ]


_SIZES = (
    "vocabulary", "networks", "hidden", "gate", "tables", "kinds", "columns", "longest", "window", "larger", "words",
    "calls",
)  # fmt: skip
_ARRAYS = (
    "bias", "heard", "trust", "trust_bias", "logs", "believed", "numbers", "salts", "recipe", "in_word", "column",
    "shifts", "firsts", "index", "keys", "starts", "lost", "ids", "counts", "larger_at", "larger_count",
)  # fmt: skip


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in _SIZES),
        ("network", ctypes.POINTER(_Network)),
        *((name, ctypes.c_void_p) for name in (*_ARRAYS, "spare", "spare_ids", "spare_counts", "spare_own")),
        *((name, ctypes.c_int64) for name in ("spare_bytes", "spare_followers", "taken")),
    ]


def suits(ledger: CountIndex) -> bool:
    """Whether the numbers of the tables are of the types that the code knows; rarely one takes more than 16 bits."""
    table = ledger.arrays
    return table.pruned.dtype == table.ids.dtype == table.counts.dtype == np.uint16


class NativeEngine:
    """Reads ids, as `Portable` does; or a GRU alone, whose experts are none.

    Args:
        code: a build, as `build.library` opens it.
        layers: M networks of one size, whose `outward` is of the scores and of what their gates hear, (H, V + G).
        bias: (V + M * G,): of these, the networks taken together.
        size: V.
        panel: the experts, whose ledger it must suit.
    """

    def __init__(
        self,
        code: ctypes.CDLL,
        layers: Sequence[GRUWeights],
        bias: Floats,
        size: int,
        panel: BlendWeights | None = None,
    ) -> None:
        """Lay the weights out."""
        self._code, self._learnt = code, panel.adaptive if panel else None
        self._size, self._width = size, sum(len(layer.recurrent) for layer in layers)
        self._columns = len(panel.columns) if panel else 0
        self._kinds, self._longest = (len(panel.contexts.kinds), panel.contexts.longest) if panel else (0, 0)
        self._experts = panel.gate.experts if panel else 0
        self._kept: list[NDArray[Any]] = []
        arrays = self._of(bias, size, panel) if panel else {"bias": self._at(bias, np.float32)}
        wide = (len(bias) - size) // len(layers)
        networks = [
            _Network(
                self._matrix(layer.recurrent),
                self._matrix(layer.output),
                *(self._at(part, np.float16) for part in input_gates(layer)),
            )
            for layer in layers
        ]
        self._networks = (_Network * len(networks))(*networks)
        self._model = _Model(
            vocabulary=size,
            networks=len(layers),
            hidden=len(layers[0].recurrent),
            gate=wide,
            tables=panel.index.table_experts // self._kinds if panel else 0,
            kinds=self._kinds,
            columns=self._columns,
            longest=self._longest,
            window=panel.index.arrays.window if panel else 0,
            larger=len(panel.index.arrays.larger[0]) if panel else 0,
            words=panel is not None and any(name in WORD_KINDS for name in panel.contexts.kinds),
            network=self._networks,
            **arrays,
        )
        self._address = ctypes.addressof(self._model)
        weakref.finalize(self, _close, code, self._model).atexit = False  # a thread may be at work to the end

    def _of(self, bias: Floats, size: int, panel: BlendWeights) -> dict[str, int]:
        """Where all stands that the experts need."""
        contexts, gate, table = panel.contexts, panel.gate, panel.index.arrays
        bias, heard = fold_absent_feature(bias, gate, size)
        arrays = {
            "bias": (bias, np.float32),
            "heard": (heard, np.float32),
            "trust": (gate.trust.T, np.float32),
            "trust_bias": (gate.bias, np.float32),
            "logs": (np.log1p(10 * np.arange(_COMMON)), np.float32),
            "believed": (panel.adaptive.believed, np.float32),
            "numbers": (contexts.numbers, np.uint64),
            "salts": (contexts.salts, np.uint64),
            "recipe": ([n or -1 - WORD_KINDS.index(name) for name, n in contexts.spec], np.int64),
            "in_word": (contexts.in_word, np.uint8),
            "column": (panel.columns, np.int64),
            "shifts": (table.shifts, np.uint32),
            "firsts": (table.firsts, np.uint32),
            "index": (table.index, np.uint32),
            "keys": (table.keys, np.uint32),
            "starts": (table.starts, np.uint32),
            "lost": (table.pruned, np.uint16),
            "ids": (table.ids, np.uint16),
            "counts": (table.counts, np.uint16),
            "larger_at": (table.larger[0], np.int64),
            "larger_count": (table.larger[1], np.int64),
        }
        return {name: self._at(*array) for name, array in arrays.items()}

    @staticmethod
    def forgetful(batch: int) -> State:
        """What stands behind the hidden states of a GRU alone, which remembers nothing else."""
        nothing = np.zeros((batch, 0), np.int64)
        return nothing, np.zeros((batch, 4), np.uint64), np.zeros((batch, 0, 0), np.uint32), nothing

    def read(self, ids: Ids, state: State, last: int) -> tuple[LogProbabilities, State]:
        """Log-probabilities (B, last, V) at the last positions of ids (B, T), and the state after them."""
        return self._read(ids, state, last, None)

    def contributions(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """What the networks say, and what each expert adds to it, (P, 1 + E, V), and the state after ids (B, T)."""
        parts = np.zeros((ids.size, 1 + self._experts, self._size), np.float32)
        _, after = self._read(ids, state, ids.shape[1], parts)
        return parts, after

    def draw(
        self, state: State, chances: NDArray[np.float64], temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """As `Drawing.draw`; stops after an end of text."""
        n, length = len(chances), state[-1].shape[1]
        if refused.shape != (self._size,):
            raise ValueError(f"refused has the shape {refused.shape}, where {(self._size,)} is expected")
        levels = self._levels
        message = self._message(np.empty((1, 0), np.int64), state, 1, levels)
        chances, barred = np.ascontiguousarray(chances, np.float64), np.ascontiguousarray(refused < 0)
        ids, paid = np.empty(n, np.int64), np.empty(n, np.float32)
        made = np.empty(self._bytes(min(length + n, WINDOW)), np.uint8)
        places = (_address(array) for array in (made, ids, paid))
        count = _checked(
            self._code.kammil_draw(
                self._address, message, n, _address(chances), temperature, _address(barred), EOS, *places
            )
        )
        return ids[:count], paid[:count], self._state(made, 1, min(length + count, WINDOW))

    def _read(self, ids: Ids, state: State, last: int, parts: Floats | None) -> tuple[LogProbabilities, State]:
        batch, time = ids.shape
        if not 0 <= last <= time:
            raise ValueError(f"last is {last}, but {time} ids are read")
        levels = self._levels
        message = self._message(ids, state, last, levels)
        rest = min(state[-1].shape[1] + time, WINDOW)
        made = np.empty(batch * self._bytes(rest), np.uint8)
        shares = np.empty((batch, last, self._size), np.float32)
        into = _address(parts) if parts is not None else None
        _checked(self._code.kammil_read(self._address, message, _address(made), _address(shares), into))
        return shares, self._state(made, batch, rest)

    @property
    def _levels(self) -> tuple[SortedCounts, ...]:
        """What was learnt; whoever asks holds it until the code has read it, since the next text makes others."""
        return self._learnt.levels if self._learnt else (SortedCounts(),) * LEVELS

    def _message(self, ids: Ids, state: State, last: int, levels: Sequence[SortedCounts]) -> bytes:
        """What the code is asked, one after the other; as one piece of memory it needs one address, and to ask NumPy
        for one takes a microsecond."""
        batch, time = ids.shape
        hidden, recent, words, marks, line = state
        length = line.shape[1]
        where = (n for level in levels for n in level.addresses)
        message: list[Any] = [_CALL.pack(batch, time, last, length, *where)]
        for array, kind in (
            (ids, _INT),
            (recent, _INT),
            (words, _WORD),
            (line, _INT),
            (hidden, _FLOAT),
            (marks, _MARK),
        ):
            message.append(np.ascontiguousarray(array, kind))
        if sum(map(_nbytes, message[1:])) != batch * (8 * time + self._bytes(length)):
            raise ValueError("a state of another model")
        return b"".join(message)

    def _state(self, made: NDArray[np.uint8], batch: int, rest: int) -> State:
        """What the code wrote, as arrays."""
        recent = np.ndarray((batch, self._longest), _INT, made)
        words = np.ndarray((batch, 4), _WORD, made, at := 8 * batch * self._longest)
        line = np.ndarray((batch, rest), _INT, made, at := at + 32 * batch)
        hidden = np.ndarray((batch, self._width), _FLOAT, made, at := at + 8 * batch * rest)
        marks = np.ndarray((batch, rest, self._columns), _MARK, made, at + 4 * batch * self._width)
        return hidden, recent, words, marks, line

    def _bytes(self, length: int) -> int:
        """Of the state of one text that remembers so many ids."""
        return 8 * (self._longest + 4 + length) + 4 * (self._width + length * self._columns)

    def _matrix(self, weights: Floats) -> _Matrix:
        """Weights (inner, N) in whole numbers, by columns, padded with zeros."""
        whole, scales = quantize_rows(weights.T)  # (N, inner), (N,)
        columns, inner = (-(-size // many) * many for size, many in zip(whole.shape, (_COLUMNS, _INNER), strict=True))
        padded = np.zeros((columns, inner), np.int8)
        padded[: whole.shape[0], : whole.shape[1]] = whole
        worth = np.zeros(columns, np.float32)
        worth[: len(scales)] = scales / np.float32(STATE_MAX)
        blocks = padded.reshape(columns // _COLUMNS, _COLUMNS, inner // _INNER, _INNER).swapaxes(1, 2)
        offsets = padded.sum(axis=1, dtype=np.int32) * np.int32(STATE_MAX + 1)
        arrays = (blocks, np.int8), (worth, np.float32), (offsets, np.int32)
        return _Matrix(*(self._at(*array) for array in arrays), inner, columns)

    def _at(self, values: ArrayLike, kind: DTypeLike) -> int:
        """Where the values stand, which stay there."""
        array = np.ascontiguousarray(values, kind)
        if array.dtype == np.float32 and array.ctypes.data % _ALIGNED:  # sums are made in an order that depends on it
            room = np.empty(array.nbytes + _ALIGNED, np.uint8)
            begin = -room.ctypes.data % _ALIGNED
            aligned = room[begin : begin + array.nbytes].view(array.dtype)
            aligned[:] = array.reshape(-1)
            array = aligned
        self._kept.append(array)
        return array.ctypes.data


def _close(code: ctypes.CDLL, model: _Model) -> None:
    code.kammil_close(ctypes.byref(model))


def _address(array: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(array)) if array.size else 0


def _checked(result: int) -> int:
    if result < 0:
        raise MemoryError if result == _NO_MEMORY else IndexError("an id that is not in the vocabulary")
    return result
