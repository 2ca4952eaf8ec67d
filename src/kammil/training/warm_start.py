"""Initialise a network with the weights of a trained one that has another vocabulary or fewer units.

A wider recurrent network computes at first what the narrower one computed, as in Net2Net (Chen, Goodfellow & Shlens
2016, arXiv:1511.05641), but without copies of units: the old units read nothing of the new ones, and neither do output
and gate, until training changes that. The new units keep their random weights, so no two of them are alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kammil.errors import OptionError
from kammil.vocabulary import SPECIALS, UNK, CharacterVocabulary

_ROW_PER_CHARACTER = ("embedding.weight", "output.weight", "output.bias")
"""Weights with one row for each character."""
_RECURRENT = "gru.weight_hh_l0"
_READ_STATE = {_RECURRENT, "output.weight", "gate_in.weight", "gate.weight"} | {
    f"{name}.weight" for name in ("query", "key", "value")
}
"""Weights whose first H columns multiply the state of a GRU."""


def warm_start(
    network: nn.Module,
    vocabulary: CharacterVocabulary,
    weights: Mapping[str, NDArray[np.generic]],
    base_vocabulary: CharacterVocabulary,
) -> None:
    """Copy the base's weights of the same names into a network of the same sizes, row by row for each character.

    A character that the base's vocabulary lacks gets the weights of UNK there; all such characters and UNK share the
    probability that UNK had, evenly. A recurrent network may have more units than the base's. A blend's gate is copied
    only where it has as many experts, for it belongs to the n-gram tables that it was trained with. Raises
    `OptionError` where other shapes differ or no weights fit.
    """
    base_ids = np.array(
        [i if i < SPECIALS else int(base_vocabulary.encode(vocabulary.piece(i))[0]) for i in range(vocabulary.size)]
    )  # (V,): id of each character in the base's vocabulary
    new = (base_ids == UNK) & (np.arange(vocabulary.size) != UNK)
    initial = network.state_dict()
    weights = _widen(weights, initial)
    copied: dict[str, Tensor] = {}
    for name in initial.keys() & weights.keys():
        value = np.asarray(weights[name], np.float32)
        if name in _ROW_PER_CHARACTER and len(value) == base_vocabulary.size:
            value = value[base_ids]
            if name == "output.bias":
                value[new | (np.arange(len(value)) == UNK)] -= math.log(1 + int(new.sum()))
        if value.shape == tuple(initial[name].shape):
            copied[name] = torch.from_numpy(value.copy())
        elif not name.startswith("gate"):
            raise OptionError(
                f"the base model's {name} has the shape {value.shape} and this model's {tuple(initial[name].shape)}; "
                "give both models the same sizes."
            )
    if "output.weight" not in copied:
        raise OptionError("the base model's network has other parts than this one; name one of the same family.")
    network.load_state_dict(copied, strict=False)


def _widen(weights: Mapping[str, NDArray[np.generic]], initial: Mapping[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """Return the weights of a GRU with more units that computes the same, with new units of the `initial` weights.

    Weights of a network that has no GRU, or as many units, are returned as they are; `OptionError` for fewer.
    """
    widened = dict(weights)
    if _RECURRENT not in weights or _RECURRENT not in initial:
        return widened
    old, units = weights[_RECURRENT].shape[-1], initial[_RECURRENT].shape[-1]  # h, H
    if old > units:
        raise OptionError(f"the base model has {old} units and this model {units}; give hidden={old}, or more.")
    if old == units:
        return widened
    for name in _READ_STATE & weights.keys():
        state, others = np.split(weights[name], [old], axis=1)
        widened[name] = np.concatenate([state, np.zeros((len(state), units - old), state.dtype), others], axis=1)
    for name in (name for name in weights if name.startswith("gru.")):
        new = initial[name].numpy().reshape(3, units, -1)[:, old:]  # (3, H - h, inputs)
        value = widened[name].reshape(3, old, -1)  # (3, h, inputs): gate by gate
        if value.shape[2] == new.shape[2]:
            widened[name] = np.concatenate([value, new], axis=1).reshape(initial[name].shape)
    return widened
