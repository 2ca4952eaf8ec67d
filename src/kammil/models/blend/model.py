"""The blend at run time: quantized GRUs, tables of counts and a gate.

Shapes as in `network`; E embedding, M networks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from kammil.engine.build import load_native
from kammil.engine.native import NativeEngine, suits
from kammil.engine.reference import ReferenceEngine
from kammil.engine.weights import BlendWeights, GateWeights, GRUWeights, checked, unpack
from kammil.language_model import (
    AdaptiveModel,
    Artifacts,
    BulkSampler,
    ExpertAttribution,
    Ids,
    LogProbabilities,
    SavedModel,
    Settings,
    State,
    read_in_pieces,
)
from kammil.models.gru.model import folded, graph_of_networks, layer_shapes, output_shapes
from kammil.ngrams.adaptive import LAYER, START, AdaptiveCounts
from kammil.ngrams.compression import CompressedTable
from kammil.ngrams.contexts import ContextHasher
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, Floats, TextCache, columns_of
from kammil.ngrams.index import CountIndex

if TYPE_CHECKING:
    from onnx import ModelProto

Kind = Literal[
    "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9", "o10", "o12", "o16", "w", "w1", "w2", "w1s"
]  # fmt: skip
OWN, BACKGROUND = "counts.", "background."
"""Array prefixes of the two tables."""
IN_WORD = "in_word"
"""Array of which ids belong to words, (V,)."""
LEARNT = "learnt"
"""The expert of the writer's layer."""
HEARD = 0.5
"""Share of the networks' state after earlier messages that a text begins with (docs/log.md#what-was-said-before)."""
_PIECE = 256
"""Positions computed at a time, which bounds memory."""
_MAX_ELEMENTS = 1 << 26
"""Maximum size of the matrix from all states to all gates."""


