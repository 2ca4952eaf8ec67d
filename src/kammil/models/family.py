"""Families of models: a `Learner` trains, a `SavedModel` runs.

Both are imported on use, so completing text needs no PyTorch. The training loop is passed in and knows no family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from kammil.errors import FolderError, MissingExtraError, OptionError, first_error, wrong_value

if TYPE_CHECKING:  # `kammil --help` would wait for them
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto
    from torch import Tensor, nn

    from kammil.language_model import Artifacts, Ids, SavedModel, Settings
    from kammil.model_folder import ModelConfig, ModelFiles
    from kammil.models.subwords.network import Segmenter
    from kammil.vocabulary import CharacterVocabulary

FamilyName = Literal["ngram", "gru", "words", "subwords", "attention", "transformer", "pretrained", "blend"]
Weights: TypeAlias = "Mapping[str, NDArray[np.generic]]"
N = TypeVar("N", bound="nn.Module")
S = TypeVar("S", bound="Settings")
S_co = TypeVar("S_co", bound="Settings", covariant=True)
LossTerms: TypeAlias = "list[tuple[Tensor, float]]"
"""Pairs of logits, (B, T, V), and the weight of their loss in the sum."""


@dataclass(frozen=True)
class TrainingTexts:
    """The texts of a run, and the model that it starts from."""

    texts: Sequence[str]
    """Training texts, normalised."""
    train: Sequence[Ids]
    """`texts`, encoded without special ids."""
    validation: Sequence[Ids]
    """Share no near-duplicate with `train`."""
    vocabulary: CharacterVocabulary
    base: ModelFiles | None = None
    base_texts: Sequence[str] = ()
    weights: NDArray[np.float64] | None = None
    """Expected draws of each training text in an epoch, (N,); None: one each."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a text: one row of a batch."""

    ids: Ids
    """(T + 1,): inputs are all but the last, targets all but the first."""
    first: int
    """First target position in the loss."""
    stop: int
    """One past the last such position."""
    text: int = 0
    begin: int = 0
    """Position in the text."""


@dataclass(frozen=True)
class NetworkTask(Generic[N]):
    """Networks to train on the same texts, each with its own seed."""

    build: Callable[[], N]
    """Draws weights from PyTorch's global generator."""
    train: Sequence[Ids]
    validation: Sequence[Ids]
    widths: Ids | None = None
    """Characters of each id, (V,), where ids are units; losses are then of one segmentation, an upper bound."""
    extra_inputs: Callable[..., tuple[NDArray[np.generic], ...]] | None = None
    """(chunks, width, learning=) -> further arrays for `forward`."""
    count: int = 1
    """Number of networks."""
    bases: Sequence[Weights] = ()
    """Weights to start from, in turn."""
    rare: Sequence[int] | None = None
    """Ids replaced by UNK half of the time; None: characters of only one text."""
    assemble: Callable[[Sequence[N]], tuple[Settings, Artifacts]] | None = None
    """Builds a model of networks as they are, so that untrained ones can be timed."""
    unknown_bits: float = 0.0
    """Bits that an unknown character costs beyond predicting UNK."""
    weights: NDArray[np.float64] | None = None
    """(texts,): expected draws of each training text in an epoch; None: one each."""


class GradientDescent(Protocol):
    """The training loop of all families."""

    def __call__(self, task: NetworkTask[N]) -> list[N]:
        """Return the trained networks, in evaluation mode."""
        ...


@dataclass(frozen=True, kw_only=True)
class Learner(ABC, Generic[S_co]):
    """Trains a family's models."""

    settings: type[S_co]
    training: Mapping[str, float] = field(default_factory=dict[str, float])
    """Defaults of the training loop that differ from the common ones."""
    of_base: tuple[str, ...] = ()
    """Settings that shape the weights, by default those of a base."""

    def training_defaults(self, values: Mapping[str, Any]) -> Mapping[str, float]:
        """Return `training` for these settings."""
        del values
        return self.training

    def check(self, values: Mapping[str, Any]) -> S_co:
        """Validate settings; `OptionError` for the first that is wrong."""
        from pydantic import ValidationError

        try:
            return self.settings.model_validate(values)
        except ValidationError as error:
            name, value, why = first_error(error)
            if name.partition(".")[0] not in (fields := self.settings.model_fields):
                raise OptionError(f"there is no setting {name!r}; there are {', '.join(fields)}.") from error
            raise wrong_value(name, value, why) from error

    @abstractmethod
    def fit(self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent) -> tuple[S_co, Artifacts]:
        """Train a model; return its resolved settings and artifacts."""


@dataclass(frozen=True, kw_only=True)
class CountingLearner(Learner[S]):
    """Trains by counting alone."""

    count: Callable[[Sequence[Ids], Sequence[Ids], int, S], tuple[S, Artifacts]]
    """(training texts, validation texts, V, settings) -> resolved settings and counts."""

    def fit(self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent) -> tuple[S, Artifacts]:
        """Count the texts."""
        del descend
        return self.count(texts.train, texts.validation, texts.vocabulary.size, self.check(values))


