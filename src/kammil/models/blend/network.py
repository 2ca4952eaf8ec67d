"""The blend: n-gram counts and a GRU, trained together and weighted by a gate.

A GRU gives every character a logit. Each expert, one context type in a table of counts, adds to the logits of the
followers it has seen; the gate, a small network, weights experts by features of the counts and the GRU's state: a
product of experts (Hinton 2002), as in context-mixing compressors (Mahoney 2005).

Learning leaves a text and its near-duplicates out of the counts: else long contexts would predict everything. Members
need their own seed, gate and loss; under a common loss they do not differ enough to gain.

Shapes: B batch, T time, P = B * T positions, V vocabulary, H hidden, G the gate's width, K experts, N entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from kammil.data.bloom import BloomFilter
from kammil.data.near_duplicates import groups, resembling
from kammil.engine.weights import pack, unpack
from kammil.language_model import Artifacts
from kammil.model_folder import ModelConfig, ModelFiles
from kammil.models.blend.experts import KeptCounts, NgramExperts
from kammil.models.blend.model import BACKGROUND, IN_WORD, OWN, BlendSettings, member_prefixes
from kammil.models.family import GradientDescent, LossTerms, MergingLearner, NetworkTask, TrainingTexts, Weights
from kammil.models.gru.backprop import gru_forward
from kammil.models.layers import SeededDropout
from kammil.ngrams.compression import unpack as unpack_table
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES
from kammil.progress import note
from kammil.vocabulary import PAD

FIRST_WEIGHT = 0.1
"""Initial weight of every expert's scores."""
_NETWORK_LOSS = 0.3
"""Weight of the network's own loss: it must predict where no context was seen."""
SPEED = 8_000
"""Characters a second that a member of 384 units learns on one core, counting included."""
MEMBERS, PASSES = 4, 8
"""Maximum members (a fourth gains 0.003 bits), and passes before over-fitting."""
_MIN_PASSES = 6
"""Passes that each member must have time for."""
_WIDE = 4_000_000
"""Minimum characters, of the text and learnt, for 512 units; their gain is not measured."""
_MATRICES = ("embedding.weight", "gru.weight_ih_l0", "gru.weight_hh_l0", "output.weight")
_PARTS = ("embedding.", "gru.", "output.", "gate_in.", "gate_out.")
"""Prefixes of the first member's weights."""


class ExpertTensors(NamedTuple):
    """`ExpertFeatures` of a batch as tensors."""

    gate: Tensor
    places: Tensor
    ids: Tensor
    scores: Tensor


class BlendNetwork(nn.Module):
    """A GRU and a gate over n-gram experts."""

    def __init__(self, vocabulary_size: int, experts: int, settings: BlendSettings) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, settings.embedding, padding_idx=PAD)
        self.gru = nn.GRU(settings.embedding, settings.hidden, batch_first=True)
        self.dropout = SeededDropout(settings.dropout)
        self.output = nn.Linear(settings.hidden, vocabulary_size)
        self.gate_in = nn.Linear(settings.hidden + GATE_FEATURES * experts, settings.gate)
        self.gate_out = nn.Linear(settings.gate, SCORE_FEATURES * experts)
        nn.init.zeros_(self.gate_out.weight)
        nn.init.constant_(self.gate_out.bias, FIRST_WEIGHT)

    def forward(self, ids: Tensor, *extra: Tensor) -> tuple[Tensor, LossTerms]:
        """Return logits (B, T, V) for ids (B, T) and `ExpertTensors`, and the loss's terms."""
        experts = ExpertTensors(*extra)
        h = self.dropout(gru_forward(self.gru, self.embedding, ids))  # (B, T, H)
        network = self.output(h).float()  # (B, T, V)
        gate_in = torch.cat([h, experts.gate.view(*ids.shape, -1)], dim=-1)  # (B, T, H + FEATURES * K)
        logits = self._add_experts(network, self.gate_in(gate_in), experts)
        return logits, [(logits, 1.0), (network, _NETWORK_LOSS)]

    def gate_parameters(self) -> list[nn.Parameter]:
        """Return what `initial_weights` trains first."""
        return [self.output.bias, *self.gate_in.parameters(), *self.gate_out.parameters()]

    def forward_gate(self, ids: Tensor, *extra: Tensor) -> Tensor:
        """Return logits of bias and counts, without the network."""
        experts = ExpertTensors(*extra)
        network = self.output.bias.expand(*ids.shape, -1).contiguous()
        weights = self.gate_in.weight[:, self.gru.hidden_size :]  # (G, FEATURES * K)
        pre_activation = F.linear(experts.gate.view(*ids.shape, -1), weights, self.gate_in.bias)
        return self._add_experts(network, pre_activation, experts)

    def _add_experts(self, network: Tensor, pre_activation: Tensor, experts: ExpertTensors) -> Tensor:
        weights = self.gate_out(torch.relu(pre_activation))  # (B, T, FEATURES * K)
        added = (weights.reshape(-1, SCORE_FEATURES)[experts.places] * experts.scores).sum(-1)  # (N,)
        num_experts = weights.shape[-1] // SCORE_FEATURES
        at = experts.places // num_experts * network.shape[-1] + experts.ids  # (N,)
        return network.reshape(-1).index_add(0, at, added).view(network.shape)


