"""The learning side of each family, by name; importing this module imports none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kammil.errors import MissingExtraError, OptionError
from kammil.models.base import Artifacts, Ids, Settings

if TYPE_CHECKING:
    from torch import nn

    from kammil.models.blend import Experts
    from kammil.models.pieces import Segmentation
    from kammil.vocabulary import CharacterVocabulary


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
    segment: Callable[[Sequence[Ids], CharacterVocabulary, Any], Segmentation] | None = None
    """(training texts, vocabulary, settings) -> units, for a network over units instead of characters: then the first
    argument of `build` is their number."""
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Options of the training loop that suit this family better than their defaults."""


@dataclass(frozen=True)
class Blended:
    """A family that counts and learns by gradient descent, both at once."""

    settings: type[Settings]
    experts: Callable[..., Experts]
    """Counts the texts; see `blend.Experts`."""
    build: Callable[[int, Any, int], nn.Module]
    """(V, settings, number of experts) -> a new network and gate."""
    export: Callable[[Any], Artifacts]
    """The trained network and gate -> its running side, but for the counts."""
    inherit: Callable[[Any, Any, Mapping[str, NDArray[np.generic]], Any], None]
    """(network, settings, weights of another one, its settings): takes over its gate, where that fits."""
    merge: Callable[[Sequence[Any], Sequence[Mapping[str, NDArray[np.generic]]]], tuple[Settings, Artifacts]]
    """(settings of each, arrays of each) -> models that learnt apart as one; `ValueError` where they do not fit."""
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """As in `Neural`."""


def _ngram() -> Counting:
    from kammil.models import ngram

    return Counting(ngram.NGramSettings, ngram.fit)


def _gru() -> Neural:
    from kammil.models import gru

    return Neural(gru.GRUSettings, gru.build, gru.export)


def _attention() -> Neural:
    from kammil.models import attention

    return Neural(attention.AttentionSettings, attention.build, attention.export)


def _transformer() -> Neural:
    from kammil.models import transformer

    # In two epochs of the benchmark 3.53 bits with this rate, 3.65 with the loop's own.
    return Neural(
        transformer.TransformerSettings, transformer.build, transformer.export, training={"learning_rate": 2e-3}
    )


def _words() -> Neural:
    from kammil.models import gru, words

    return Neural(words.WordSettings, gru.build, gru.export, words.segment)


def _subwords() -> Neural:
    from kammil.models import gru, subwords

    return Neural(subwords.SubwordSettings, gru.build, gru.export, subwords.segment)


def _blend() -> Blended:
    from kammil.models import blend, mixing

    # On the benchmark's validation texts 6 passes in batches of 16 ended at 2.88 bits, 8 in batches of 8 at 2.89; more
    # than 8 passes over-fit.
    return Blended(
        mixing.BlendSettings,
        blend.Experts,
        blend.build,
        blend.export,
        blend.inherit,
        blend.merge,
        {"batch_size": 16, "epochs": 8},
    )


Family = Counting | Neural | Blended

FAMILIES: dict[str, Callable[[], Family]] = {
    "ngram": _ngram,
    "gru": _gru,
    "words": _words,
    "subwords": _subwords,
    "attention": _attention,
    "transformer": _transformer,
    "blend": _blend,
}
"""In rising order of what they can express."""


def family(name: str) -> Family:
    """A family; `OptionError` for an unknown name, `MissingExtraError` if it needs libraries that are not there."""
    if name not in FAMILIES:
        raise OptionError(f"model is {name!r}, but it must be one of {', '.join(FAMILIES)}.")
    try:
        return FAMILIES[name]()
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the {name} family needs {error.name} to train; run: pip install 'kammil[train]'"
        ) from error


def settings_of(chosen: Family, values: dict[str, Any]) -> Settings:
    """Checked settings of a family; `OptionError` with one sentence for the first that is wrong."""
    try:
        return chosen.settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise OptionError(f"{name} is {first['input']!r}, but: {first['msg'].lower()}.") from error
