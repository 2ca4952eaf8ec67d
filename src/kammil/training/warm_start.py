"""Initialise a network with the weights of a trained one that has another vocabulary."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kammil.errors import OptionError
from kammil.vocabulary import SPECIALS, UNK, CharacterVocabulary

_ROW_PER_CHARACTER = ("embedding.weight", "output.weight", "output.bias")
"""Weights with one row for each character."""


def warm_start(
    network: nn.Module,
    vocabulary: CharacterVocabulary,
    weights: Mapping[str, NDArray[np.generic]],
    base_vocabulary: CharacterVocabulary,
) -> None:
    """Copy the base's weights of the same names into a network of the same sizes, row by row for each character.

    A character that the base's vocabulary lacks gets the weights of UNK there; all such characters and UNK share the
    probability that UNK had, evenly. A blend's gate is copied only where its shape is the same, for it belongs to the
    n-gram tables that it was trained with. Raises `OptionError` where other shapes differ or no weights fit.
    """
    base_ids = np.array(
        [i if i < SPECIALS else int(base_vocabulary.encode(vocabulary.piece(i))[0]) for i in range(vocabulary.size)]
    )  # (V,): id of each character in the base's vocabulary
    new = (base_ids == UNK) & (np.arange(vocabulary.size) != UNK)
    initial = network.state_dict()
    copied: dict[str, torch.Tensor] = {}
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