@dataclass(frozen=True, kw_only=True)
class BlendLearner(MergingLearner[BlendSettings]):
    """Trains by counting and gradient descent."""

    settings: type[BlendSettings] = BlendSettings
    training: Mapping[str, float] = field(default_factory=lambda: {"batch_size": 16, "epochs": PASSES})
    of_base: tuple[str, ...] = ("embedding", "hidden", "networks", "gate", "kinds", "history")

    def sizes(self, characters: int, minutes: float, threads: int) -> Mapping[str, int]:
        """See docs/log.md#what-should-minutes-buy."""
        learnt = SPEED * 60 * minutes  # by one thread
        passes = [learnt * min(1, threads / members) / max(1, characters) for members in range(1, MEMBERS + 1)]
        members = max(1, sum(enough >= _MIN_PASSES for enough in passes))
        return {"hidden": 512 if min(characters, learnt) >= _WIDE else 384, "networks": members, "epochs": PASSES}

    def from_base(self, values: Mapping[str, Any], base: ModelConfig) -> Mapping[str, float] | None:
        """See docs/log.md#what-does-a-model-of-your-own-gain-from-the-bundled-one."""
        kept = values["base_counts"] and _obstacle(values, base) is None
        return {"learning_rate": 1e-3, "epochs": 3, "dropout": 0.2} if kept else None

    def fit(
        self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent
    ) -> tuple[BlendSettings, Artifacts]:
        """Count the texts, then train the members."""
        settings = self.check(values)
        experts = NgramExperts(
            texts.train,
            texts.validation,
            kin=groups(list(texts.texts)).tolist(),
            background=texts.vocabulary.encode_all(_background(texts)),
            kept=self._kept_counts(settings, texts),
            vocabulary=texts.vocabulary,
            settings=settings,
        )

        tables = experts.arrays()

        def assemble(networks: Sequence[BlendNetwork]) -> tuple[BlendSettings, Artifacts]:
            return settings, Artifacts({**export(networks).weights, **tables})

        task = NetworkTask(
            lambda: BlendNetwork(texts.vocabulary.size, experts.count, settings),
            texts.train,
            texts.validation,
            extra_inputs=experts.features,
            count=settings.networks,
            bases=_bases(texts.base, settings, experts.count) if texts.base is not None else (),
            assemble=assemble,
        )
        return assemble(descend(task))

    def merge(
        self, settings: Sequence[Mapping[str, Any]], weights: Sequence[Weights]
    ) -> tuple[BlendSettings, Artifacts]:
        """Merge blends of the same texts into one with all their members."""
        checked, tables = [self.check(values) for values in settings], _tables(weights[0])
        first = checked[0]
        members: list[Weights] = []
        for blend, arrays in zip(checked, weights, strict=True):
            if blend.model_copy(update={"networks": first.networks, "dropout": first.dropout}) != first:
                raise ValueError("they are of different sizes")
            counts = _tables(arrays)
            if counts.keys() != tables.keys() or not all(np.array_equal(tables[n], counts[n]) for n in tables):
                raise ValueError("they count different texts")
            members += _members(unpack(arrays))
        merged = first.model_copy(update={"networks": len(members)})
        return merged, Artifacts({**_packed(members), **tables})

    def _kept_counts(self, settings: BlendSettings, texts: TrainingTexts) -> KeptCounts | None:
        base = texts.base
        if base is None or texts.base_texts or not settings.base_counts or base.description.family != "blend":
            return None
        obstacle = _obstacle(settings.model_dump(mode="json"), base.description)
        if obstacle is None and texts.vocabulary.characters != base.vocabulary.characters:
            obstacle = "it lacks many characters of these texts"
        if obstacle is not None:
            note(f"the counts of the base do not stay, since {obstacle}")
            return None
        arrays, prefix = base.artifacts.weights, OWN
        if any(name.startswith(BACKGROUND) for name in arrays):
            prefix = BACKGROUND  # only one table has room: that of most texts
            note("of the base, the counts of its own texts do not stay; name these texts, too, or what it started from")
        packed = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        seen = BloomFilter(base.seen)
        return KeptCounts(unpack_table(arrays, prefix), packed, [seen.knows_half(text) for text in texts.texts])


