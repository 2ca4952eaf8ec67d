"""Build a blend, go on from another one, export it, and merge members into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kammil.engine import quantization
from kammil.language_model import Artifacts
from kammil.models.blend.experts import Arrays
from kammil.models.blend.network import BlendNetwork
from kammil.models.blend.settings import BACKGROUND, IN_WORD, OWN, BlendSettings, member_prefixes
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES

_MATRICES = ("embedding.weight", "gru.weight_ih_l0", "gru.weight_hh_l0", "output.weight")
_PARTS = ("embedding.", "gru.", "output.", "gate_in.", "gate_out.")
"""What the names of the first member's weights begin with; those of the others have a prefix."""


def build(vocabulary_size: int, settings: BlendSettings, experts: int) -> BlendNetwork:
    """A new network and gate; PyTorch's global generator decides the weights."""
    return BlendNetwork(vocabulary_size, experts, settings)


def inherit(network: BlendNetwork, settings: BlendSettings, weights: Arrays, theirs: BlendSettings) -> None:
    """Take over the gate of another blend whose own texts are the background now; in place.

    Its experts become those of the background, and those of the new texts begin as in a new gate. Nothing is taken
    where sizes or kinds differ, or where the other one had a background itself.
    """
    kinds, cached = len(settings.kinds), len(settings.history)
    old = kinds + cached  # their experts
    own = network.gate_out.out_features // SCORE_FEATURES - old  # ours that are new
    same = all(getattr(settings, n) == getattr(theirs, n) for n in ("kinds", "history", "gate", "networks", "hidden"))
    if own != kinds or not same or weights["gate_out.bias"].shape != (SCORE_FEATURES * old,):
        return
    for member, prefix in zip(network.members, member_prefixes(settings.networks), strict=True):
        inward, inward_bias, outward, outward_bias = (
            torch.from_numpy(weights[f"{prefix}{name}"].astype(np.float32))
            for name in ("gate_in.weight", "gate_in.bias", "gate_out.weight", "gate_out.bias")
        )
        with torch.no_grad():
            state, clues = inward.split([settings.hidden, GATE_FEATURES * old], dim=1)
            new = torch.zeros(settings.gate, GATE_FEATURES, own)
            every = torch.cat([new, clues.reshape(settings.gate, GATE_FEATURES, old)], dim=2)  # (G, CLUES, K)
            member.gate_in.weight.copy_(torch.cat([state, every.flatten(1)], dim=1))
            member.gate_in.bias.copy_(inward_bias)
            member.gate_out.weight[SCORE_FEATURES * own :] = outward
            member.gate_out.bias[SCORE_FEATURES * own :] = outward_bias


def export(model: BlendNetwork) -> Artifacts:
    """The weights in whole numbers and half precision, which changes no figure; the tables are added by the recipe."""
    weights = {name: value.detach().cpu().numpy().astype(np.float16) for name, value in model.state_dict().items()}
    return Artifacts(quantization.pack(weights, _large(len(model.members))))


def _large(networks: int) -> list[str]:
    """The matrices that make up nearly all of the networks' weights."""
    return [prefix + name for prefix in member_prefixes(networks) for name in _MATRICES]


def merge(settings: Sequence[BlendSettings], weights: Sequence[Arrays]) -> tuple[BlendSettings, Artifacts]:
    """Blends that learnt the same texts, each by itself, as the members of one.

    `ValueError` where they differ in more than what they learnt.
    """
    first, tables = settings[0], _tables(weights[0])
    made: dict[str, NDArray[np.generic]] = dict(tables)
    places = iter(member_prefixes(sum(own.networks for own in settings)))
    for own, arrays in zip(settings, weights, strict=True):
        if own.model_copy(update={"networks": first.networks, "dropout": first.dropout}) != first:
            raise ValueError("they are of different sizes")
        theirs = _tables(arrays)
        if theirs.keys() != tables.keys() or not all(np.array_equal(tables[n], theirs[n]) for n in tables):
            raise ValueError("they count different texts")
        learnt = quantization.unpack(arrays)
        for prefix in member_prefixes(own.networks):
            place = next(places)
            for name in learnt.keys() - tables.keys():
                if name.startswith(prefix or _PARTS):
                    made[place + name.removeprefix(prefix)] = learnt[name]
    together = first.model_copy(update={"networks": sum(own.networks for own in settings)})
    return together, Artifacts(quantization.pack(made, _large(together.networks)))


def _tables(arrays: Arrays) -> Arrays:
    """What was counted, and which ids belong to words."""
    return {name: array for name, array in arrays.items() if name.startswith((OWN, BACKGROUND, IN_WORD))}
