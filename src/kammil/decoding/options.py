"""The options of decoding: checked, frozen, and a few named sets of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kammil.data.bloom import RUN
from kammil.errors import OptionError

MAX_LENGTH = 100_000
"""Characters of one completion at most."""
MAX_BEAMS = 64
"""Beams at most, and completions drawn for one by `best_of`: all of them are stepped in one batch."""
MAX_COMPLETIONS = 1000
"""Completions of one prompt at most."""
MAX_FORCED = 4
"""Forced strings at most: which of them stand already is kept for every subset of them."""
MAX_PATTERNS = 20_000
"""Characters of all forbidden and forced strings together at most."""


class FrozenOptions(BaseModel):
    """Options that are checked once, and never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def checked(cls, options: Mapping[str, object]) -> Self:
        """Return the options; `OptionError` with one sentence for the first that is wrong."""
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "options"
            if first["type"] == "extra_forbidden":
                near = difflib.get_close_matches(name, cls.model_fields, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(cls.model_fields)}."
                raise OptionError(f"there is no option {name!r}; {hint}", option=name) from error
            extra = cls.model_fields[name].json_schema_extra if name in cls.model_fields else None
            reason = extra["reason"] if isinstance(extra, dict) else re.sub(r"^\w+ should", "it must", first["msg"])
            raise OptionError(f"{name} is {first['input']!r}, but {reason}.", option=name) from error


def option(default: Any, description: str, *, reason: str, **bounds: Any) -> Any:
    """Return a field of `FrozenOptions`.

    Args:
        default: its default.
        description: one sentence, for `--help`, the API's document and plug-ins.
        reason: what a wrong value is told, after "but".
        bounds: those of `pydantic.Field`.
    """
    return Field(default=default, description=description, json_schema_extra={"reason": reason}, **bounds)


