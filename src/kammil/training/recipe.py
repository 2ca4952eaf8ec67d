"""The recipe of a model: all options of reading, training and its family, from defaults, a TOML file and flags."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kammil.errors import OptionError, wrong_value
from kammil.models.family import FamilyName, family
from kammil.text import RAW, TextRules
from kammil.training.batches import Objective
from kammil.training.options import TimeKind, TrainingOptions

READING = (
    *("column", "where", "encoding", "delimiter", "sender", "raw", "rules"),
    *("exclude", "unique", "source_column", "weights"),
)
"""Options that decide which texts a model is trained on, how they are normalised, and how often each is learnt."""


class Options(TypedDict, total=False):
    """All options by keyword: of `Recipe`, of `TrainingOptions`, and of the families' settings."""

    column: str | None
    where: str | None
    encoding: str
    delimiter: str | None
    sender: str | None
    model: FamilyName
    raw: bool
    rules: Mapping[str, bool]
    exclude: Sequence[str]
    unique: bool
    source_column: str | None
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
    """All options that decide what a model becomes, as they are saved in its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str | None = None
    """Column of a table that holds the texts."""
    where: str | None = None
    """SQL condition on the rows of a table."""
    encoding: str = "utf-8"
    delimiter: str | None = None
    """Character between the cells of a table, or "tab"; None: it is found out."""
    sender: str | None = None
    """Sender whose messages of a chat are learnt; None for all."""
    model: str = "blend"
    """Family of the model. In three minutes on the benchmark's tweets the blend ends at 2.87 bits, a GRU alone at 3.14,
    and the blend is ahead from the first seconds on (docs/log.md#which-family-is-best-at-equal-time)."""
    raw: bool = False
    """Apply no text rule at all."""
    rules: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Text rules to switch off (or on), by name."""
    exclude: tuple[str, ...] = ()
    """Files or data sets: training texts that resemble theirs (`near_duplicates.resembling`) are left out."""
    unique: bool = False
    """Learn from one text of each group of near-duplicates."""
    source_column: str | None = None
    """Column of a table that says where each text comes from; None: `source`, if there is one. A text of a named data
    set comes from it."""
    weights: dict[str, Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]] = Field(
        default_factory=dict[str, float]
    )
    """Sampling weight of each source: expected draws of a text in an epoch of gradient descent; 1 for other sources.
    Every text is counted once, and validation is not weighed."""
    least: int = Field(default=1, ge=1)
    """Minimum number of training texts that hold a character of the vocabulary; others are unknown."""
    base: dict[str, Any] | str | None = None
    """Model to start from: a model folder, or the recipe of a model that is trained first, with its `source` and
    `validation`. A network starts with its weights; a blend also has its counts, in separate tables: counted anew where
    the base is a recipe, those of its folder else (`BlendSettings.base_counts`)."""
    members: tuple[dict[str, Any], ...] = Field(default=(), max_length=16)
    """Recipes of blends that are trained on the same texts, each separately and from its own base, and merged into one:
    their log-probabilities are averaged. Options that a member does not name are those of this recipe."""
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Settings of the family."""
    training: TrainingOptions = TrainingOptions()
    """Options of the training loop; `seed` also decides the split."""

    @property
    def text_rules(self) -> TextRules:
        """The text rules that apply."""
        return RAW if self.raw else TextRules.from_dict(self.rules)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Recipe:
        """Build a recipe from flat options, as a command line or a TOML file gives them.

        Each name is an option of the recipe, of the training loop or of the family; None leaves its default. Raises
        `OptionError` for an unknown name and for a value out of range.
        """
        named = {name: value for name, value in options.items() if value is not None}
        chosen = str(named.get("model", cls.model_fields["model"].default))
        learner = family(chosen).learner()
        # The first two are built here, from flat names; a family's setting of a name, such as `base`, goes before ours.
        direct = cls.model_fields.keys() - {"settings", "training"} - learner.settings.model_fields.keys()
        names = [*direct, *TrainingOptions.model_fields, *learner.settings.model_fields]
        settings = _take(named, learner.settings.model_fields)
        training = {**learner.training_defaults(settings), **_take(named, TrainingOptions.model_fields)}
        unknown = sorted(named.keys() - direct)
        if unknown:
            similar = difflib.get_close_matches(unknown[0], names, 1)
            known = f"the settings of {chosen} are {', '.join(learner.settings.model_fields)}"
            hint = f"did you mean {similar[0]!r}?" if similar else f"{known}; kammil train --help lists the rest."
            raise OptionError(f"there is no option {unknown[0]!r}; {hint}")
        try:
            recipe = cls.model_validate({**named, "settings": settings, "training": training})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]).removeprefix("training.")
            raise wrong_value(name, first["input"], first["msg"]) from error
        unknown_rules = sorted(recipe.rules.keys() - RAW.to_dict().keys())
        if unknown_rules:
            raise OptionError(f"there is no text rule {unknown_rules[0]!r}; the rules are {', '.join(RAW.to_dict())}.")
        return recipe.model_copy(update={"settings": learner.check(settings).model_dump(mode="json")})

    def changed(self, options: Mapping[str, Any]) -> Recipe:
        """Return the recipe with other values of settings and of options of training, by their flat names."""
        settings = {name: value for name, value in options.items() if name in self.settings}
        training = {name: value for name, value in options.items() if name not in settings}
        return self.model_copy(
            update={
                "settings": self.settings | settings,
                "training": self.training.model_copy(update=training),
            }
        )


def options_toml(options: Mapping[str, Any]) -> str:
    """Return options as a file for `kammil train --config`, one a line."""
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