def _obstacle(values: Mapping[str, Any], base: ModelConfig) -> str | None:
    """Return why the base's counts cannot stay."""
    if base.family != "blend":
        return "it is no blend"
    same = list(base.settings["kinds"]) == list(values["kinds"])
    return None if same else "it counts other kinds of contexts"


def export(networks: Sequence[BlendNetwork]) -> Artifacts:
    """Return the members' weights as integers and in half precision, without the tables."""
    states = [network.state_dict() for network in networks]
    members = [{name: value.detach().cpu().numpy().astype(np.float16) for name, value in s.items()} for s in states]
    return Artifacts(_packed(members))


def _bases(base: ModelFiles, settings: BlendSettings, experts: int) -> list[Weights]:
    members = _members(unpack(base.artifacts.weights))
    if base.description.family != "blend":
        return members
    theirs = BlendSettings.model_validate(base.description.settings)
    return [with_new_experts(member, settings, theirs, experts) for member in members]


def with_new_experts(weights: Weights, settings: BlendSettings, base: BlendSettings, experts: int) -> Weights:
    """Return weights for a gate over `experts`, in which the base's own counts become the background.

    Nothing changes where context types or gate width differ, or where the base has a background.
    """
    old = len(settings.kinds) + len(settings.history)
    new = experts - old
    same = all(getattr(settings, n) == getattr(base, n) for n in ("kinds", "history", "gate"))
    if new != len(settings.kinds) or not same or weights["gate_out.bias"].shape != (SCORE_FEATURES * old,):
        return weights
    state, features = np.split(weights["gate_in.weight"], [base.hidden], axis=1)
    features = features.reshape(settings.gate, GATE_FEATURES, old)
    features = np.concatenate([np.zeros((settings.gate, GATE_FEATURES, new), features.dtype), features], axis=2)
    out, bias = weights["gate_out.weight"], weights["gate_out.bias"]
    first = np.zeros((SCORE_FEATURES * new, settings.gate), out.dtype)
    return {
        **weights,
        "gate_in.weight": np.concatenate([state, features.reshape(settings.gate, -1)], axis=1),
        "gate_out.weight": np.concatenate([first, out]),
        "gate_out.bias": np.concatenate([np.full(SCORE_FEATURES * new, FIRST_WEIGHT, np.float32), bias]),
    }


def _background(texts: TrainingTexts) -> list[str]:
    """Return the base's texts that resemble no training text, for a copy would predict it exactly."""
    train = set(texts.texts)
    new = [text for text in texts.base_texts if text not in train]
    return [text for text, drop in zip(new, resembling(new, list(texts.texts)), strict=True) if not drop]


def _members(weights: Weights) -> list[Weights]:
    """Return each member's weights, by the names of the first."""
    networks = 1
    while f"{member_prefixes(networks + 1)[-1]}output.bias" in weights:
        networks += 1
    return [
        {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix or _PARTS)}
        for prefix in member_prefixes(networks)
    ]


def _packed(members: Sequence[Weights]) -> dict[str, NDArray[np.generic]]:
    prefixes = member_prefixes(len(members))
    named = {p + name: array for p, member in zip(prefixes, members, strict=True) for name, array in member.items()}
    return pack(named, [prefix + name for prefix in prefixes for name in _MATRICES])


def _tables(arrays: Weights) -> Weights:
    return {name: array for name, array in arrays.items() if name.startswith((OWN, BACKGROUND, IN_WORD))}


LEARNER = BlendLearner()
