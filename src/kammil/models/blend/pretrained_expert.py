"""A pretrained model as one more expert of a blend.

It says of every next character how probable it is (exact over its own subwords, `models/pretrained`); the logarithms
are added to the scores of network and counts, with a weight. The weight is that of a small gate, which reads how
certain both sides are: the entropy and the largest log-probability of the blend without it, and of the pretrained
model.

Running it needs PyTorch and transformers, as a pretrained model alone does.

Shapes: B batch, T time, V vocabulary of the blend, P vocabulary of the pretrained model, G width of the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.engine.weights import checked
from kammil.language_model import Artifacts, Ids, LanguageModel, LogProbabilities, State
from kammil.models.pretrained.model import PretrainedModel
from kammil.ngrams.features import Floats
from kammil.vocabulary import SPECIALS, UNK, CharacterVocabulary

PREFIX, IDS = "pretrained.", "pretrained_ids"
"""Prefix of the arrays of the pretrained model in the folder of a blend; name of the array `PretrainedExpert.ids`."""
GATE, GATE_WIDTH, CERTAINTIES = "pretrained_gate.", 16, 4
"""Prefix of the gate's arrays; G; numbers that it reads."""
_LEAST = -20.0
"""Log-probabilities below are raised to it: ids that never follow have none, and minus infinity has no multiple."""


class PretrainedExpert:
    """Log-probabilities of a pretrained model over the ids of a blend.

    Args:
        model: over its own ids.
        ids: for each id of the blend, (V,), the id of the model; UNK for a character that it does not know.

    Raises: `ValueError` for ids that the model lacks.
    """

    def __init__(self, model: LanguageModel, ids: Ids) -> None:
        if ids.ndim != 1 or ids[:SPECIALS].tolist() != list(range(SPECIALS)):
            raise ValueError(f"{IDS} are not the ids of a vocabulary")
        if (ids < 0).any() or (ids >= model.vocabulary_size).any():
            raise ValueError("the pretrained model and its ids do not fit together")
        self.model, self.ids = model, ids
        self._unknown = np.flatnonzero(ids == UNK)
        self._others = np.append(np.setdiff1d(np.arange(model.vocabulary_size), ids), UNK)

    @classmethod
    def from_artifacts(cls, artifacts: Artifacts, window: int | None) -> Self:
        """Open the pretrained model in the folder of a blend; `MissingExtraError` without PyTorch or transformers."""
        arrays = {n.removeprefix(PREFIX): a for n, a in artifacts.weights.items() if n.startswith(PREFIX)}
        model = PretrainedModel.from_artifacts({"window": window}, Artifacts(arrays, artifacts.documents))
        ids = artifacts.weights[IDS]
        if ids.dtype.kind not in "iu":
            raise ValueError(f"{IDS} are no ids")
        return cls(model, ids.astype(np.int64))

    def forward(self, ids: Ids, state: State, last: int | None) -> tuple[LogProbabilities, State]:
        """Read ids (B, T) of the blend; see `LanguageModel.forward`.

        The probability of its unknown character, and of those that the blend lacks, is divided evenly among the
        blend's unknown character and those that it does not know.
        """
        scores, state = self.model.forward(self.ids[ids], state, last=last)  # (B, last, P)
        ours = scores[..., self.ids]
        with np.errstate(divide="ignore"):
            rest = np.log(np.exp(scores[..., self._others]).sum(-1, keepdims=True) / len(self._unknown))
        ours[..., self._unknown] = rest
        return np.maximum(ours, np.float32(_LEAST)), state


def ids_between(blend: CharacterVocabulary, pretrained: CharacterVocabulary) -> Ids:
    """Return the id that a pretrained model has for each id of a blend, (V,); UNK for a character that it lacks."""
    theirs = {character: id for id, character in enumerate(pretrained.characters, SPECIALS)}
    return np.array([*range(SPECIALS), *(theirs.get(c, UNK) for c in blend.characters)], np.int64)


@dataclass(frozen=True)
class PretrainedGate:
    """The weight of a pretrained model; `network.PretrainedGate` learns it."""

    hidden: Floats
    """(G, CERTAINTIES)."""
    hidden_bias: Floats
    output: Floats
    """(1, G)."""
    output_bias: Floats

    @classmethod
    def of(cls, weights: Mapping[str, NDArray[Any]]) -> Self:
        """Take the gate's arrays from those of a blend; `KeyError` or `ValueError` where they do not fit."""
        shapes = {
            "hidden.weight": (GATE_WIDTH, CERTAINTIES),
            "hidden.bias": (GATE_WIDTH,),
            "output.weight": (1, GATE_WIDTH),
            "output.bias": (1,),
        }
        return cls(*checked(weights, {GATE + name: shape for name, shape in shapes.items()}).values())

    def weights(self, blend: LogProbabilities, pretrained: LogProbabilities) -> Floats:
        """Return the weight at each position, (B, T, 1), from the log-probabilities of both, (B, T, V)."""
        numbers = [f for scores in (blend, pretrained) for f in (-(np.exp(scores) * scores).sum(-1), scores.max(-1))]
        hidden = np.maximum(np.stack(numbers, -1) @ self.hidden.T + self.hidden_bias, np.float32(0))
        return hidden @ self.output.T + self.output_bias
