"""The recipe of a model: all options of reading, training and its family."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kammil.data.files import ReadKeywords
from kammil.errors import OptionError, first_error, unknown_option, wrong_value
from kammil.models.family import FamilyName, family
from kammil.text import RAW, TextRules
from kammil.training.batches import Objective

TimeKind = Literal["wall", "processor"]


class TrainingOptions(BaseModel):
    """Options of the training loop."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int | None = Field(default=None, ge=1, le=100_000)
    """Maximum number of passes over the training texts. None: about 3,700 steps, in 3 to 12 passes
    (docs/log.md#how-many-epochs)."""
    minutes: float | None = Field(default=None, gt=0)
    """Time limit of the whole run, from reading to the final figures. The schedule is fitted into it, and a blend
    chooses its size by it. A base, and each member, has a limit of its own."""
    clock: TimeKind = "wall"
    """Clock of `minutes`: `wall`, or `processor`, the processor time of all threads."""
    objective: Objective = "text"
    """`text`: every position counts; `completion`: only the 30 characters after the middle of each text."""
    batch_size: int = Field(default=8, ge=1, le=65_536)
    """Texts a step; on the benchmark's tweets 16 is 0.04 bits behind in equal time, 32 more
    (docs/log.md#which-batch-size-learning-rate-and-dropout-for-the-gru)."""
    block: int = Field(default=512, ge=8, le=65_536)
    """Maximum number of characters learnt at once, which bounds memory."""
    learning_rate: float = Field(default=4e-3, gt=0, le=1)
    """Peak learning rate of AdamW, for batches of 8; for 16 and 32, 6e-3 did best."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon`: the recurrent matrix of a GRU is updated by Muon, all other parameters by AdamW."""
    epoch_steps: int | None = Field(default=None, ge=1)
    """Steps of an epoch, which ends with a validation and a checkpoint; None: a pass over the texts."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay, of matrices alone."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the run in which the learning rate rises."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Maximum 2-norm of the gradient."""
    patience: int = Field(default=8, ge=1)
    """Number of epochs without fewer validation bits that ends training."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Random seed of the initial weights, the order of texts, and dropout."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train; `auto` takes an accelerator if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the factors of matrix products in training; everything else is in single precision. `auto` takes
    bfloat16 where the processor has instructions for it, which halves the time of a GRU."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of training; None leaves the number to PyTorch."""


READING = (
    *("column", "where", "encoding", "delimiter", "sheet", "sender", "raw", "rules"),
    *("exclude", "unique", "source_column", "weights"),
)
"""Options on which texts are learnt, how they are normalised, and how often each is drawn."""


class Options(ReadKeywords, total=False):
    """Options of `Recipe`, `TrainingOptions` and the families' settings, by keyword."""

    model: FamilyName
    raw: bool
    rules: Mapping[str, bool]
    exclude: Sequence[str]
    unique: bool
    weights: Mapping[str, float]
    least: int
    base: Mapping[str, Any] | str | None
    members: Sequence[Mapping[str, Any]]
    epochs: int | None
    minutes: float | None
    clock: TimeKind
    objective: Objective
    batch_size: int
    block: int
    learning_rate: float
    optimizer: Literal["adamw", "muon"]
    epoch_steps: int | None
    weight_decay: float
    warmup: float
    gradient_clip: float
    patience: int
    seed: int
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "float32", "bfloat16"]
    threads: int | None
    order: int | None
    embedding: int
    hidden: int
    dropout: float
    word_texts: int
    most_words: int
    subwords: int
    attention: int
    width: int
    layers: int
    heads: int
    window: int
    lora_rank: int
    lora_alpha: float
    networks: int
    gate: int
    kinds: Sequence[str]
    history: Sequence[str]
    most: int
    min_count: int
    megabytes: float | None
    base_counts: bool


