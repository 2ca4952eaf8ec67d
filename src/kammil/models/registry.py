"""Every family by name: how it is trained, and how it is opened. Importing this module imports none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.language_model import Artifacts, Ids, LanguageModel, Settings

if TYPE_CHECKING:
    from torch import nn

    from kammil.models.blend.experts import NgramExperts
    from kammil.models.subwords.pretokenize import Segmenter
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
    segment: Callable[[Sequence[Ids], CharacterVocabulary, Any], Segmenter] | None = None
    """(training texts, vocabulary, settings) -> units, for a network over units instead of characters: then the first
    argument of `build` is their number."""
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Options of the training loop that suit this family better than their defaults."""


@dataclass(frozen=True)
class Blended:
    """A family that counts and learns by gradient descent, both at once."""

    settings: type[Settings]
    experts: Callable[..., NgramExperts]
    """Counts the texts; see `blend.NgramExperts`."""
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
    from kammil.models.ngram import counting as ngram_counting
    from kammil.models.ngram import model as ngram_model

    return Counting(ngram_model.NGramSettings, ngram_counting.fit)


def _gru() -> Neural:
    from kammil.models.gru import network as gru_network

    return Neural(gru_network.GRUSettings, gru_network.build, gru_network.export)


def _attention() -> Neural:
    from kammil.models.attention import network as attention_network

    return Neural(attention_network.AttentionSettings, attention_network.build, attention_network.export)


def _transformer() -> Neural:
    from kammil.models.transformer import network as transformer_network

    # In two epochs of the benchmark 3.53 bits with this rate, 3.65 with the loop's own.
    return Neural(
        transformer_network.TransformerSettings,
        transformer_network.build,
        transformer_network.export,
        training={"learning_rate": 2e-3},
    )


def _words() -> Neural:
    from kammil.models.gru import network as gru_network
    from kammil.models.subwords import words

    return Neural(words.WordSettings, gru_network.build, gru_network.export, words.word_segmenter)


def _subwords() -> Neural:
    from kammil.models.gru import network as gru_network
    from kammil.models.subwords import bpe

    return Neural(bpe.SubwordSettings, gru_network.build, gru_network.export, bpe.bpe_segmenter)


def _blend() -> Blended:
    from kammil.models.blend import experts as blend_experts
    from kammil.models.blend import merge as blend_merge
    from kammil.models.blend import settings as blend_settings

    # On the benchmark's validation texts 6 passes in batches of 16 ended at 2.88 bits, 8 in batches of 8 at 2.89; more
    # than 8 passes over-fit.
    return Blended(
        blend_settings.BlendSettings,
        blend_experts.NgramExperts,
        blend_merge.build,
        blend_merge.export,
        blend_merge.inherit,
        blend_merge.merge,
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


def _open_gru(_settings: Mapping[str, Any], artifacts: Artifacts) -> LanguageModel:
    from kammil.models.gru.model import GRUModel

    return GRUModel(artifacts.weights)


def _open_attention(_settings: Mapping[str, Any], artifacts: Artifacts) -> LanguageModel:
    from kammil.models.attention.model import AttentionModel

    return AttentionModel(artifacts.weights)


def _open_transformer(settings: Mapping[str, Any], artifacts: Artifacts) -> LanguageModel:
    from kammil.models.transformer.model import TransformerModel, TransformerSettings

    return TransformerModel(TransformerSettings.model_validate(settings), artifacts.weights)


def _open_ngram(settings: Mapping[str, Any], artifacts: Artifacts) -> LanguageModel:
    from kammil.models.ngram.model import NGramModel, NGramSettings

    return NGramModel(NGramSettings.model_validate(settings), artifacts.weights)


def _open_units(_settings: Mapping[str, Any], artifacts: Artifacts) -> LanguageModel:
    from kammil.models.gru.model import SinglePrecisionGRU
    from kammil.models.subwords.model import UnitModel
    from kammil.models.subwords.trie import UnitVocabulary

    return UnitModel(SinglePrecisionGRU(artifacts.weights), UnitVocabulary.from_arrays(artifacts.weights))


def _open_blend(settings: Mapping[str, Any], artifacts: Artifacts) -> LanguageModel:
    from kammil.models.blend.model import BlendModel
    from kammil.models.blend.settings import BlendSettings

    return BlendModel(BlendSettings.model_validate(settings), artifacts.weights)


RUNNERS: dict[str, Callable[[Mapping[str, Any], Artifacts], LanguageModel]] = {
    "ngram": _open_ngram,
    "gru": _open_gru,
    "words": _open_units,
    "subwords": _open_units,
    "attention": _open_attention,
    "transformer": _open_transformer,
    "blend": _open_blend,
}
"""The running side of each family."""


def load_model(family: str, settings: Mapping[str, Any], artifacts: Artifacts) -> LanguageModel:
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
