"""What a model is: one file a family, listed here by name. Nothing heavy is imported before a family is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kammil.errors import FolderError
from kammil.models.base import Artifacts, Runner

if TYPE_CHECKING:
    from kammil.models.network import NetworkRunner


def _network(_settings: Mapping[str, Any], artifacts: Artifacts) -> NetworkRunner:
    from kammil.models.network import NetworkRunner

    if artifacts.step is None:
        raise FolderError("step.onnx is missing; copy the model folder again.")
    return NetworkRunner(artifacts.step)


def _gru(_settings: Mapping[str, Any], artifacts: Artifacts) -> Runner:
    from kammil.models.gru_runner import GRURunner

    if artifacts.step is None:  # it is what other engines run; a folder without it is not whole
        raise FolderError("step.onnx is missing; copy the model folder again.")
    return GRURunner(artifacts.weights)


def _ngram(settings: Mapping[str, Any], artifacts: Artifacts) -> Runner:
    from kammil.models.ngram import NGramRunner, NGramSettings

    return NGramRunner(NGramSettings.model_validate(settings), artifacts.weights)


def _units(settings: Mapping[str, Any], artifacts: Artifacts) -> Runner:
    from kammil.models.trie import Units
    from kammil.models.units import UnitRunner

    return UnitRunner(_network(settings, artifacts), Units.from_arrays(artifacts.weights))


def _blend(settings: Mapping[str, Any], artifacts: Artifacts) -> Runner:
    from kammil.models.mixing import BlendRunner, BlendSettings

    return BlendRunner(BlendSettings.model_validate(settings), artifacts.weights)


RUNNERS: dict[str, Callable[[Mapping[str, Any], Artifacts], Runner]] = {
    "ngram": _ngram,
    "gru": _gru,
    "words": _units,
    "subwords": _units,
    "attention": _network,
    "transformer": _network,
    "blend": _blend,
}
"""The running side of each family."""


def load_runner(family: str, settings: Mapping[str, Any], artifacts: Artifacts) -> Runner:
    """The running side of a saved model; `FolderError` if the family is unknown or its settings are not valid."""
    if family not in RUNNERS:
        known = ", ".join(RUNNERS)
        raise FolderError(f"the model is of family {family!r}, and this Kammil knows {known}; update Kammil.")
    try:
        return RUNNERS[family](settings, artifacts)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise FolderError(
            f"the {family} model's setting {name!r} is not valid ({first['msg'].lower()}); copy the model folder again."
        ) from error
    except (KeyError, ValueError) as error:
        raise FolderError(f"the {family} model's arrays do not fit ({error}); copy the model folder again.") from error
