"""Families of models: a `Learner`, which trains a model, and a `SavedModel`, which runs a trained one.

Both sides are imported when they are used, so that completing text needs no PyTorch. A learner counts, or asks for
gradient descent, or does both; the training loop is passed in and depends on no family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from kammil.errors import FolderError, MissingExtraError, OptionError, wrong_value

if TYPE_CHECKING:  # `kammil --help` would wait for them
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto
    from pydantic import ValidationError
    from torch import Tensor, nn

    from kammil.language_model import Artifacts, Ids, SavedModel, Settings
    from kammil.model_folder import ModelConfig, ModelFiles
    from kammil.models.subwords.network import Segmenter
    from kammil.vocabulary import CharacterVocabulary

FamilyName = Literal["ngram", "gru", "words", "subwords", "attention", "transformer", "pretrained", "blend"]
"""Names of `FAMILIES`."""
Weights: TypeAlias = "Mapping[str, NDArray[np.generic]]"
N = TypeVar("N", bound="nn.Module")
S = TypeVar("S", bound="Settings")
S_co = TypeVar("S_co", bound="Settings", covariant=True)
LossTerms: TypeAlias = "list[tuple[Tensor, float]]"
"""Logits (B, T, V) and weights: the training loss is the weighted sum of their losses."""


@dataclass(frozen=True)
class TrainingTexts:
    """The texts of a run, encoded, and the model that training starts from."""

    texts: Sequence[str]
    """Training texts, normalised."""
    train: Sequence[Ids]
    """The training texts, encoded, without special ids."""
    validation: Sequence[Ids]
    """Encoded texts that share no near-duplicate with the training texts."""
    vocabulary: CharacterVocabulary
    base: ModelFiles | None = None
    base_texts: Sequence[str] = ()
    """Training texts of the base, where they are known."""
    weights: NDArray[np.float64] | None = None
    """Expected draws of each training text in an epoch of gradient descent, (N,); None: one each."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a text, at most a block long: one row of a batch."""

    ids: Ids
    """(T + 1,): all ids but the last are inputs, all but the first are targets."""
    first: int
    """First target position that enters the loss."""
    stop: int
    """One past the last of them."""
    text: int = 0
    """Index of its text."""
    begin: int = 0
    """Its position in the text."""


@dataclass(frozen=True)
class NetworkTask(Generic[N]):
    """Networks to train on the same texts, each separately and with its own seed."""

    build: Callable[[], N]
    """Returns a new network, drawn by PyTorch's global generator."""
    train: Sequence[Ids]
    validation: Sequence[Ids]
    widths: Ids | None = None
    """Number of characters of each id, (V,), where ids are units."""
    extra_inputs: Callable[..., tuple[NDArray[np.generic], ...]] | None = None
    """(chunks, width, learning=) -> arrays that `forward` takes beside the ids of `width` positions a row."""
    count: int = 1
    """Number of networks."""
    bases: Sequence[Weights] = ()
    """Weights to start from, in turn."""
    rare: Sequence[int] | None = None
    """Ids that are replaced by UNK half of the time; None: the characters that only one text has."""
    assemble: Callable[[Sequence[N]], tuple[Settings, Artifacts]] | None = None
    """Returns the model of the networks as they are: one of untrained networks is timed."""


class GradientDescent(Protocol):
    """The training loop that all families share."""

    def __call__(self, task: NetworkTask[N]) -> list[N]:
        """Return the trained networks, in evaluation mode."""
        ...


@dataclass(frozen=True, kw_only=True)
class Learner(ABC, Generic[S_co]):
    """Trains the models of a family."""

    settings: type[S_co]
    training: Mapping[str, float] = field(default_factory=dict[str, float])
    """Defaults of the training loop that differ from the common ones."""
    of_base: tuple[str, ...] = ()
    """Settings that decide the shapes of weights: a run takes them from its base where they are not given."""

    def training_defaults(self, values: Mapping[str, Any]) -> Mapping[str, float]:
        """Return `training` for settings of these values."""
        del values
        return self.training

    def check(self, values: Mapping[str, Any]) -> S_co:
        """Validate settings; `OptionError` for the first that is wrong."""
        from pydantic import ValidationError

        try:
            return self.settings.model_validate(values)
        except ValidationError as error:
            name, value, why = _first_error(error)
            if name.partition(".")[0] not in (fields := self.settings.model_fields):
                raise OptionError(f"there is no setting {name!r}; there are {', '.join(fields)}.") from error
            raise wrong_value(name, value, why) from error

    @abstractmethod
    def fit(self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent) -> tuple[S_co, Artifacts]:
        """Train a model; return the resolved settings and its artifacts."""


