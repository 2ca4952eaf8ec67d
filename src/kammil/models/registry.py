"""Every family by name. Importing this module imports neither side of any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kammil.errors import FolderError, OptionError
from kammil.language_model import Artifacts, SavedModel, Settings
from kammil.models.attention import ATTENTION
from kammil.models.blend import BLEND
from kammil.models.family import Family
from kammil.models.gru import GRU
from kammil.models.ngram import NGRAM
from kammil.models.subwords import SUBWORDS, WORDS
from kammil.models.transformer import TRANSFORMER

_ALL: tuple[Family[Settings], ...] = (NGRAM, GRU, WORDS, SUBWORDS, ATTENTION, TRANSFORMER, BLEND)
FAMILIES = {each.name: each for each in _ALL}
"""In rising order of what they can express."""


def family(name: str) -> Family[Settings]:
    """A family; `OptionError` for an unknown name."""
    if name not in FAMILIES:
        raise OptionError(f"model is {name!r}, but it must be one of {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def load_model(name: str, settings: Mapping[str, Any], artifacts: Artifacts) -> SavedModel:
    """The running side of a saved model; `FolderError` if the family is unknown or its parts are not valid."""
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise FolderError(f"the model is of family {name!r}, and this Kammil knows {known}; update Kammil.")
    return FAMILIES[name].open(settings, artifacts)
