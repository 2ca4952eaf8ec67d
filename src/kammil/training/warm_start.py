"""Going on from a trained network: its weights, moved to another vocabulary."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kammil.errors import OptionError
from kammil.vocabulary import SPECIALS, UNK, CharacterVocabulary

_BY_CHARACTER = ("embedding.weight", "output.weight", "output.bias")
"""Weights with one row for each character."""


def warm_start(
    network: nn.Module,
    vocabulary: CharacterVocabulary,
    weights: Mapping[str, NDArray[np.generic]],
    theirs: CharacterVocabulary,
) -> None:
    """Copy all weights of the same name into a network of the same sizes.

    A character that the other vocabulary has not begins as what its network takes for an unknown one; such characters
    share that one's probability evenly. `OptionError` where sizes differ or nothing fits.
    """
    known = np.array(
        [i if i < SPECIALS else int(theirs.encode(vocabulary.piece(i))[0]) for i in range(vocabulary.size)]
    )
    new = (known == UNK) & (np.arange(vocabulary.size) != UNK)
    own = network.state_dict()
    taken: dict[str, torch.Tensor] = {}
    for name in own.keys() & weights.keys():
        value = np.asarray(weights[name], np.float32)
        if name in _BY_CHARACTER and len(value) == theirs.size:
            value = value[known]
            if name == "output.bias":
                value[new | (np.arange(len(value)) == UNK)] -= math.log(1 + int(new.sum()))
        if value.shape == tuple(own[name].shape):
            taken[name] = torch.from_numpy(value.copy())
        elif not name.startswith("gate"):  # a gate belongs to the tables that it was trained with
            raise OptionError(
                f"the base model's {name} has the shape {value.shape} and this model's {tuple(own[name].shape)}; "
                "give both models the same sizes."
            )
    if "output.weight" not in taken:
        raise OptionError("the base model's network has other parts than this one; name one of the same family.")
    network.load_state_dict(taken, strict=False)