@dataclass(frozen=True, kw_only=True)
class NetworkLearner(Learner[S], Generic[S, N]):
    """Trains one network by gradient descent."""

    build: Callable[[int, S], N]
    """(V, settings) -> new network."""
    segment: Callable[[Sequence[Ids], CharacterVocabulary, S], Segmenter] | None = None
    """(training texts, vocabulary, settings) -> units, for a network over units."""

    def fit(self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent) -> tuple[S, Artifacts]:
        """Train one network."""
        from kammil.engine.weights import unpack

        settings = self.check(values)
        bases = [unpack(texts.base.artifacts.weights)] if texts.base is not None else []
        size, train, validation, widths, arrays = texts.vocabulary.size, texts.train, texts.validation, None, {}
        if self.segment is not None:
            segmenter = self.segment(texts.train, texts.vocabulary, settings)
            train, validation = ([segmenter.encode(ids) for ids in part] for part in (train, validation))
            size, widths, arrays = segmenter.units.size, segmenter.units.widths, segmenter.units.arrays()

        def assemble(networks: Sequence[N]) -> tuple[S, Artifacts]:
            return settings, export(*networks, **arrays)

        build = partial(self.build, size, settings)
        return assemble(descend(NetworkTask(build, train, validation, widths, bases=bases, assemble=assemble)))


def export(network: nn.Module, **arrays: NDArray[np.generic]) -> Artifacts:
    """Return a network's weights by PyTorch's names, with other arrays."""
    from kammil.language_model import Artifacts

    return Artifacts({name: value.detach().cpu().numpy() for name, value in network.state_dict().items()} | arrays)


class MergingLearner(Learner[S_co]):
    """Trains networks on counts; several models merge into one."""

    @abstractmethod
    def sizes(self, characters: int, minutes: float, threads: int) -> Mapping[str, int]:
        """Return the options that characters, minutes and CPU threads decide."""

    @abstractmethod
    def from_base(self, values: Mapping[str, Any], base: ModelConfig) -> Mapping[str, float] | None:
        """Return defaults for a run that keeps its base's counts; None where it cannot."""

    @abstractmethod
    def merge(self, settings: Sequence[Mapping[str, Any]], weights: Sequence[Weights]) -> tuple[S_co, Artifacts]:
        """Merge models of the same texts; `ValueError` where they do not fit."""


@dataclass(frozen=True)
class Family:
    """One family."""

    name: FamilyName
    learning_side: str
    """`Learner` as module:name."""
    running_side: str
    """`SavedModel` as module:class; the module's `graph`, if any, builds the ONNX graph."""
    onnx: str | None = None
    """Why a whole model does not fit into ONNX."""
    part: bool = False
    """Whether the graph has the networks alone."""
    extra: str = "train"
    """Package extra of its learner."""
    needs_base: bool = False

    def check_base(self, settings: Mapping[str, Any]) -> None:
        """Raise `OptionError` if a required base is missing."""
        if self.needs_base and settings.get("base") is None:
            raise OptionError(
                f"the {self.name} family needs a model to start from; give --base with its name on the Hugging Face "
                "Hub or its folder."
            )

    def learner(self) -> Learner[Settings]:
        """Import the learner; `MissingExtraError` without its libraries."""
        try:
            return resolve_name(f"kammil.models.{self.learning_side}")
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the {self.name} family needs {error.name} to train, and --model ngram needs nothing", self.extra
            ) from error

    def model(self) -> type[SavedModel]:
        """Import the class of its models."""
        return resolve_name(f"kammil.models.{self.running_side}")

    def graph(self, settings: Mapping[str, Any], weights: Weights) -> ModelProto:
        """Build the ONNX graph."""
        return resolve_name(f"kammil.models.{self.running_side.partition(':')[0]}:graph")(settings, weights)

    def can(self, capability: type) -> bool:
        """Return whether its models have a capability, such as `AdaptiveModel`."""
        return issubclass(self.model(), capability)

    def open(self, settings: Mapping[str, Any], artifacts: Artifacts) -> SavedModel:
        """Open a saved model; `FolderError` for invalid settings or arrays."""
        from pydantic import ValidationError

        try:
            return self.model().from_artifacts(settings, artifacts)
        except ValidationError as error:
            name, _, why = first_error(error)
            reason = f"setting {name!r} is not valid ({why.lower()})"
        except (KeyError, ValueError, RecursionError) as error:  # RecursionError: deeply nested settings
            reason = f"arrays do not fit ({error})"
        raise FolderError(f"the {self.name} model's {reason}; copy the model folder again.")


_COUNTS = "it looks counts up, for which ONNX has no operator"
_UNITS = "it adds up many ways to cut a text into units, for which ONNX has no operator"
_FAMILIES = (
    Family("ngram", "ngram.counting:LEARNER", "ngram.model:NGramModel", onnx=_COUNTS),
    Family("gru", "gru.network:LEARNER", "gru.model:GRUModel"),
    Family("words", "subwords.network:WORDS", "subwords.model:UnitModel", onnx=_UNITS),
    Family("subwords", "subwords.network:SUBWORDS", "subwords.model:UnitModel", onnx=_UNITS),
    Family("attention", "attention.network:LEARNER", "attention.model:AttentionModel"),
    Family("transformer", "transformer.network:LEARNER", "transformer.model:TransformerModel"),
    Family(
        name="pretrained",
        learning_side="pretrained.network:LEARNER",
        running_side="pretrained.model:PretrainedModel",
        onnx=_UNITS,
        extra="hf",
        needs_base=True,
    ),
    Family("blend", "blend.network:LEARNER", "blend.model:BlendModel", onnx=_COUNTS, part=True),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _FAMILIES}
"""Families by name, in rising order of what they can express."""


def family(name: str) -> Family:
    """Return a family; `OptionError` for an unknown name."""
    if name not in FAMILIES:
        raise OptionError(f"model is {name!r}, but it must be one of {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def load_model(name: str, settings: Mapping[str, Any], artifacts: Artifacts) -> SavedModel:
    """Open a saved model; `FolderError` for an unknown family or invalid parts."""
    if name not in FAMILIES:
        names = ", ".join(FAMILIES)
        raise FolderError(f"the model is of family {name!r}, and this Kammil knows {names}; update Kammil.")
    return FAMILIES[name].open(settings, artifacts)