class BlendSettings(Settings):
    """Sizes of the network and of the gate, and what is counted."""

    embedding: int = Field(default=128, ge=1, le=4096)
    """E."""
    hidden: int = Field(default=384, ge=1, le=8192)
    """H."""
    networks: int = Field(default=1, ge=1, le=16)
    """Members, M, each a network with its own gate and seed; their log-probabilities are averaged. Two take twice the
    arithmetic and gain 0.015 bits a character, four gain 0.025 (docs/log.md#what-should-minutes-buy)."""
    dropout: float = Field(default=0.4, ge=0, lt=1)
    """Dropout rate before output and gate."""
    gate: int = Field(default=96, ge=1, le=4096)
    """Width of the gate's hidden layer, G."""
    kinds: tuple[Kind, ...] = Field(
        default=("o1", "o2", "o3", "o4", "o5", "o6", "o8", "o10", "o12", "w", "w1", "w2", "w1s"), min_length=1
    )
    """Context types that are counted."""
    history: tuple[Kind, ...] = Field(
        default=("o1", "o2", "o3", "o4", "o5", "o6", "o8", "w", "w1"), validate_default=True
    )
    """Context types, among `kinds`, that are also looked up in the text itself, as far as it was read."""
    most: int = Field(default=64, ge=1, le=65_535)
    """Followers kept of each context: rarer ones change little, and short contexts have hundreds."""
    min_count: int = Field(default=1, ge=1, le=1000)
    """Minimum count of a follower. Where `megabytes` leaves much out, 2 makes room for more contexts
    (docs/log.md#which-counts-earn-their-bytes)."""
    megabytes: float | None = Field(default=40, gt=0)
    """Maximum megabytes of the counts in the folder, without those of a base; contexts that help least for their size
    are left out, below some two million characters none. None keeps all."""
    base_counts: bool = True
    """Whether counts and vocabulary of the model folder that training starts from, if a blend with the same `kinds`,
    stay beside the new ones. Give false where its texts are among the training texts."""

    @field_validator("kinds", "history")
    @classmethod
    def _once(cls, named: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if twice := [kind for i, kind in enumerate(named) if kind in named[:i]]:
            raise ValueError(f"{twice[0]} stands there twice")
        return named

    @field_validator("history")
    @classmethod
    def _counted(cls, named: tuple[Kind, ...], others: ValidationInfo) -> tuple[Kind, ...]:
        kinds = others.data.get("kinds", named)
        if missing := [kind for kind in named if kind not in kinds]:
            both = json.dumps([kind for kind in named if kind in kinds])
            raise ValueError(f"{missing[0]} is not among kinds; give history={both} too")
        return named


def member_prefixes(networks: int) -> list[str]:
    """Return the array prefix of each network, empty for the first."""
    return ["", *(f"others.{i}." for i in range(networks - 1))]


class BlendModel(SavedModel, BulkSampler, AdaptiveModel, ExpertAttribution):
    """Adds gated scores of n-gram experts to the networks' logits; `KeyError` or `ValueError` if arrays do not fit."""

    def __init__(self, settings: BlendSettings, weights: Mapping[str, NDArray[np.generic]]) -> None:
        v = len(weights["output.bias"])
        checked(weights, {IN_WORD: (v,)})
        types = (*settings.kinds, *(name for name in LAYER if name not in settings.kinds))
        self._contexts = contexts = ContextHasher(types, weights[IN_WORD].astype(np.bool_))
        prefixes = [p for p in (OWN, BACKGROUND) if f"{p}sizes" in weights]
        if not prefixes:
            raise ValueError("there is no table of counts")
        columns = columns_of(settings.history, settings.kinds)
        self._history = TextCache(len(columns))
        experts = len(settings.kinds) * len(prefixes) + len(columns)
        index = CountIndex([CompressedTable(weights, prefix) for prefix in prefixes], len(settings.kinds), experts)
        self._adaptive = adaptive = AdaptiveCounts(contexts)
        self._names = ["network", *(f"{p[:-1]} {kind}" for p in prefixes for kind in settings.kinds)]
        self._names += [*(f"this text {kind}" for kind in settings.history), LEARNT]
        if index.max_id >= v or index.max_followers > v:  # millions would fill the memory
            raise ValueError("the tables of counts hold ids that the vocabulary has not")
        self.vocabulary_size = v
        layers, bias, gate = _parts(settings, unpack(weights), v, experts)
        blend = BlendWeights(contexts, index, adaptive, columns, gate)
        self._hidden = np.zeros((1, settings.networks * settings.hidden), np.float32)  # before a text
        self.engine: ReferenceEngine | NativeEngine
        if (code := load_native()) and suits(index):
            self.engine = NativeEngine(code, layers, bias, v, blend)
        else:
            self.engine = ReferenceEngine(layers, bias, v, blend)

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a blend."""
        return cls(BlendSettings.model_validate(settings), artifacts.weights)

    def initial_state(self, batch: int) -> State:
        """Return states (B, M * H), zero but `after` others, those of contexts and text cache, and no trust in learnt
        texts yet (B, 0)."""
        hidden, trust = self._hidden.repeat(batch, axis=0), np.zeros((batch, 0), np.float32)
        return hidden, *self._contexts.initial_state(batch), *self._history.initial_state(batch), trust

    def pad_states(self, states: Sequence[State]) -> list[State]:
        """Pad the text caches, and trust in learnt texts."""
        histories = self._history.pad_states([state[3:5] for state in states])
        width = max(state[5].shape[1] for state in states)
        trusts = [np.full((len(t), width), START, np.float32) if t.shape[1] < width else t for *_, t in states]
        return [(*state[:3], *history, trust) for state, history, trust in zip(states, histories, trusts, strict=True)]

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids in pieces."""
        return read_in_pieces(self.engine.forward, ids, state, last, _PIECE)

    def can_sample(self, temperature: float) -> bool:
        """Return whether the native engine runs and sampling is not greedy, whose states are to be kept."""
        return temperature > 0 and isinstance(self.engine, NativeEngine)

    def sample(
        self, state: State, chances: NDArray[np.float64], *, temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """Sample in one call."""
        assert isinstance(self.engine, NativeEngine)
        return self.engine.sample(state, chances, temperature, refused)

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of the experts; the networks count as one."""
        return tuple(self._names)

    def expert_scores(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """Return what each expert adds; the first is the networks' mean logit."""
        added, later = self.engine.expert_scores(ids, state)
        return added.reshape(*ids.shape, -1, self.vocabulary_size), later

    def learn(self, ids: Ids) -> None:
        """Count a text like a training text."""
        self.learn_all([ids])

    def learn_all(self, texts: Sequence[Ids]) -> None:
        """Count many texts."""
        self._adaptive.learn(texts)
        self.version += 1

    def forget(self, *texts: Ids) -> bool:
        """Subtract learnt texts; return whether all had been learnt."""
        forgotten = self._adaptive.forget(*texts)
        self.version += forgotten > 0
        return forgotten == len(texts)

    def fork(self, *, learnt: bool = False) -> Self:
        """Return a fork, which may run in another thread."""
        forked = copy(self)
        forked._adaptive = self._adaptive.copy() if learnt else AdaptiveCounts(self._contexts)
        forked.engine = self.engine.fork(forked._adaptive)
        forked.version = 0
        return forked

    def after(self, end: Ids) -> Self:
        """Return a fork whose networks have half forgotten `end`."""
        forked, reader = self.fork(learnt=True), self.fork()  # the networks read alone where nothing is learnt
        reader._hidden = np.zeros_like(self._hidden)
        _, (hidden, *_) = reader.forward(end[None], reader.initial_state(1), last=0)
        forked._hidden = np.float32(HEARD) * hidden.astype(np.float32)
        return forked


def _parts(
    settings: BlendSettings, weights: Mapping[str, NDArray[np.generic]], size: int, experts: int
) -> tuple[list[GRUWeights], Floats, GateWeights]:
    """Return the networks, the bias (V + M * G,) of logits and gates, and the M gates as one.

    A network's output matrix, (H, V + G), serves both logits and gate.
    """
    h, g, m = settings.hidden, settings.gate, settings.networks
    if m * m * h * g > _MAX_ELEMENTS:
        raise ValueError(f"{m} networks of {h} units with gates of {g} are more than any blend of ours has")
    shapes = layer_shapes(size, settings.embedding, h) | output_shapes(size, h)
    shapes |= {
        "gate_in.weight": (g, h + GATE_FEATURES * experts),
        "gate_in.bias": (g,),
        "gate_out.weight": (SCORE_FEATURES * experts, g),
        "gate_out.bias": (SCORE_FEATURES * experts,),
    }
    layers: list[GRUWeights] = []
    rest: list[tuple[Floats, ...]] = []
    for prefix in member_prefixes(m):
        w = checked(weights, {prefix + name: shape for name, shape in shapes.items()})
        *network, output, output_bias, gate_in, gate_bias, gate_out, score_bias = w.values()
        to_logits_and_gate = np.concatenate([output.T / np.float32(m), gate_in[:, :h].T], axis=1)
        layers.append(folded(network, to_logits_and_gate))
        rest.append((output_bias, gate_bias, gate_in[:, h:].T, gate_out.T / np.float32(m), score_bias / np.float32(m)))
    output_biases, gate_biases, feature_weights, score_weights, score_biases = zip(*rest, strict=True)
    bias = np.concatenate([np.mean(output_biases, axis=0, dtype=np.float32), *gate_biases])
    score_bias = np.stack(score_biases).sum(axis=0)
    return layers, bias, GateWeights(np.concatenate(feature_weights, axis=1), np.concatenate(score_weights), score_bias)


def graph(settings: Mapping[str, Any], weights: Mapping[str, Floats]) -> ModelProto:
    """Build the ONNX graph of the networks, without the counts."""
    members = member_prefixes(BlendSettings.model_validate(settings).networks)
    return graph_of_networks("kammil-blend-network", weights, members)
