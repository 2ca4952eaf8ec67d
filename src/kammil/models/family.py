"""A family of models as one object with two sides: how it learns, and how what it learnt is opened.

Both sides are imported when they are used, so that completing text needs no PyTorch. How a family learns is a
`Learner`: it counts, or asks for gradient descent, or does both; the training loop is handed in and knows no family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kammil.engine.quantization import unpack
from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.language_model import Artifacts, Ids, SavedModel, Settings

if TYPE_CHECKING:
    from torch import nn

    from kammil.model_folder import ModelFiles
    from kammil.models.subwords.pretokenize import Segmenter
    from kammil.vocabulary import CharacterVocabulary

Weights = Mapping[str, NDArray[np.generic]]
N = TypeVar("N", bound="nn.Module")
S = TypeVar("S", bound=Settings)
S_co = TypeVar("S_co", bound=Settings, covariant=True)


@dataclass(frozen=True)
class TrainingTexts:
    """The texts of a run, encoded, and the model that it goes on from."""

    texts: Sequence[str]
    """Training texts, normalised."""
    train: Sequence[Ids]
    """The same, encoded, specials left out."""
    validation: Sequence[Ids]
    """Encoded texts that share no near-duplicate with the training texts."""
    vocabulary: CharacterVocabulary
    base: ModelFiles | None = None
    """The model to go on from."""
    base_texts: Sequence[str] = ()
    """The texts that it was trained on, where they are known."""


class TextPiece(Protocol):
    """A piece of a text: the positions whose inputs are its ids but the last."""

    @property
    def text(self) -> int:
        """Number of the text."""
        ...

    @property
    def begin(self) -> int:
        """First position of the text that is in the piece."""
        ...

    @property
    def ids(self) -> Ids:
        """(T + 1,)."""
        ...


class ExtraInputs(Protocol):
    """Arrays for a network's `forward`, beside the ids."""

    def __call__(self, rows: Sequence[TextPiece], width: int, *, learning: bool) -> tuple[NDArray[np.generic], ...]:
        """Of a batch of `width` positions a row, of training texts (`learning`) or of validation texts."""
        ...


def _nothing(network: object, base: Weights) -> None:
    del network, base


@dataclass(frozen=True)
class NetworkTask(Generic[N]):
    """Networks that are to be trained, each by itself with a seed of its own, on the same texts."""

    build: Callable[[], N]
    """A new network; PyTorch's global generator decides its weights."""
    train: Sequence[Ids]
    validation: Sequence[Ids]
    widths: Ids | None = None
    """Characters of each id, (V,), where ids are units; None where each is one character."""
    extra_inputs: ExtraInputs | None = None
    """What the networks are shown beside the ids."""
    count: int = 1
    """How many networks."""
    bases: Sequence[Weights] = ()
    """Weights to go on from; network i begins with the i-th, from the first again where they are fewer."""
    inherit: Callable[[N, Weights], None] = _nothing
    """What a network takes over of its base beside weights of the same name and size; in place."""


class GradientDescent(Protocol):
    """The one training loop."""

    def __call__(self, task: NetworkTask[N]) -> list[N]:
        """The trained networks, which no longer drop anything."""
        ...


@dataclass(frozen=True, kw_only=True)
class Learner(ABC, Generic[S_co]):
    """How a family learns."""

    settings: type[S_co]
    training: Mapping[str, float] = field(default_factory=dict[str, float])
    """Options of the training loop that suit this family better than their defaults."""
    beats_counters: bool = False
    """Whether a model that is behind a counter of the same texts had too little time, which its user is told."""

    def check(self, values: Mapping[str, Any]) -> S_co:
        """Checked settings; `OptionError` with one sentence for the first that is wrong."""
        try:
            return self.settings.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise OptionError(f"{name} is {first['input']!r}, but: {first['msg'].lower()}.") from error

    @abstractmethod
    def fit(self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent) -> tuple[S_co, Artifacts]:
        """Learn the texts with settings of these values: settings as they were resolved, and what was learnt."""


