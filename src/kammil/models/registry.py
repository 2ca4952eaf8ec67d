"""Register all families by name. Importing this module imports no learner and no model class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kammil.errors import FolderError, OptionError
from kammil.language_model import Artifacts, SavedModel
from kammil.models.family import Family

_COUNTS = "it looks counts up, for which ONNX has no operator"
_UNITS = "it adds up many ways to cut a text into units, for which ONNX has no operator"
_ALL = (
    Family("ngram", "ngram.counting:LEARNER", "ngram.model:NGramModel", onnx=_COUNTS),
    Family("gru", "gru.network:LEARNER", "gru.model:GRUModel"),
    Family("words", "subwords.words:LEARNER", "subwords.model:UnitModel", onnx=_UNITS),
    Family("subwords", "subwords.bpe:LEARNER", "subwords.model:UnitModel", onnx=_UNITS),
    Family("attention", "attention.network:LEARNER", "attention.model:AttentionModel"),
    Family("transformer", "transformer.network:LEARNER", "transformer.model:TransformerModel"),
    Family(
        "pretrained",
        "pretrained.network:LEARNER",
        "pretrained.model:PretrainedModel",
        onnx=_UNITS,
        extra="hf",
        needs_base=True,
    ),
    Family("blend", "blend.learner:LEARNER", "blend.model:BlendModel", onnx=_COUNTS, network_part=True),
)
FAMILIES = {family.name: family for family in _ALL}
"""Families by name, in rising order of what they can express."""


def family(name: str) -> Family:
    """Return a family; `OptionError` for an unknown name."""
    if name not in FAMILIES:
        raise OptionError(f"model is {name!r}, but it must be one of {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def load_model(name: str, settings: Mapping[str, Any], artifacts: Artifacts) -> SavedModel:
    """Open a saved model; `FolderError` if the family is unknown or its parts are not valid."""
    if name not in FAMILIES:
        names = ", ".join(FAMILIES)
        raise FolderError(f"the model is of family {name!r}, and this Kammil knows {names}; update Kammil.")
    return FAMILIES[name].open(settings, artifacts)