class DecodingOptions(FrozenOptions):
    """How a text is decoded: by sampling, or, with beams, by searching.

    Flags, fields of the API and the reasons of errors are made of these fields; `Options` says the same to type
    checkers. A filter of the probabilities needs a function in `filters.FILTERS` besides; its default switches it off.

    Strings (`stop`, `forbid`, `force`) are matched code point by code point: `stop` and `force` on the generated text,
    `forbid` also across the seam with the prompt. Penalties count the generated text. What is refused (`forbid`,
    `no_copy`, blocked words) wins over what is asked for (`min_length`, `force`): where no character may follow, the
    text ends.
    """

    length: int = option(  # the notebook's task asks for 30
        30,
        "Maximum number of characters to write.",
        reason=f"it must be a whole number from 0 to {MAX_LENGTH}",
        ge=0,
        le=MAX_LENGTH,
    )
    temperature: float = option(
        0.7,
        "0: always the most probable character; 1: as the model says; above: bolder.",
        reason="it must be 0 (always the most probable) or more, such as 0.7",
        ge=0,
        allow_inf_nan=False,
    )
    seed: int = option(
        0,
        "Random seed; the same seed gives the same completion.",
        reason=f"it must be a whole number from 0 to {2**64 - 1}",
        ge=0,
        lt=2**64,
    )
    stop: tuple[str, ...] = option((), "Stop before this string.", reason="it must be a list of strings")
    min_length: int = option(  # before, the model cannot end its text, and no stop string counts
        0,
        "Minimum number of characters to write.",
        reason=f"it must be a whole number from 0 to {MAX_LENGTH}",
        ge=0,
        le=MAX_LENGTH,
    )
    top_k: int | None = option(
        None,
        "Choose among the k most probable characters only.",
        reason="it must be a whole number of at least 1",
        ge=1,
    )
    top_p: float = option(
        1.0,
        "Choose among the most probable characters that hold this share of the probability.",
        reason="it must be above 0 and at most 1, such as 0.9",
        gt=0,
        le=1,
    )
    min_p: float = option(
        0.0,
        "Choose among characters with at least this share of the best one's probability.",
        reason="it must be between 0 and 1, such as 0.05",
        ge=0,
        le=1,
    )
    typical_p: float = option(
        1.0,
        "Choose among characters that are about as surprising as the model expects, up to this share of the "
        "probability.",
        reason="it must be above 0 and at most 1, such as 0.5",
        gt=0,
        le=1,
    )
    repetition_penalty: float = option(
        1.0,
        "Multiply the log-probability of characters that were written before.",
        reason="it must be above 0 and at most 100, such as 1.2",
        gt=0,
        le=100,
        allow_inf_nan=False,
    )
    presence_penalty: float = option(
        0.0,
        "Subtract this from the log-probability of characters that were written before.",
        reason="it must be from -2 to 2, such as 0.5",
        ge=-2,
        le=2,
        allow_inf_nan=False,
    )
    frequency_penalty: float = option(
        0.0,
        "Subtract this for each time that a character was written before.",
        reason="it must be from -2 to 2, such as 0.2",
        ge=-2,
        le=2,
        allow_inf_nan=False,
    )
    forbid: tuple[str, ...] = option((), "Never write this string.", reason="it must be a list of strings")
    force: tuple[str, ...] = option(  # in any order, wherever they fit best; they may overlap
        (),
        "Write this string somewhere.",
        reason=f"it must be a list of at most {MAX_FORCED} strings",
        max_length=MAX_FORCED,
    )
    allow_offensive: bool = option(  # `Completer` knows the list
        False, "Write words of the list of offensive words too.", reason="it must be true or false"
    )
    no_copy: int | None = option(  # letters as `text.fold` counts them
        None,
        f"Copy at most this many letters in a row from the training texts; {RUN} or more.",
        reason=f"it must be a whole number of at least {RUN}: shorter runs of the training texts are not kept",
        ge=RUN,
        le=MAX_LENGTH,
    )
    beams: int = option(
        1,
        "Beam search: follow this many candidates and keep the most probable text.",
        reason=f"it must be a whole number from 1 to {MAX_BEAMS}",
        ge=1,
        le=MAX_BEAMS,
    )
    best_of: int = option(  # see `sampling.keep_best`
        1,
        "Draw this many completions and keep the most probable per character, of those that write no word twice.",
        reason=f"it must be a whole number from 1 to {MAX_BEAMS}",
        ge=1,
        le=MAX_BEAMS,
    )
    whole_words: bool = option(  # a single word stays, and what `min_length` and `force` ask for
        False,
        "End with a whole word: leave out the word that is unfinished at the length limit.",
        reason="it must be true or false",
    )
    clause: bool = option(  # see `hypothesis._ends_clause`
        False,
        "End with the first clause or sentence that holds a whole new word; `best_of` prefers draws that end so.",
        reason="it must be true or false",
    )
    stock_phrases: bool = option(  # `Completer` has them, for models that belong to the project's messages
        False,
        "Choose among ends of messages that were written beforehand, too; `best_of` draws the others.",
        reason="it must be true or false",
    )
    read_latin: bool = option(  # `Completer` reads them
        False,
        "Read words in Latin letters at the end of the text as Arabic, where they are Arabic, and go on in Arabic.",
        reason="it must be true or false",
    )

    @classmethod
    def of(cls, preset: str | None = None, **options: object) -> Self:
        """Checked options, on top of those of a preset; `OptionError` with one sentence for the first that is wrong."""
        return cls.for_texts(1, {"preset": preset, **options})

    @classmethod
    def for_texts(cls, n: int, options: Mapping[str, object]) -> Self:
        """Return the checked options of a call for n texts: those of `of`, but a preset chooses only where it can."""
        options = dict(options)
        made = cls.checked({**_preset(options.pop("preset", None), options, n), **options})
        for kind, name in (("stop", "stop"), ("forbidden", "forbid"), ("forced", "force")):
            if not all(getattr(made, name)):
                raise OptionError(f"a {kind} string is empty, but it must hold at least one character.", option=name)
        if sum(map(len, made.forbid + made.force)) > MAX_PATTERNS:
            raise OptionError(
                f"forbid and force hold more than {MAX_PATTERNS} characters; give fewer or shorter strings."
            )
        if made.min_length > made.length:
            raise OptionError(f"min_length is {made.min_length}, but length is {made.length}; it must not be more.")
        if made.beams > 1 and made.best_of > 1:
            raise OptionError(
                f"best_of is {made.best_of}, but beams draw nothing to choose from; leave one of them out.",
                option="best_of",
            )
        return made


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # What makes sense most often: readers who did not know which was which found sense in 8 to 18 of 60 completions
        # chosen so from 48 to 64 draws, and in 2 to 4 of those that were drawn plainly ("Which completions make sense?"
        # in docs/log.md).
        "sensible": MappingProxyType(
            {
                "best_of": 64,
                "temperature": 0.7,
                "whole_words": True,
                "clause": True,
                "stock_phrases": True,
                "read_latin": True,
            }
        ),
        # What comes next, most likely: 10.9 % of the characters stand in their place, 11.0 without the penalty, 10.5 at
        # temperature 0.7; the best of all, temperature 0.3, has 11.8 %, which 64 texts do not tell from 10.9. Greed by
        # itself goes round in circles: 24 % of its characters, half as many with the penalty, which has the best chrF
        # of all ways (13.1; without 12.1). What is shown unasked is a phrase (`phrases`).
        "predictive": MappingProxyType({"temperature": 0.0, "presence_penalty": 0.5, "read_latin": True}),
        # What sounds like people: they repeat hardly any pair of words (distinct 100 %, loops 0.2 %) and write many
        # rare ones (88 % of their words stand in our corpora). This comes near both, 98.4 and 0.2 %, and still 94 % of
        # its words are real; no other way does all three: temperature 0.9 has 95.8, 0.5 and 89 %.
        "creative": MappingProxyType({"temperature": 1.0, "typical_p": 0.2, "read_latin": True}),
        # The one most probable text: a quarter fewer bits than the greedy one for three times the time. More
        # beams find likelier texts still, which are worse: with 16 a third of the characters only repeat, and chrF is
        # 10.2 (greedy 12.1, this 12.0).
        "exact": MappingProxyType({"beams": 4, "read_latin": True}),
        # One draw, as in the notebook: the defaults by a name, for programs that have another one.
        "plain": MappingProxyType({"temperature": 0.7}),
    }
)
"""Name -> options. They are for people, who may write Arabic in Latin letters; `plain` is the model as it is, by which
figures are made. All but `sensible` were chosen by `benchmarks/decoding.py` on validation texts, 30 characters from
their middle on."""