@dataclass(frozen=True, kw_only=True)
class CountingLearner(Learner[S]):
    """Learning by counting: no epochs, no gradient."""

    count: Callable[[Sequence[Ids], Sequence[Ids], int, S], tuple[S, Artifacts]]
    """(training texts, validation texts, V, settings) -> the settings chosen on validation, and the counts."""

    def fit(self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent) -> tuple[S, Artifacts]:
        """Count."""
        del descend
        return self.count(texts.train, texts.validation, texts.vocabulary.size, self.check(values))


@dataclass(frozen=True, kw_only=True)
class NetworkLearner(Learner[S], Generic[S, N]):
    """Learning by gradient descent."""

    build: Callable[[int, S], N]
    """(V, settings) -> a new network."""
    export: Callable[[N], Artifacts]
    """The trained network -> its running side."""
    segment: Callable[[Sequence[Ids], CharacterVocabulary, S], Segmenter] | None = None
    """(training texts, vocabulary, settings) -> units, for a network over units instead of characters: then the first
    argument of `build` is their number."""

    def fit(self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent) -> tuple[S, Artifacts]:
        """Train one network."""
        settings = self.check(values)
        bases = [unpack(texts.base.artifacts.weights)] if texts.base is not None else []
        if self.segment is None:
            size = texts.vocabulary.size
            task = NetworkTask(lambda: self.build(size, settings), texts.train, texts.validation, bases=bases)
            return settings, self.export(*descend(task))
        cut = self.segment(texts.train, texts.vocabulary, settings)
        train, validation = ([cut.encode(ids) for ids in part] for part in (texts.train, texts.validation))
        units = cut.units
        task = NetworkTask(lambda: self.build(units.size, settings), train, validation, units.widths, bases=bases)
        artifacts = self.export(*descend(task))
        return settings, Artifacts({**artifacts.weights, **units.arrays()})


class MergingLearner(Learner[S_co]):
    """A learner whose models can be put together, several as one."""

    @abstractmethod
    def merge(self, settings: Sequence[Mapping[str, Any]], weights: Sequence[Weights]) -> tuple[S_co, Artifacts]:
        """Models that learnt the same texts, each by itself, as one; `ValueError` where they do not fit."""


@dataclass(frozen=True)
class Family:
    """One family. Its sides are named as entry points are, `module:object` within this package, and imported when they
    are used."""

    name: str
    learning_side: str
    """A `Learner`."""
    running_side: str
    """A `SavedModel`."""
    onnx: str | None = None
    """Why a model does not fit into one ONNX graph; None where it does."""
    network_part: bool = False
    """Whether its networks are a model by themselves, which can be exported alone."""

    def learner(self) -> Learner[Settings]:
        """How it learns; `MissingExtraError` if that needs libraries that are not there."""
        try:
            found = resolve_name(f"kammil.models.{self.learning_side}")
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the {self.name} family needs {error.name} to train; run: pip install 'kammil[train]'"
            ) from error
        assert isinstance(found, Learner)
        return found

    def model(self) -> type[SavedModel]:
        """The class of its running side."""
        found = resolve_name(f"kammil.models.{self.running_side}")
        assert issubclass(found, SavedModel)
        return found

    def can(self, capability: type) -> bool:
        """Whether its running side has a capability: `AdaptiveModel`, `BulkSampler` or `ExpertAttribution`."""
        return issubclass(self.model(), capability)

    def open(self, settings: Mapping[str, Any], artifacts: Artifacts) -> SavedModel:
        """The running side of a saved model; `FolderError` if its settings or its arrays are not valid."""
        try:
            return self.model().from_artifacts(settings, artifacts)
        except ValidationError as error:
            first = error.errors()[0]
            setting, why = ".".join(str(part) for part in first["loc"]), first["msg"].lower()
            raise FolderError(
                f"the {self.name} model's setting {setting!r} is not valid ({why}); copy the model folder again."
            ) from error
        except (KeyError, ValueError) as error:
            raise FolderError(
                f"the {self.name} model's arrays do not fit ({error}); copy the model folder again."
            ) from error
