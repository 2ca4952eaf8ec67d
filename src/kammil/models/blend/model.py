"""The running side of the blend: GRUs in eight bits, tables of counts and a gate.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden, M networks, K experts, G gate, N entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.engine.build import load_native
from kammil.engine.native import NativeEngine, suits
from kammil.engine.quantization import unpack
from kammil.engine.reference import ReferenceEngine
from kammil.engine.weights import BlendWeights, GateWeights, GRUWeights, checked
from kammil.language_model import (
    AdaptiveModel,
    Artifacts,
    BulkSampler,
    ExpertAttribution,
    Ids,
    LogProbabilities,
    SavedModel,
    State,
    read_in_pieces,
)
from kammil.models.blend.settings import BACKGROUND, IN_WORD, OWN, BlendSettings, member_prefixes
from kammil.ngrams.adaptive import AdaptiveCounts
from kammil.ngrams.compression import CompressedTable
from kammil.ngrams.contexts import ContextHasher
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, Floats
from kammil.ngrams.index import CountIndex
from kammil.ngrams.text_cache import TextCache, columns

_PIECE = 256
"""Positions worked on at a time: bounds the memory of a long read."""
_MOST = 1 << 26
"""Weights of the networks' states in the gates, as one matrix, of the largest blend that is opened."""


class BlendModel(SavedModel, BulkSampler, AdaptiveModel, ExpertAttribution):
    """Adds to the network's scores what each expert has seen follow, weighted by the gate.

    Args:
        settings: of the model.
        weights: those of the network and the gate, the tables, and which ids belong to words, as `blend.export` makes
            them.

    `KeyError` or `ValueError` for arrays that do not fit together.
    """

    def __init__(self, settings: BlendSettings, weights: Mapping[str, NDArray[np.generic]]) -> None:
        """Unpack half-precision weights and fold the embedding into the input's share of the gates."""
        v = len(weights["output.bias"])
        checked(weights, {IN_WORD: (v,)})
        self._contexts = contexts = ContextHasher(settings.kinds, weights[IN_WORD].astype(np.bool_))
        prefixes = [p for p in (OWN, BACKGROUND) if f"{p}sizes" in weights]
        if not prefixes:
            raise ValueError("there is no table of counts")
        own = columns(settings.kinds, settings.history)
        self._history = TextCache(len(own))
        experts = len(settings.kinds) * len(prefixes) + len(own)
        ledger = CountIndex([CompressedTable(weights, prefix) for prefix in prefixes], len(settings.kinds), experts)
        self._learnt = learnt = AdaptiveCounts(contexts)
        self._names = ["network", *(f"{p[:-1]} {kind}" for p in prefixes for kind in settings.kinds)]
        self._names += [f"this text {kind}" for kind in settings.history]
        if ledger.largest_table >= v:
            raise ValueError("the tables of counts hold ids that the vocabulary has not")
        self._size = v
        weights = unpack(weights)
        asked, gate_bias, gate = _gate(settings, weights, experts)
        layers, bias = _networks(settings, weights, v, asked, gate_bias)
        panel = BlendWeights(contexts, ledger, learnt, own, gate)
        self._width = settings.networks * settings.hidden
        self._engine: ReferenceEngine | NativeEngine
        if (code := load_native()) and suits(ledger):
            self._engine = NativeEngine(code, layers, bias, v, panel)
        else:
            self._engine = ReferenceEngine(layers, bias, v, panel)

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a blend."""
        return cls(BlendSettings.model_validate(settings), artifacts.weights)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self._size

    def initial_state(self, batch: int) -> State:
        """The networks' hidden states (B, M * H), all zero, and the states of contexts and history."""
        hidden = np.zeros((batch, self._width), np.float32)
        return (hidden, *self._contexts.initial_state(batch), *self._history.initial_state(batch))

    def pad_states(self, states: Sequence[State]) -> list[State]:
        """States whose histories are as long as the longest."""
        histories = self._history.pad_states([state[3:] for state in states])
        return [(*state[:3], *history) for state, history in zip(states, histories, strict=True)]

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids (B, T), some at a time; see `LanguageModel.read`."""
        return read_in_pieces(self._engine.forward, ids, state, last, _PIECE)

    def can_sample(self, temperature: float) -> bool:
        """Where its code is compiled. Not the most probable continuation, which whoever types will ask for again: step
        by step it can be kept."""
        return temperature > 0 and isinstance(self._engine, NativeEngine)

    def sample(
        self, state: State, chances: NDArray[np.float64], *, temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """See `BulkSampler.draw`."""
        assert isinstance(self._engine, NativeEngine)
        return self._engine.sample(state, chances, temperature, refused)

    @property
    def experts(self) -> tuple[str, ...]:
        """The networks as one, whose gates are one as well; then every kind of context in every table."""
        return tuple(self._names)

    def expert_scores(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """See `Explaining.contributions`; the networks' share is their mean score."""
        added, later = self._engine.expert_scores(ids, state)
        return added.reshape(*ids.shape, -1, self._size), later

    def learn(self, ids: Ids) -> None:
        """Count a text as if it stood among the training texts."""
        self._learnt.learn([ids])
        self.version += 1

    def learn_all(self, texts: Sequence[Ids]) -> None:
        """Count many texts."""
        self._learnt.learn(texts)
        self.version += 1

    def forget(self, ids: Ids) -> bool:
        """Take a learnt text out of the counts."""
        forgotten = self._learnt.forget(ids)
        self.version += forgotten
        return forgotten


