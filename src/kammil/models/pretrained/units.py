"""The units of a pretrained model: the shortest runs of its tokens that are whole text.

In a vocabulary of bytes a token may be a part of a character, such as half an emoji. A *unit* is a token, or a run of
tokens, that can be read as characters. Its probability is that of its first token; runs that begin with the same token
share it, by the network's choice of the next token (`tokens.TokenNetwork`) or by their counts in the training texts.

Shapes: V characters, U units, T tokens, N tokens of all units together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids
from kammil.models.subwords.trie import UnitVocabulary, whole_numbers
from kammil.vocabulary import BOS, EOS, PAD, UNK

ARRAYS = "units."
"""The names of all arrays of the units begin so; those of no weight of a network do."""
TOKENS, OFFSETS, SHARES, PREFIX = "units.tokens", "units.token_offsets", "units.shares", "units.prefix"
"""Names of the arrays: the concatenated tokens of all units, (N,); where each begins, and the end, (U + 1,); the
shares, (U,); the prefix."""


_UNSAFE = ("auto_map", "quantization_config", "name_or_path", "dtype", "torch_dtype", "num_labels")
"""Parts of a configuration that name code, kernels or another format of the weights; and the number of labels, for each
of which transformers makes a name, though a language model has none."""


@dataclass(frozen=True)
class TokenUnits:
    """Units, and what each is in tokens. Raises `ValueError` for parts that do not fit together."""

    units: UnitVocabulary
    """The characters, and the units of two characters or more."""
    tokens: Sequence[tuple[int, ...]]
    """Tokens of each unit, U of them: none for PAD, one for UNK, BOS and EOS."""
    shares: NDArray[np.float32]
    """Share of each unit in the probability of its first token, (U,); 0 for PAD and BOS. Where those of a token do not
    sum to one, and for all tokens with which no unit begins, the rest is the probability of UNK."""
    prefix: Ids
    """Characters that are read after BOS before every text: tokenizers of the SentencePiece kind put a space there."""

    def __post_init__(self) -> None:
        """Check the parts."""
        size, special = self.units.size, [self.tokens[id] if id < len(self.tokens) else () for id in (UNK, BOS, EOS)]
        if len(self.tokens) != size or self.shares.shape != (size,) or any(len(tokens) != 1 for tokens in special):
            raise ValueError("the tokens of the units are not consistent")
        if self.tokens[PAD] or any(not tokens for tokens in self.tokens[1:]):
            raise ValueError("a unit has no token")
        if not (np.isfinite(self.shares).all() and (self.shares >= 0).all() and (self.shares <= 1).all()):
            raise ValueError("the shares of the units are no shares")
        if ((self.prefix < 0) | (self.prefix >= self.units.characters)).any() or len(self.prefix) > 1:
            raise ValueError("the prefix is no character")

    @property
    def num_tokens(self) -> int:
        """One more than the largest number of a token."""
        return 1 + max(max(tokens) for tokens in self.tokens[1:])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Convert to arrays, for the model folder."""
        return {
            **self.units.arrays(),
            TOKENS: np.array([token for tokens in self.tokens for token in tokens], np.int32),
            OFFSETS: np.cumsum([0, *map(len, self.tokens)]).astype(np.int32),
            SHARES: self.shares,
            PREFIX: self.prefix,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> TokenUnits:
        """Convert the arrays of `arrays` back; `KeyError` or `ValueError` for anything else."""
        units = UnitVocabulary.from_arrays(arrays)
        flat, offsets = whole_numbers(arrays[TOKENS]), whole_numbers(arrays[OFFSETS])
        if len(offsets) != units.size + 1 or offsets[0] != 0 or offsets[-1] != len(flat):
            raise ValueError("the tokens of the units are not consistent")
        if (np.diff(offsets) < 0).any() or (flat < 0).any():
            raise ValueError("the tokens of the units are not consistent")
        shares = arrays[SHARES]
        if shares.dtype != np.float32:
            raise ValueError("the shares of the units are no shares")
        listed = flat.tolist()
        tokens = [tuple(listed[a:b]) for a, b in pairwise(offsets.tolist())]
        return cls(units, tokens, shares.astype(np.float32), whole_numbers(arrays[PREFIX]))


def without_code(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without what is in `_UNSAFE`, and without other names of code, kernels and paths."""
    kept = {
        name: value
        for name, value in config.items()
        if name not in _UNSAFE and not name.startswith("_") and not name.endswith(("_implementation", "kernels"))
    }
    return {name: without_code(cast(dict[str, Any], v)) if isinstance(v, dict) else v for name, v in kept.items()}
