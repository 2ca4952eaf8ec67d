"""The running side of every neural family: its exported step on ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from kammil.errors import FolderError
from kammil.language_model import Artifacts, Ids, LogProbabilities, SavedModel, State

if TYPE_CHECKING:
    import onnxruntime as ort

IDS, LAST, LOG_PROBABILITIES = "ids", "last", "log_probabilities"
STATE_IN, STATE_OUT = "state_{}", "next_state_{}"
"""Names in the graph: ids (B, T) int64, last (1,) int64, state_0 (B, ...), ... -> log_probabilities (B, last, V),
next_state_0, ... Numbers are float32."""

GROWING = "S"
"""Name of the one dimension of a state that may be open: how many ids it remembers. None at the start; a call adds at
most as many as it reads, and a graph that has enough drops the oldest."""

_WHOLE, _NUMBER = "tensor(int64)", "tensor(float)"
LARGEST_STATE = 1 << 24
"""Numbers that one row may carry at most: a foreign graph must not fill the memory."""
_PIECE = 512
"""Ids read in one call by a graph that remembers them: where each looks at each, 4096 at once would take 64 times the
memory of 512."""


@lru_cache(1)
def _failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises for a graph that it cannot load or run."""
    return (
        *(  # its own, a dozen that have no common base; their module has no types for a checker
            error
            for error in vars(import_module("onnxruntime.capi.onnxruntime_pybind11_state")).values()
            if isinstance(error, type) and issubclass(error, Exception)
        ),
        ValueError,  # a name in the graph is not UTF-8
        RuntimeError,  # whatever else is thrown in C++
        MemoryError,
    )


def session(graph: bytes, *, few: bool = False) -> ort.InferenceSession:
    """A graph ready to run, on one thread; `FolderError` if ONNX Runtime cannot load it.

    One thread: at these sizes a second one costs more in waiting than it brings.

    `few`: its inputs have few shapes, or its results are small. Then ONNX Runtime remembers for each where its results
    lie, which spares a short loop a tenth of its time; of many shapes a server would have 20 MB of that within a
    minute, and ever more.
    """
    import onnxruntime as ort  # here, for what runs in the compiled engine does without it

    options = ort.SessionOptions()
    options.enable_mem_pattern = few
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4

    options.add_session_config_entry("session.load_model_format", "ONNX")  # no other format is asked for, or safe
    try:  # without the fallback, which prints on stdout and tries the same again
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=False)
    except _failures() as error:
        raise FolderError(
            f"step.onnx is not a graph that ONNX Runtime can load ({type(error).__name__}); copy the folder again."
        ) from error


