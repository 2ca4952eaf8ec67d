"""How a blend learns: the texts are counted once, every member is trained by itself, and what they learnt is one model.

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
"""What the names of the first member's weights begin with; those of the others have a prefix."""


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
        """Count the texts, and train the members on what the counts of other texts say."""
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
            """In the order in which the network takes them."""
            seen = experts.features(rows, width, learning=learning)
            return seen.clues, seen.places, seen.ids, seen.features

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
        """Blends that learnt the same texts as the members of one."""
        every, tables = [self.check(values) for values in settings], _tables(weights[0])
        first = every[0]
        members: list[Weights] = []
        for own, arrays in zip(every, weights, strict=True):
            if own.model_copy(update={"networks": first.networks, "dropout": first.dropout}) != first:
                raise ValueError("they are of different sizes")
            theirs = _tables(arrays)
            if theirs.keys() != tables.keys() or not all(np.array_equal(tables[n], theirs[n]) for n in tables):
                raise ValueError("they count different texts")
            members += _members(unpack(arrays))
        together = first.model_copy(update={"networks": len(members)})
        return together, Artifacts({**_packed(members), **tables})


def export(networks: Sequence[BlendNetwork]) -> Artifacts:
    """The members' weights in whole numbers and half precision, which changes no figure; without the tables."""
    return Artifacts(
        _packed(
            [
                {name: value.detach().cpu().numpy().astype(np.float16) for name, value in network.state_dict().items()}
                for network in networks
            ]
        )
    )


def inherit(network: BlendNetwork, settings: BlendSettings, weights: Weights, theirs: BlendSettings) -> None:
    """Take over the gate of a member of another blend whose own texts are the background now; in place.

    Its experts become those of the background, and those of the new texts begin as in a new gate. Nothing is taken
    where sizes or kinds differ, or where the other one had a background itself.
    """
    kinds, cached = len(settings.kinds), len(settings.history)
    old = kinds + cached  # their experts
    own = network.gate_out.out_features // SCORE_FEATURES - old  # ours that are new
    same = all(getattr(settings, n) == getattr(theirs, n) for n in ("kinds", "history", "gate", "hidden"))
    if own != kinds or not same or weights["gate_out.bias"].shape != (SCORE_FEATURES * old,):
        return
    inward, inward_bias, outward, outward_bias = (
        torch.from_numpy(weights[name].astype(np.float32))
        for name in ("gate_in.weight", "gate_in.bias", "gate_out.weight", "gate_out.bias")
    )
    with torch.no_grad():
        state, clues = inward.split([settings.hidden, GATE_FEATURES * old], dim=1)
        new = torch.zeros(settings.gate, GATE_FEATURES, own)
        every = torch.cat([new, clues.reshape(settings.gate, GATE_FEATURES, old)], dim=2)  # (G, CLUES, K)
        network.gate_in.weight.copy_(torch.cat([state, every.flatten(1)], dim=1))
        network.gate_in.bias.copy_(inward_bias)
        network.gate_out.weight[SCORE_FEATURES * own :] = outward
        network.gate_out.bias[SCORE_FEATURES * own :] = outward_bias


def _background(texts: TrainingTexts) -> list[str]:
    """The base's texts that are counted beside the own ones: none that resembles these.

    A text is left out of its own counts while it is learnt. A copy of it in the background would tell all, and the
    gate would believe nothing else: 0.9 bits while learning, 40 on texts that are new.
    """
    own = set(texts.texts)
    new = [text for text in texts.base_texts if text not in own]
    known = resembling(new, list(texts.texts))
    return [text for text, out in zip(new, known, strict=True) if not out]


def _members(weights: Weights) -> list[Weights]:
    """Each member's weights, named like those of the first; of another network all that it has."""
    networks = 1
    while f"{member_prefixes(networks + 1)[-1]}output.bias" in weights:
        networks += 1
    return [
        {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix or _PARTS)}
        for prefix in member_prefixes(networks)
    ]


def _packed(members: Sequence[Weights]) -> dict[str, NDArray[np.generic]]:
    """The weights of all members under their names in a folder, the large matrices in whole numbers."""
    prefixes = member_prefixes(len(members))
    named = {prefix + name: array for prefix, own in zip(prefixes, members, strict=True) for name, array in own.items()}
    return pack(named, [prefix + name for prefix in prefixes for name in _MATRICES])


def _tables(arrays: Weights) -> Weights:
    """What was counted, and which ids belong to words."""
    return {name: array for name, array in arrays.items() if name.startswith((OWN, BACKGROUND, IN_WORD))}


LEARNER = BlendLearner()
