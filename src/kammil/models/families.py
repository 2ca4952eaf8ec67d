"""The learning side of each family, by name; importing this module imports none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kammil.errors import MissingExtraError, OptionError
from kammil.models.base import Artifacts, Ids, Settings

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Counting:
    """A family that learns by counting: no epochs, no gradient."""

    settings: type[Settings]
    fit: Callable[[Sequence[Ids], Sequence[Ids], int, Any], tuple[Settings, Artifacts]]
    """(training texts, validation texts, V, settings) -> the settings chosen on validation, and the counts."""


@dataclass(frozen=True)
class Neural:
    """A family that learns by gradient descent in the one training loop."""

    settings: type[Settings]
    build: Callable[[int, Any], nn.Module]
    """(V, settings) -> a new network."""
    export: Callable[[Any], Artifacts]
    """The trained network -> its running side."""


def _ngram() -> Counting:
    from kammil.models import ngram

    return Counting(ngram.NGramSettings, ngram.fit)


def _gru() -> Neural:
    from kammil.models import gru

    return Neural(gru.GRUSettings, gru.build, gru.export)


FAMILIES: dict[str, Callable[[], Counting | Neural]] = {"ngram": _ngram, "gru": _gru}
"""In rising order of what they can express."""


def family(name: str) -> Counting | Neural:
    """A family; `OptionError` for an unknown name, `MissingExtraError` if it needs libraries that are not there."""
    if name not in FAMILIES:
        raise OptionError(f"model is {name!r}, but it must be one of {', '.join(FAMILIES)}.")
    try:
        return FAMILIES[name]()
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the {name} family needs {error.name} to train; run: pip install 'kammil[train]'"
        ) from error


def settings_of(chosen: Counting | Neural, values: dict[str, Any]) -> Settings:
    """Checked settings of a family; `OptionError` with one sentence for the first that is wrong."""
    try:
        return chosen.settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise OptionError(f"{name} is {first['input']!r}, but: {first['msg'].lower()}.") from error
