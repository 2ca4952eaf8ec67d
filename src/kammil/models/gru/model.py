"""The running side of a GRU by itself: steps in whole numbers, and whole texts drawn in one call.

At this size a step takes a few microseconds, less than the calls around it. So a prompt is read in one call, and a text
is drawn in one as well, by the compiled code of the blend, or where there is none by a graph that steps, draws, and
reads what it drew. They draw as `decoding` does, with the same arithmetic on the same numbers, so that it does not
matter which of them draws a text.

On lev30/validation whole numbers cost a network of the notebook's size nothing: 3.2717 bits a character either way.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden, n ids drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.engine.build import load_native
from kammil.engine.native import NativeEngine
from kammil.engine.onnx.graph import GraphBuilder
from kammil.engine.onnx.gru_graph import QuantisedGRU, gru_step, quantized_matmul
from kammil.engine.onnx.protobuf import DOUBLE, FLOAT, WHOLE
from kammil.engine.onnx.runtime import session
from kammil.engine.weights import GRUWeights, checked, input_gates
from kammil.errors import FolderError
from kammil.language_model import Artifacts, BulkSampler, Ids, LogProbabilities, SavedModel, State
from kammil.ngrams.features import Floats

if TYPE_CHECKING:
    import onnxruntime as ort

_CERTAIN = 1 - 1e-12
"""Largest chance: shares in double precision sum up to more, and to a little less than 1."""
_SHARPEST = 1e30
"""One over the lowest temperature that is told from 0: log-probabilities differ by 1e-7 at least, or not at all."""


class GRUModel(SavedModel, BulkSampler):
    """Runs a GRU from its weights.

    Args:
        weights: as `gru.export` makes them; `KeyError` or `ValueError` for arrays that do not fit together.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.generic]]) -> None:
        """Fold the embedding into what each id adds to the gates, and round."""
        size, width = weights["embedding.weight"].shape
        hidden = len(weights["gru.weight_ih_l0"]) // 3
        shapes = {
            "embedding.weight": (size, width),
            "gru.weight_ih_l0": (3 * hidden, width),
            "gru.weight_hh_l0": (3 * hidden, hidden),
            "gru.bias_ih_l0": (3 * hidden,),
            "gru.bias_hh_l0": (3 * hidden,),
            "output.weight": (size, hidden),
            "output.bias": (size,),
        }
        embedding, inward, recurrent, bias, recurrent_bias, output, self._bias = checked(weights, shapes).values()
        self._layer = GRUWeights(embedding @ inward.T + bias, recurrent.T, recurrent_bias, output.T)
        code = load_native()
        self._compiled = NativeEngine(code, [self._layer], self._bias, size) if code else None

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a GRU."""
        del settings
        if artifacts.step is None:  # it is what other engines run; a folder without it is not whole
            raise FolderError("step.onnx is missing; copy the model folder again.")
        return cls(artifacts.weights)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return len(self._bias)

    def initial_state(self, batch: int) -> State:
        """The hidden states (B, H), all zero."""
        return (np.zeros((batch, len(self._layer.recurrent)), np.float32),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """One call; see `Runner.read`."""
        wanted = ids.shape[1] if last is None else last
        if self._compiled is not None:
            log_probabilities, (after, *_) = self._compiled.read(ids, _whole(state), wanted)
        else:
            after, log_probabilities = self._network.read(ids, state[0].astype(np.float32, copy=False), last=wanted)
        return log_probabilities, (after,)

    def sample(
        self, state: State, chances: NDArray[np.float64], *, temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """One call; see `Drawing.draw`."""
        if self._compiled is not None:
            ids, log_probabilities, (after, *_) = self._compiled.draw(_whole(state), chances, temperature, refused)
            return ids, log_probabilities, (after,)
        feed = {
            "before": state[0].astype(np.float32, copy=False),
            "chances": np.minimum(chances, _CERTAIN) if temperature else np.zeros_like(chances),
            "refused": refused,
            "sharpness": np.array(min(1 / temperature, _SHARPEST) if temperature else _SHARPEST),
        }
        ids, log_probabilities, after = self._drawing.run(["ids", "log_probabilities", "after"], feed)
        return ids, log_probabilities, (after,)  # pyright: ignore[reportReturnType]

    @cached_property
    def _network(self) -> QuantisedGRU:
        return QuantisedGRU([self._layer], self._bias, shares=True)

    @cached_property
    def _drawing(self) -> ort.InferenceSession:
        return session(_drawing(self._layer, self._bias), few=True)


def _whole(state: State) -> State:
    """The state as the compiled code knows it."""
    return (state[0], *NativeEngine.forgetful(len(state[0])))


def _drawing(layer: GRUWeights, bias: Floats) -> bytes:
    """Says what may follow, draws, reads what it drew, and so on, for one text.

    What a state says and what it brings to the next one are one product of matrices.
    """
    number, exact, width, size = np.float32, np.float64, layer.recurrent.shape[0], len(bias)
    g = GraphBuilder("step_")
    both = quantized_matmul(g, "state", np.concatenate([layer.recurrent, layer.output], axis=1))
    brought, said = g.add_multi(2, "Split", both, g.whole(3 * width, size), axis=-1)
    said = g.add("LogSoftmax", g.add("Add", said, bias), axis=-1)  # (1, V)
    rows = g.add("Add", g.add("Cast", said, to=DOUBLE), "refused")
    shares = g.add("Softmax", g.add("Mul", rows, "sharpness"), axis=-1)
    under = g.add("LessOrEqual", g.add("CumSum", shares, np.int64(1)), "chance")
    # The first that is over the chance has as many under it; `ArgMax` and sums take a microsecond.
    counted = g.add("MatMul", g.add("Cast", under, to=FLOAT), np.ones(size, np.float32))
    drawn = g.add("Cast", counted, to=WHOLE)  # (1,)
    gates, read = (g.add("Gather", table.astype(number), drawn) for table in input_gates(layer))
    now = gru_step(g, "state", brought, gates, read, width)
    state = [1, width]
    body = g.body(
        "draw",
        [("state", number, state), ("chance", exact, [])],
        [(now, number, state), (drawn, np.int64, [1]), (said, number, [1, size])],
    )
    g = GraphBuilder()
    after, ids, said = g.add_multi(3, "Scan", "before", "chances", num_scan_inputs=1, body=body)  # ids (n, 1)
    g.add("Identity", after, output="after")
    g.add("Reshape", ids, g.whole(-1), output="ids")
    paid = g.add("GatherElements", g.add("Reshape", said, g.whole(-1, size)), ids, axis=1)  # (n, 1)
    g.add("Reshape", paid, g.whole(-1), output="log_probabilities")
    return g.write(
        "kammil-drawing-gru",
        [("before", number, state), ("chances", exact, ["n"]), ("refused", exact, [size]), ("sharpness", exact, [])],
        [("ids", np.int64, ["n"]), ("log_probabilities", number, ["n"]), ("after", number, state)],
    )