def _preset(name: object, given: Mapping[str, object], n: int) -> Mapping[str, Any]:
    """Return the options of a preset for n texts; `given` are those that win over them.

    Where beams are given, or temperature 0, there is nothing to choose from; nor where n is all that would be drawn.
    """
    if name is None:
        return {}
    if name not in PRESETS:
        raise OptionError(f"preset is {name!r}, but it must be one of: {', '.join(PRESETS)}.", option="preset")
    options = dict(PRESETS[str(name)])
    if given.get("beams", 1) != 1 or given.get("temperature") == 0 or n >= options.get("best_of", n + 1):
        options.pop("best_of", None)
    return options


PRESET = f"Options for a purpose: {', '.join(PRESETS)}; other options win over it."
"""Description of the option `preset`, which `DecodingOptions.of` resolves."""


class Options(TypedDict, total=False):
    """The fields of `DecodingOptions` for type checkers, which no generated type could tell them, and a preset."""

    preset: str | None
    length: int
    temperature: float
    seed: int
    stop: Sequence[str]
    min_length: int
    top_k: int | None
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    forbid: Sequence[str]
    force: Sequence[str]
    allow_offensive: bool
    no_copy: int | None
    beams: int
    best_of: int
    whole_words: bool
    read_latin: bool
    clause: bool
    stock_phrases: bool
