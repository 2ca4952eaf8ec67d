"""What networks and experts say together, as one graph: the networks step, the gate weighs, all scores are added.

A handful of small arrays about each position goes through some sixty operations. One by one in NumPy they take half a
microsecond each, and as much for what is around them; in a graph a third of that.

Shapes: B batch, T time, P = B * last positions, V vocabulary, M networks, H hidden, K experts, G gate, n contexts found
in all, N followers of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.engine.onnx.graph import GraphBuilder
from kammil.engine.onnx.gru_graph import given, stepped, turned
from kammil.engine.onnx.protobuf import FLOAT, Value
from kammil.engine.onnx.runtime import session
from kammil.engine.weights import GateWeights, GRUWeights, fold_absent_feature, num_experts, tables
from kammil.language_model import Ids
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, Floats
from kammil.ngrams.index import IndexMatches

_IDS, _BEFORE, _BEGIN, _CLUES = "ids", "before", "begin", "clues"
_PLACES, _FIGURES, _WHICH, _FOLLOWERS, _COUNTS = "places", "figures", "which", "followers", "counts"
_BEYOND = "beyond"


class Mixture:
    """Steps the networks and adds to their scores what each expert has seen follow.

    Args:
        layers: the networks, whose `outward` is of the scores and then of what the gate hears of them, (H, V + G).
        bias: (V + G,): of these, the networks taken together.
        gate: weighs K experts.
        size: V.
    """

    def __init__(self, layers: Sequence[GRUWeights], bias: Floats, gate: GateWeights, size: int) -> None:
        """Round the weights and open the graphs: one for many ids in a row, one for a single id each."""
        self.width = num_experts(layers)
        self._size, self._experts = size, gate.experts
        self._nothing = np.zeros((1, GATE_FEATURES * self._experts), np.float32)
        self._many = _Opened(*_graph(layers, bias, gate, size, one=False))
        self._one = _Opened(*_graph(layers, bias, gate, size, one=True))
        self._tables = tables(layers)

    def read(self, ids: Ids, before: Floats, known: IndexMatches, *, last: int) -> tuple[Floats, Floats]:
        """The states (B, M * H) after ids (B, T), and log-probabilities (B, last, V) at the last positions.

        `known`: what is known of the contexts of these positions, P of them, text by text.
        """
        after, shares = self._run(("after", "shares"), ids, before, known, last)
        return after, shares.reshape(len(ids), last, self._size)

    def parts(self, ids: Ids, before: Floats, known: IndexMatches, *, last: int) -> tuple[Floats, Floats, Floats]:
        """The states, and what makes up the scores: the networks' (P, V), and what was added to them by each follower
        of `known`, (N,)."""
        after, said, added = self._run(("after", "said", "added"), ids, before, known, last)
        return after, said, added

    def _run(self, wanted: tuple[str, ...], ids: Ids, before: Floats, known: IndexMatches, last: int) -> list[Floats]:
        batch, time = ids.shape
        (places, widths, lost), (followers, counts) = known.contexts, known.followers
        often = counts.astype(np.float32)
        figures = np.empty((3, len(places)), np.float32)  # occurrences, distinct followers, the commonest one's
        if len(places):
            begins = widths.cumsum() - widths
            np.add.reduceat(often, begins, out=figures[0])
            figures[0] += lost
            figures[1] = widths + lost
            np.maximum.reduceat(often, begins, out=figures[2])
        which = np.arange(len(places)).repeat(widths)  # (N,): the context of each follower
        clues = self._nothing
        if batch * last != 1:
            followers = followers + (places // self._experts * self._size)[which]
            clues = clues.repeat(batch * last, axis=0)
        feed: dict[str, NDArray[np.generic]] = {
            _IDS: ids,
            _BEFORE: before,
            _PLACES: places,
            _FIGURES: figures,
            _WHICH: which,
            _FOLLOWERS: followers,
            _COUNTS: often,
            _BEYOND: np.zeros_like(often) if known.beyond is None else known.beyond,
            _CLUES: clues,
            **self._tables,
        }
        if time == last == 1:
            return self._one.run(wanted, feed)
        return self._many.run(wanted, feed | {_BEGIN: np.array([time - last])})


class _Opened:
    """A graph ready to run, and what it calls its results."""

    def __init__(self, graph: bytes, names: dict[str, str]) -> None:
        self._session, self._names = session(graph), names

    def run(self, wanted: tuple[str, ...], feed: Mapping[str, NDArray[np.generic]]) -> list[Floats]:
        return self._session.run([self._names[name] for name in wanted], feed)  # pyright: ignore[reportReturnType]


def _graph(
    layers: Sequence[GRUWeights], bias: Floats, gate: GateWeights, size: int, *, one: bool
) -> tuple[bytes, dict[str, str]]:
    """A graph whose inputs are what `Mixture._run` feeds; and what is called there the states `after` the last id, what
    the networks `said`, what is `added` to their scores, and log-probabilities, the `shares` (P, V).

    `one`: it reads a single id of each text.
    """
    number, whole = np.float32, np.int64
    experts = gate.experts
    bias, heard = fold_absent_feature(bias, gate, size)

    g = GraphBuilder()
    if one:
        after, heard_and_said = turned(g, layers, bias, _IDS, _BEFORE)  # (B, M * H), (B, 1, V + G)
    else:
        after, heard_and_said = stepped(g, layers, bias, _IDS, _BEFORE, _BEGIN)  # (B, M * H), (B, last, V + G)
    joined = g.add("Reshape", heard_and_said, g.whole(-1, len(bias)))  # (P, V + G)
    said, asked = g.add_multi(2, "Split", joined, g.whole(size, len(bias) - size), axis=-1)

    first, top = g.add_multi(2, "Split", _FIGURES, g.whole(2, 1), axis=0)  # (2, n), (1, n)
    totals, distinct = (g.add("Gather", _FIGURES, whole(i), axis=0) for i in range(2))  # (n,)
    logs = g.add("Log", g.add("Add", first, number(1)))
    ones = g.add("Div", top, top)
    single = g.add("Cast", g.add("Equal", g.add("Unsqueeze", distinct, g.whole(0)), number(1)), to=FLOAT)
    # In the order of evidence: totals, distinct followers, top share, that it was seen, whether there is one alone.
    rows = g.add("Concat", logs, g.add("Div", top, totals), ones, single, axis=0)
    rows = g.add("Transpose", rows, perm=[1, 0])  # (n, CLUES)
    clues = g.add("Reshape", _CLUES, g.whole(-1, GATE_FEATURES))  # (P * K, CLUES)
    clues = g.add("ScatterND", clues, g.add("Unsqueeze", _PLACES, g.whole(1)), rows)
    clues = g.add("Reshape", clues, g.whole(-1, experts * GATE_FEATURES))
    inner = g.add(
        "Relu", g.add("Add", asked, g.add("MatMul", clues, heard.reshape(experts * GATE_FEATURES, -1)))
    )  # (P, G)
    trust: list[str] = []
    for feature in range(SCORE_FEATURES):
        part = slice(feature, None, SCORE_FEATURES)
        believed = g.add("Add", g.add("MatMul", inner, gate.trust[:, part]), gate.bias[part])  # (P, K)
        trust.append(g.add("GatherElements", g.add("Reshape", believed, g.whole(-1)), _PLACES, axis=0))  # (n,)
    # Of single numbers `Gather` takes eight times as long.
    by_count, by_share = (
        g.add("GatherElements", t, _WHICH, axis=0) for t in (trust[0], g.add("Div", trust[1], totals))
    )  # (N,)
    often = g.add("Log", g.add("Add", g.add("Mul", _COUNTS, number(10)), number(1)))
    added = g.add("Add", g.add("Mul", by_count, often), g.add("Mul", by_share, _COUNTS))  # (N,)
    added = g.add("Add", added, _BEYOND)
    scores = g.add("ScatterElements", g.add("Reshape", said, g.whole(-1)), _FOLLOWERS, added, reduction="add")
    shares = g.add("LogSoftmax", g.add("Reshape", scores, g.whole(-1, size)), axis=-1)
    inputs: list[Value] = [
        (_IDS, whole, ["B", "T"]),
        (_BEFORE, number, ["B", num_experts(layers)]),
        *([] if one else [(_BEGIN, whole, [1])]),
        (_PLACES, whole, ["n"]),
        (_FIGURES, number, [3, "n"]),
        (_WHICH, whole, ["N"]),
        (_FOLLOWERS, whole, ["N"]),
        (_COUNTS, number, ["N"]),
        (_BEYOND, number, ["N"]),
        (_CLUES, number, ["P", GATE_FEATURES * experts]),
        *given(layers),
    ]
    outputs: list[Value] = [
        (after, number, ["B", num_experts(layers)]),
        (said, number, ["P", size]),
        (added, number, ["N"]),
        (shares, number, ["P", size]),
    ]
    names = {"after": after, "said": said, "added": added, "shares": shares}
    return g.write("kammil-mixture", inputs, outputs), names
