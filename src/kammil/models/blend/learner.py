"""Training of a blend: the texts are counted once, and each member is trained alone.

Members that learn under one loss do not become different enough to gain, so each has its own seed, gate and loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kammil.data.exclusion import resembling
from kammil.data.near_duplicates import groups
from kammil.engine.quantization import pack, unpack
from kammil.language_model import Artifacts
from kammil.models.blend.experts import NgramExperts
from kammil.models.blend.network import BlendNetwork
from kammil.models.blend.settings import BACKGROUND, IN_WORD, OWN, BlendSettings, member_prefixes
from kammil.models.family import GradientDescent, MergingLearner, NetworkTask, TextPiece, TrainingTexts, Weights
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES

_MATRICES = ("embedding.weight", "gru.weight_ih_l0", "gru.weight_hh_l0", "output.weight")
_PARTS = ("embedding.", "gru.", "output.", "gate_in.", "gate_out.")
"""Beginnings of the names of the first member's arrays; those of the others have a prefix."""


@dataclass(frozen=True, kw_only=True)
class BlendLearner(MergingLearner[BlendSettings]):
    """Counting and gradient descent. `training`: on the benchmark's validation texts 6 passes in batches of 16 ended at
    2.88 bits, 8 in batches of 8 at 2.89; more than 8 passes over-fit."""

    settings: type[BlendSettings] = BlendSettings
    training: Mapping[str, float] = field(default_factory=lambda: {"batch_size": 16, "epochs": 8})
    beats_counters: bool = True

    def fit(
        self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent
    ) -> tuple[BlendSettings, Artifacts]:
        """Count the texts, and train the members on features of the counts of other texts."""
        settings = self.check(values)
        experts = NgramExperts(
            texts.train,
            texts.validation,
            kin=groups(list(texts.texts)).tolist(),
            background=[texts.vocabulary.encode(text) for text in _background(texts)],
            vocabulary=texts.vocabulary,
            settings=settings,
        )

        def features(rows: Sequence[TextPiece], width: int, *, learning: bool) -> tuple[NDArray[np.generic], ...]:
            """`ExpertFeatures` in the order of the arguments of `BlendNetwork.forward`."""
            seen = experts.features(rows, width, learning=learning)
            return seen.gate, seen.places, seen.ids, seen.scores

        def take_gate(network: BlendNetwork, weights: Weights) -> None:
            if texts.base is not None and "gate_out.bias" in weights:
                inherit(network, settings, weights, BlendSettings.model_validate(texts.base.description.settings))

        task = NetworkTask(
            lambda: BlendNetwork(texts.vocabulary.size, experts.count, settings),
            texts.train,
            texts.validation,
            extra_inputs=features,
            count=settings.networks,
            bases=_members(unpack(texts.base.artifacts.weights)) if texts.base is not None else (),
            inherit=take_gate,
        )
        return settings, Artifacts({**export(descend(task)).weights, **experts.arrays()})

    def merge(
        self, settings: Sequence[Mapping[str, Any]], weights: Sequence[Weights]
    ) -> tuple[BlendSettings, Artifacts]:
        """Merge blends of the same texts into one; `ValueError` if sizes or tables differ."""
        blends, tables = [self.check(values) for values in settings], _tables(weights[0])
        first = blends[0]
        members: list[Weights] = []
        for blend, arrays in zip(blends, weights, strict=True):
            if blend.model_copy(update={"networks": first.networks, "dropout": first.dropout}) != first:
                raise ValueError("they are of different sizes")
            counts = _tables(arrays)
            if counts.keys() != tables.keys() or not all(np.array_equal(tables[n], counts[n]) for n in tables):
                raise ValueError("they count different texts")
            members += _members(unpack(arrays))
        merged = first.model_copy(update={"networks": len(members)})
        return merged, Artifacts({**_packed(members), **tables})


def export(networks: Sequence[BlendNetwork]) -> Artifacts:
    """Return the members' weights, quantized or in half precision, which changes no figure; without the tables."""
    return Artifacts(
        _packed(
            [
                {name: value.detach().cpu().numpy().astype(np.float16) for name, value in network.state_dict().items()}
                for network in networks
            ]
        )
    )


def inherit(network: BlendNetwork, settings: BlendSettings, weights: Weights, base: BlendSettings) -> None:
    """Copy the gate `weights` of a member of a base, whose training texts are the background now; in place.

    Its experts become those of the background, and those of the new texts begin as in a new gate. Nothing is copied if
    sizes or context types differ, or if the base had a background itself.
    """
    kinds, cached = len(settings.kinds), len(settings.history)
    old = kinds + cached  # experts of the base
    new = network.gate_out.out_features // SCORE_FEATURES - old
    same = all(getattr(settings, n) == getattr(base, n) for n in ("kinds", "history", "gate", "hidden"))
    if new != kinds or not same or weights["gate_out.bias"].shape != (SCORE_FEATURES * old,):
        return
    gate_in, gate_in_bias, gate_out, gate_out_bias = (
        torch.from_numpy(weights[name].astype(np.float32))
        for name in ("gate_in.weight", "gate_in.bias", "gate_out.weight", "gate_out.bias")
    )
    with torch.no_grad():
        state_weights, feature_weights = gate_in.split([settings.hidden, GATE_FEATURES * old], dim=1)
        new_features = torch.zeros(settings.gate, GATE_FEATURES, new)
        old_features = feature_weights.reshape(settings.gate, GATE_FEATURES, old)
        features = torch.cat([new_features, old_features], dim=2)  # (G, FEATURES, K)
        network.gate_in.weight.copy_(torch.cat([state_weights, features.flatten(1)], dim=1))
        network.gate_in.bias.copy_(gate_in_bias)
        network.gate_out.weight[SCORE_FEATURES * new :] = gate_out
        network.gate_out.bias[SCORE_FEATURES * new :] = gate_out_bias


def _background(texts: TrainingTexts) -> list[str]:
    """The base's texts that are counted in the background: those that resemble no training text.

    A text is left out of its own counts while it is learnt. A copy of it in the background would predict all of it, and
    the gate would weight nothing else: 0.9 bits while learning, 40 on new texts.
    """
    train = set(texts.texts)
    candidates = [text for text in texts.base_texts if text not in train]
    excluded = resembling(candidates, list(texts.texts))
    return [text for text, out in zip(candidates, excluded, strict=True) if not out]


def _members(weights: Weights) -> list[Weights]:
    """Each member's weights, under the names of the first member's; a GRU alone is one member."""
    networks = 1
    while f"{member_prefixes(networks + 1)[-1]}output.bias" in weights:
        networks += 1
    return [
        {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix or _PARTS)}
        for prefix in member_prefixes(networks)
    ]


def _packed(members: Sequence[Weights]) -> dict[str, NDArray[np.generic]]:
    """The weights of all members under their names in a folder, the large matrices quantized."""
    prefixes = member_prefixes(len(members))
    named = {prefix + name: array for prefix, m in zip(prefixes, members, strict=True) for name, array in m.items()}
    return pack(named, [prefix + name for prefix in prefixes for name in _MATRICES])


def _tables(arrays: Weights) -> Weights:
    """The tables of counts, and which ids belong to words."""
    return {name: array for name, array in arrays.items() if name.startswith((OWN, BACKGROUND, IN_WORD))}


LEARNER = BlendLearner()