class OnnxModel(SavedModel):
    """Runs a `step.onnx`. The graph reads any number of ids in one call, so a prompt costs one call, not T.

    Args:
        graph: the bytes of `step.onnx`. Loaded from memory: a graph that refers to files outside itself is refused.
    """

    def __init__(self, graph: bytes) -> None:
        """Open the graph and check that its inputs and outputs are those of the contract."""
        # The word stands in every reference to a file; ONNX Runtime would read one in the working directory.
        if b"location" in graph:
            raise FolderError("step.onnx refers to a file outside itself; copy the model folder again.")
        self._session = session(graph)
        inputs = {i.name: cast(list[int | str | None], i.shape or []) for i in self._session.get_inputs()}
        outputs = {o.name: cast(list[int | str | None], o.shape or []) for o in self._session.get_outputs()}
        types = {node.name: node.type for node in (*self._session.get_inputs(), *self._session.get_outputs())}
        states = [STATE_IN.format(i) for i in range(len(inputs) - 2)]
        self._outputs = [LOG_PROBABILITIES, *(STATE_OUT.format(i) for i in range(len(states)))]
        expected = dict.fromkeys([*states, *self._outputs], _NUMBER) | {IDS: _WHOLE, LAST: _WHOLE}
        if types != expected or set(inputs) != {IDS, LAST, *states}:
            raise FolderError("step.onnx is not the graph of a Kammil model; copy the model folder again.")
        *_, size = outputs[LOG_PROBABILITIES] or [None]
        widths = [[n for n in inputs[name][1:] if isinstance(n, int) or n == GROWING] for name in states]
        if not isinstance(size, int) or any(len(inputs[s]) != len(w) + 1 for s, w in zip(states, widths, strict=True)):
            raise FolderError("step.onnx leaves the size of its state open; copy the model folder again.")
        fixed = [[n for n in width if isinstance(n, int)] for width in widths]
        if any(n < 0 for width in fixed for n in width) or sum(map(math.prod, fixed)) > LARGEST_STATE:
            raise FolderError("step.onnx asks for a state that no model of ours has; do not trust it.")
        if any(len(width) > len(sizes) + 1 for width, sizes in zip(widths, fixed, strict=True)):
            raise FolderError("step.onnx leaves the size of its state open; copy the model folder again.")
        self._size = size
        self._states = {name: tuple(width) for name, width in zip(states, widths, strict=True)}
        self._grows = any(GROWING in width for width in widths)

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open the graph of a network."""
        del settings
        if artifacts.step is None:
            raise FolderError("step.onnx is missing; copy the model folder again.")
        return cls(artifacts.step)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self._size

    def initial_state(self, batch: int) -> State:
        """Zeros, (B, ...) for each state of the graph; what grows has no size yet."""
        return tuple(np.zeros((batch, *_sized(width, 0)), np.float32) for width in self._states.values())

    def state_size(self, length: int) -> int:
        """What grows has at most one place for each id."""
        return sum(math.prod(_sized(width, length)) for width in self._states.values())

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """One call of the graph, or a few; `FolderError` if it fails or gives something else than was asked for."""
        length = ids.shape[1]
        wanted = length if last is None else last
        if not self._grows:
            return self._call(ids, state, wanted)
        parts: list[LogProbabilities] = []
        for begin in range(0, length, _PIECE):
            piece = ids[:, begin : begin + _PIECE]
            asked = min(piece.shape[1], begin + piece.shape[1] - (length - wanted))
            log_probabilities, state = self._call(piece, state, max(1, asked))  # one at least: 0 means all to a slice
            if asked > 0:
                parts.append(log_probabilities)
        return np.concatenate(parts, axis=1), state  # (B, last, V)

    def _call(self, ids: Ids, state: State, wanted: int) -> tuple[LogProbabilities, State]:
        """One call of the graph."""
        feed: dict[str, NDArray[np.generic]] = dict(zip(self._states, state, strict=True))
        feed[IDS] = ids
        feed[LAST] = np.array([wanted], np.int64)
        try:
            log_probabilities, *new = cast("list[NDArray[np.float32]]", self._session.run(self._outputs, feed))
        except _failures() as error:
            raise FolderError(
                f"step.onnx cannot be run ({type(error).__name__}); copy the model folder again."
            ) from error
        before, after = self._remembered(state), self._remembered(new)
        sound = after <= before + ids.shape[1] and all(
            array.shape == (len(ids), *_sized(width, after))
            for array, width in zip(new, self._states.values(), strict=True)
        )
        if not sound or log_probabilities.shape != (len(ids), wanted, self._size):
            raise FolderError("step.onnx gives arrays of other shapes than it says; copy the model folder again.")
        if sum(array[:1].size for array in new) > LARGEST_STATE:
            raise FolderError("step.onnx remembers more than any model of ours does; do not trust it.")
        return log_probabilities, tuple(new)

    def _remembered(self, state: Sequence[NDArray[np.generic]]) -> int:
        """How many ids the growing states hold, by the first of them; 0 if none grows."""
        for array, width in zip(state, self._states.values(), strict=True):
            if GROWING in width and array.ndim == len(width) + 1:
                return array.shape[1 + width.index(GROWING)]
        return 0


def _sized(width: Sequence[int | str], grown: int) -> tuple[int, ...]:
    """The shape of one row, with a size for what grows."""
    return tuple(n if isinstance(n, int) else grown for n in width)
