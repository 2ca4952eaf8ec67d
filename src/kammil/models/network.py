"""The running side of every neural family: its exported step on ONNX Runtime."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from kammil.errors import FolderError
from kammil.models.base import Ids, LogProbabilities, Runner, State

IDS, LAST, LOG_PROBABILITIES = "ids", "last", "log_probabilities"
STATE_IN, STATE_OUT = "state_{}", "next_state_{}"
"""Names in the graph: ids (B, T) int64, last (1,) int64, state_0 (B, ...), ... -> log_probabilities (B, last, V),
next_state_0, ..."""


class NetworkRunner(Runner):
    """Runs a `step.onnx`. The graph reads any number of ids in one call, so a prompt costs one call, not T.

    Args:
        graph: the bytes of `step.onnx`. Loaded from memory: a graph that refers to files outside itself is refused.

    One thread: at these sizes a second one costs more in waiting than it brings.
    """

    def __init__(self, graph: bytes) -> None:
        """Open the graph and check that its inputs and outputs are those of the contract."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen types of its own, with no common base
            raise FolderError(
                f"step.onnx is not a graph that ONNX Runtime can load ({type(error).__name__}); copy the folder again."
            ) from error
        inputs = {i.name: cast(list[int | str | None], i.shape) for i in self._session.get_inputs()}
        outputs = {o.name: cast(list[int | str | None], o.shape) for o in self._session.get_outputs()}
        states = [STATE_IN.format(i) for i in range(len(inputs) - 2)]
        self._outputs = [LOG_PROBABILITIES, *(STATE_OUT.format(i) for i in range(len(states)))]
        if set(inputs) != {IDS, LAST, *states} or set(outputs) != set(self._outputs):
            raise FolderError("step.onnx is not the graph of a Kammil model; copy the model folder again.")
        size = outputs[LOG_PROBABILITIES][-1]
        widths = [inputs[name][1:] for name in states]
        if not isinstance(size, int) or not all(isinstance(n, int) for width in widths for n in width):
            raise FolderError("step.onnx leaves the size of its state open; copy the model folder again.")
        self._size = size
        self._states = {name: cast(tuple[int, ...], tuple(width)) for name, width in zip(states, widths, strict=True)}

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self._size

    def start(self, batch: int) -> State:
        """Zeros, (B, ...) for each state of the graph."""
        return tuple(np.zeros((batch, *width), np.float32) for width in self._states.values())

    def read(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """One call of the graph."""
        feed: dict[str, NDArray[np.generic]] = dict(zip(self._states, state, strict=True))
        feed[IDS] = ids
        feed[LAST] = np.array([ids.shape[1] if last is None else last], np.int64)
        log_probabilities, *new = cast(list[NDArray[np.float32]], self._session.run(self._outputs, feed))
        return log_probabilities, tuple(new)
