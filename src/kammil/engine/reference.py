"""What a blend says, with NumPy and ONNX Runtime: runs wherever Python runs, and is what `native` is tested by.

Shapes: B batch, T time, V vocabulary, M networks, H hidden, G a gate's width, K experts, P positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kammil.engine.onnx.blend_graph import Mixture
from kammil.engine.weights import BlendWeights, GRUWeights
from kammil.language_model import Ids, LogProbabilities, State
from kammil.ngrams.count_table import keys_of
from kammil.ngrams.features import Floats
from kammil.ngrams.index import IndexMatches
from kammil.ngrams.text_cache import TextCache


class ReferenceEngine:
    """Reads ids: hashes contexts, looks them up, steps the networks and mixes.

    Args:
        layers: M networks, whose `outward` is of the scores and of what their own gates hear, (H, V + G).
        bias: (V + M * G,): of these, the networks taken together.
        size: V.
        panel: the experts.
    """

    def __init__(self, layers: Sequence[GRUWeights], bias: Floats, size: int, panel: BlendWeights) -> None:
        """Open the graphs."""
        self._contexts, self._columns, self._ledger = panel.contexts, panel.columns, panel.index
        self._learnt = panel.adaptive
        self._history = TextCache(len(panel.columns))
        self._counted, self._experts = panel.index.table_experts, panel.gate.experts
        self._size = size
        self._mixture = Mixture([_among(layers, i, size) for i in range(len(layers))], bias, panel.gate, size)

    def read(self, ids: Ids, state: State, last: int) -> tuple[LogProbabilities, State]:
        """Log-probabilities (B, last, V) at the last positions of ids (B, T), and the state after them."""
        if ids.shape == (1, 1) and last == 1:
            return self._step(ids, state)
        known, later = self._gather(ids, state, wanted=last)
        before = state[0].astype(np.float32, copy=False)
        hidden, log_probabilities = self._mixture.read(ids, before, known, last=last)
        return log_probabilities, (hidden, *later)

    def _step(self, ids: Ids, state: State) -> tuple[LogProbabilities, State]:
        """As `read` of one id of one text, (1, 1): log-probabilities (1, 1, V) and the state after it.

        What a person waits for is one text; the arrays of one position are so small that most of the time would go
        into calls, so here what is known is gathered in plain lists first.
        """
        before, recent, words, *history = state
        id = int(ids[0, 0])
        hashes, word = self._contexts.read_one(id, recent[0].tolist(), words[0].tolist())
        keys = keys_of(hashes)
        known = self._ledger.look_up(keys[None])
        if len(self._learnt):
            known = self._learnt.look_up(known, keys[None], self._experts)
        followers, history = self._history.step_one(id, keys[self._columns], tuple(history))
        if followers:
            known = known.extended(IndexMatches.at_first_position(followers, self._counted))
        hidden, shares = self._mixture.read(ids, before.astype(np.float32, copy=False), known, last=1)
        context = np.concatenate([recent[:, 1:], ids], axis=1), np.array([word], np.uint64)
        return shares, (hidden, *context, *history)

    def contributions(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """What the networks say, and what each expert adds to it, (P, 1 + K, V), and the state after ids (B, T)."""
        known, later = self._gather(ids, state, wanted=ids.shape[1])
        before = state[0].astype(np.float32, copy=False)
        hidden, said, shares = self._mixture.parts(ids, before, known, last=ids.shape[1])
        added = np.zeros((len(said), 1 + self._experts, self._size), np.float32)
        added[:, 0] = said
        position, expert = np.divmod(known.contexts[0], self._experts)
        widths = known.contexts[1]
        added[position.repeat(widths), expert.repeat(widths) + 1, known.followers[0]] = shares
        return added, (hidden, *later)

    def _gather(self, ids: Ids, state: State, *, wanted: int) -> tuple[IndexMatches, State]:
        """What the experts know of the last positions of a piece, P = B * wanted, and the state of contexts and history
        after the piece."""
        batch, time = ids.shape
        _, recent, words, *history = state
        hashes, context = self._contexts.hash_contexts(ids, (recent, words))
        keys = keys_of(hashes)  # (B, T, K)
        if time == wanted == 1:
            found, history = self._history.step(ids[:, 0], keys[:, 0, self._columns], tuple(history))
        else:
            read, history = self._history.look_up(ids, keys[..., self._columns], tuple(history), last=wanted)
            found = read.flat_index, read.ids, read.counts.astype(np.int64)
        known = IndexMatches.of(*found, len(self._columns), self._counted, self._experts)
        if wanted:
            flat = keys[:, time - wanted :].reshape(batch * wanted, -1)  # (P, K)
            seen = self._ledger.look_up(flat)
            known = (self._learnt.look_up(seen, flat, self._experts) if len(self._learnt) else seen).extended(known)
        return known, (*context, *history)


def _among(layers: Sequence[GRUWeights], number: int, size: int) -> GRUWeights:
    """A network from which all gates hear something, (H, V + M * G): those of the others zeros."""
    own = layers[number].output
    wide = own.shape[1] - size
    outward = np.zeros((len(own), size + len(layers) * wide), np.float32)
    outward[:, :size] = own[:, :size]
    outward[:, size + number * wide : size + (number + 1) * wide] = own[:, size:]
    return replace(layers[number], output=outward)