class Recipe(BaseModel):
    """All options that decide what a model becomes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str | None = None
    """Column of a table that holds the texts."""
    where: str | None = None
    """SQL condition on the rows of a table."""
    encoding: str = "utf-8"
    delimiter: str | None = None
    """Character between the cells of a table, or "tab"; None guesses it."""
    sheet: str | None = None
    """Name or number of the sheet of a workbook; None: the first."""
    sender: str | None = None
    """Sender to keep in a chat; None for all."""
    model: str = "blend"
    """Family; a blend is best at equal time (docs/log.md#which-family-is-best-at-equal-time)."""
    raw: bool = False
    """Apply no text rule."""
    rules: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Text rules to switch off (or on), by name."""
    exclude: tuple[str, ...] = ()
    """Files or data sets: training texts that resemble theirs are left out."""
    unique: bool = False
    """Learn from one text of each group of near-duplicates."""
    source_column: str | None = None
    """Column with the source of each text; None: `source`, if there is one, or the data set."""
    weights: dict[str, Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]] = Field(
        default_factory=dict[str, float]
    )
    """Expected draws of a text per epoch, by source; 1 for others."""
    least: int = Field(default=1, ge=1)
    """Minimum document frequency of a character; rarer ones map to UNK."""
    base: dict[str, Any] | str | None = None
    """Model to start from: a model folder, or the recipe of one that is trained first, with its `source` and
    `validation`. A network takes its weights, a blend also its counts (`BlendSettings.base_counts`)."""
    members: tuple[dict[str, Any], ...] = Field(default=(), max_length=16)
    """Recipes of blends that are trained on the same texts, each from its own base, and merged by averaging their
    log-probabilities. A member has the options of this recipe that it does not name."""
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])
    training: TrainingOptions = TrainingOptions()

    @property
    def text_rules(self) -> TextRules:
        """The text rules that apply."""
        return RAW if self.raw else TextRules.from_dict(self.rules)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Recipe:
        """Build a recipe from flat options; None leaves the default. `OptionError` for an unknown or wrong one."""
        named = {name: value for name, value in options.items() if value is not None}
        chosen = str(named.get("model", cls.model_fields["model"].default))
        try:
            TrainingOptions.model_validate(_take(dict(named), TrainingOptions.model_fields))
        except ValidationError as error:  # at once, since a learner imports PyTorch
            raise wrong_value(*first_error(error)) from error
        learner = family(chosen).learner()
        # A family's setting of a name, such as `base`, goes before ours.
        direct = cls.model_fields.keys() - {"settings", "training"} - learner.settings.model_fields.keys()
        names = [*direct, *TrainingOptions.model_fields, *learner.settings.model_fields]
        settings = _take(named, learner.settings.model_fields)
        training = {**learner.training_defaults(settings), **_take(named, TrainingOptions.model_fields)}
        unknown = sorted(named.keys() - direct)
        if unknown:
            known = f"the settings of {chosen} are {', '.join(learner.settings.model_fields)}"
            raise unknown_option(unknown[0], names, f"{known}; kammil train --help lists the rest.")
        try:
            recipe = cls.model_validate({**named, "settings": settings, "training": training})
        except ValidationError as error:
            name, value, why = first_error(error)
            raise wrong_value(name.removeprefix("training."), value, why) from error
        unknown_rules = sorted(recipe.rules.keys() - RAW.to_dict().keys())
        if unknown_rules:
            raise OptionError(f"there is no text rule {unknown_rules[0]!r}; the rules are {', '.join(RAW.to_dict())}.")
        return recipe.model_copy(update={"settings": learner.check(settings).model_dump(mode="json")})

    def changed(self, options: Mapping[str, Any]) -> Recipe:
        """Return the recipe with other settings and training options, by flat names."""
        settings = {name: value for name, value in options.items() if name in self.settings}
        training = {name: value for name, value in options.items() if name not in settings}
        return self.model_copy(
            update={
                "settings": self.settings | settings,
                "training": self.training.model_copy(update=training),
            }
        )


def options_toml(options: Mapping[str, Any]) -> str:
    """Format options for `kammil train --config`."""
    return "".join(f"{name} = {toml(value)}\n" for name, value in options.items() if value is not None)


def toml(value: object) -> str:
    """Format plain values as TOML, tables inline; None values of a table are dropped."""
    if isinstance(value, Mapping):
        items = cast(Mapping[str, object], value).items()
        return "{" + ", ".join(f"{_quoted(name)} = {toml(v)}" for name, v in items if v is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, cast(Sequence[object], value))) + "]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _take(values: dict[str, Any], names: Mapping[str, object]) -> dict[str, Any]:
    return {name: values.pop(name) for name in list(values) if name in names}