@dataclass(frozen=True, kw_only=True)
class CountingLearner(Learner[S]):
    """Trains by counting: no epochs, no gradient."""

    count: Callable[[Sequence[Ids], Sequence[Ids], int, S], tuple[S, Artifacts]]
    """(training texts, validation texts, V, settings) -> the settings chosen on validation, and the counts."""

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
    """(training texts, vocabulary, settings) -> units, for a network over units, whose number `build` is given."""

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
    """Return the weights of a network by PyTorch's names, and other arrays of its model."""
    from kammil.language_model import Artifacts

    return Artifacts({name: value.detach().cpu().numpy() for name, value in network.state_dict().items()} | arrays)


class MergingLearner(Learner[S_co]):
    """Trains networks on top of counts, as the blend does: several models can be merged into one."""

    @abstractmethod
    def sizes(self, characters: int, minutes: float, threads: int) -> Mapping[str, int]:
        """Return the options that a number of characters of text, minutes and CPU threads decide."""

    @abstractmethod
    def from_base(self, values: Mapping[str, Any], base: ModelConfig) -> Mapping[str, float] | None:
        """Return defaults for a run that keeps the counts of its base, and so its vocabulary; None where it cannot."""

    @abstractmethod
    def merge(self, settings: Sequence[Mapping[str, Any]], weights: Sequence[Weights]) -> tuple[S_co, Artifacts]:
        """Merge models that were trained separately on the same texts; `ValueError` where they do not fit."""


@dataclass(frozen=True)
class Family:
    """One family, whose sides are named by their place in this package."""

    name: FamilyName
    learning_side: str
    """Module and name of its `Learner`."""
    running_side: str
    """Module and class of its `SavedModel`; the module's `graph` builds the ONNX graph, if there is one."""
    onnx: str | None = None
    """Reason why a whole model does not fit into ONNX."""
    part: bool = False
    """Whether the graph is that of its networks alone."""
    extra: str = "train"
    """Extra of the package that its learner needs."""
    needs_base: bool = False
    """Whether the option `base` must name a model to start from."""

    def check_base(self, settings: Mapping[str, Any]) -> None:
        """Raise `OptionError` if the family needs a base and the settings name none."""
        if self.needs_base and settings.get("base") is None:
            raise OptionError(
                f"the {self.name} family needs a model to start from; give --base with its name on the Hugging Face "
                "Hub or its folder."
            )

    def learner(self) -> Learner[Settings]:
        """Import the learner; `MissingExtraError` if it needs libraries that are not installed."""
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
        """Build the ONNX graph of a model, or of its networks."""
        return resolve_name(f"kammil.models.{self.running_side.partition(':')[0]}:graph")(settings, weights)

    def can(self, capability: type) -> bool:
        """Whether its models have a capability: `AdaptiveModel`, `BulkSampler` or `ExpertAttribution`."""
        return issubclass(self.model(), capability)

    def open(self, settings: Mapping[str, Any], artifacts: Artifacts) -> SavedModel:
        """Open a saved model; `FolderError` if its settings or its arrays are not valid."""
        from pydantic import ValidationError

        try:
            return self.model().from_artifacts(settings, artifacts)
        except ValidationError as error:
            name, _, why = _first_error(error)
            reason = f"setting {name!r} is not valid ({why.lower()})"
        except (KeyError, ValueError, RecursionError) as error:  # RecursionError: a configuration that is nested deeply
            reason = f"arrays do not fit ({error})"
        raise FolderError(f"the {self.name} model's {reason}; copy the model folder again.")


def _first_error(error: ValidationError) -> tuple[str, Any, str]:
    first = error.errors()[0]
    return ".".join(str(part) for part in first["loc"]), first["input"], first["msg"]


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
    """Open a saved model; `FolderError` if the family is unknown or its parts are not valid."""
    if name not in FAMILIES:
        names = ", ".join(FAMILIES)
        raise FolderError(f"the model is of family {name!r}, and this Kammil knows {names}; update Kammil.")
    return FAMILIES[name].open(settings, artifacts)