def _networks(
    settings: BlendSettings,
    weights: Mapping[str, NDArray[np.generic]],
    size: int,
    asked: Sequence[Floats],
    asked_bias: Floats,
) -> tuple[list[GRUWeights], Floats]:
    """The networks, from each of which its share of the mean scores is read and what its gate hears, (H, V + G); and
    the bias (V + M * G,) of both. The embedding is folded into what each id adds to a network's gates."""
    e, h = settings.embedding, settings.hidden
    layers: list[GRUWeights] = []
    biases: list[Floats] = []
    for number, prefix in enumerate(member_prefixes(settings.networks)):
        shapes = {
            "embedding.weight": (size, e),
            "gru.weight_ih_l0": (3 * h, e),
            "gru.weight_hh_l0": (3 * h, h),
            "gru.bias_ih_l0": (3 * h,),
            "gru.bias_hh_l0": (3 * h,),
            "output.weight": (size, h),
            "output.bias": (size,),
        }
        w = checked(weights, {prefix + name: shape for name, shape in shapes.items()})
        embedding, inward, recurrent, bias, recurrent_bias, output, output_bias = w.values()
        outward = np.concatenate([output.T / np.float32(settings.networks), asked[number]], axis=1)
        layers.append(GRUWeights(embedding @ inward.T + bias, recurrent.T, recurrent_bias, outward))
        biases.append(output_bias)
    mean = np.mean(biases, axis=0, dtype=np.float32)
    return layers, np.concatenate([mean, asked_bias])


def _gate(
    settings: BlendSettings, weights: Mapping[str, NDArray[np.generic]], experts: int
) -> tuple[list[Floats], Floats, GateWeights]:
    """The members' gates as one of M times the width: each hears its own network, and what they trust is averaged.

    Returns: of each network the weights of the hidden layer that hears it, (H, G); its bias (M * G,); and the rest.
    """
    h, g, m = settings.hidden, settings.gate, settings.networks
    if m * m * h * g > _MOST:
        raise ValueError(f"{m} networks of {h} units with gates of {g} are more than any blend of ours has")
    asked: list[Floats] = []
    heard: list[Floats] = []
    biases: list[Floats] = []
    outward: list[Floats] = []
    trusts: list[Floats] = []
    for prefix in member_prefixes(m):
        shapes = {
            "gate_in.weight": (g, h + GATE_FEATURES * experts),
            "gate_in.bias": (g,),
            "gate_out.weight": (SCORE_FEATURES * experts, g),
            "gate_out.bias": (SCORE_FEATURES * experts,),
        }
        w = checked(weights, {prefix + name: shape for name, shape in shapes.items()})
        gate_in, bias, gate_out, trust = w.values()
        asked.append(gate_in[:, :h].T)
        heard.append(gate_in[:, h:].T)
        biases.append(bias)
        outward.append(gate_out.T / np.float32(m))
        trusts.append(trust / np.float32(m))
    gate = GateWeights(np.concatenate(heard, axis=1), np.concatenate(outward), np.stack(trusts).sum(axis=0))
    return asked, np.concatenate(biases), gate
