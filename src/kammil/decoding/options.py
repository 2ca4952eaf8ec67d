"""The options of decoding: checked, frozen, and a few named sets of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypedDict

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kammil.data.bloom import RUN
from kammil.errors import OptionError, unknown_option

MAX_LENGTH = 100_000
MAX_BEST_OF = 64
"""Maximum of `best_of`: all draws are stepped in one batch."""
MAX_COMPLETIONS = 1000
"""Maximum number of completions of a prompt."""
MAX_PATTERNS = 20_000
"""Maximum number of characters of forbidden strings."""


class FrozenOptions(BaseModel):
    """Options that are checked once, and never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def checked(cls, options: Mapping[str, object]) -> Self:
        """Return the options; `OptionError` with one sentence for the first wrong one."""
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "options"
            if first["type"] == "extra_forbidden":
                raise unknown_option(name, cls.model_fields, f"there are: {', '.join(cls.model_fields)}.") from error
            extra = cls.model_fields[name].json_schema_extra if name in cls.model_fields else None
            reason = extra["reason"] if isinstance(extra, dict) else re.sub(r"^\w+ should", "it must", first["msg"])
            raise OptionError(f"{name} is {first['input']!r}, but {reason}.", option=name) from error


def option(default: Any, description: str, *, reason: str = "", **bounds: Any) -> Any:
    """Return a field of `FrozenOptions` with a pydantic field's bounds.

    Args:
        default: tells the type too.
        description: one sentence, for `--help`, the API's document and plug-ins.
        reason: the end of an error's sentence; else the type and the bounds.
    """
    if isinstance(default, float):
        bounds["allow_inf_nan"] = False
    extra: dict[str, Any] = {"reason": reason or _reason(default, **bounds)}
    return Field(default=default, description=description, json_schema_extra=extra, **bounds)


def _reason(
    default: object,
    *,
    ge: float = 0,
    gt: float | None = None,
    le: float | None = None,
    max_length: int = 0,
    **_: object,
) -> str:
    if isinstance(default, bool):
        return "it must be true or false"
    if isinstance(default, tuple):
        return f"it must be a list of {f'at most {max_length} ' if max_length else ''}strings"
    if isinstance(default, float):
        low = f"above {gt} and at most" if gt is not None else f"between {ge} and"
        return f"it must be {ge} or more" if le is None else f"it must be {low} {le}"
    return f"it must be a whole number {f'of at least {ge}' if le is None else f'from {ge} to {le}'}"


class DecodingOptions(FrozenOptions):
    """How a text is drawn.

    Flags, fields of the API and the reasons of errors are made of these fields; `Options` repeats them for type
    checkers.

    Strings are matched code point by code point: `stop` on the generated text, `forbid` also across the seam with the
    prompt. Refusals (`forbid`, `no_copy`, blocked words) win over `min_length`: where no character may follow, the text
    ends.
    """

    length: int = option(30, "Maximum number of characters to write.", ge=0, le=MAX_LENGTH)
    temperature: float = option(
        0.7, "0: always the most probable character; 1: as the model says; above: bolder.", ge=0
    )
    seed: int = option(0, "Random seed; the same seed gives the same completion.", ge=0, le=2**64 - 1)
    stop: tuple[str, ...] = option((), "Stop before this string.")
    # Before, the model cannot end its text, and no stop string counts.
    min_length: int = option(0, "Minimum number of characters to write.", ge=0, le=MAX_LENGTH)
    top_k: int | None = option(None, "Choose among the k most probable characters only.", ge=1)
    top_p: float = option(
        1.0, "Choose among the most probable characters that hold this share of the probability.", gt=0, le=1
    )
    min_p: float = option(
        0.0, "Choose among characters with at least this share of the best one's probability.", ge=0, le=1
    )
    typical_p: float = option(
        1.0,
        "Choose among characters that are about as surprising as the model expects, up to this share of the "
        "probability.",
        gt=0,
        le=1,
    )
    repetition_penalty: float = option(
        1.0, "Multiply the log-probability of characters that were written before.", gt=0, le=100
    )
    presence_penalty: float = option(
        0.0, "Subtract this from the log-probability of characters that were written before.", ge=-2, le=2
    )
    frequency_penalty: float = option(
        0.0, "Subtract this for each time that a character was written before.", ge=-2, le=2
    )
    forbid: tuple[str, ...] = option((), "Never write this string.")
    allow_offensive: bool = option(False, "Write words of the list of offensive words too.")
    no_copy: int | None = option(  # letters as `text.fold` counts them
        None,
        f"Copy at most this many letters in a row from the training texts; {RUN} or more.",
        ge=RUN,
        le=MAX_LENGTH,
    )
    best_of: int = option(  # see `sampling.keep_best`
        1,
        "Draw this many completions and keep the most probable per character, of those that write no word twice.",
        ge=1,
        le=MAX_BEST_OF,
    )
    # A single word stays, and what `min_length` asks for.
    whole_words: bool = option(
        False, "End with a whole word: leave out the word that is unfinished at the length limit."
    )
    clause: bool = option(
        False,
        "End with the first clause or sentence that holds a whole new word; `best_of` prefers draws that end so.",
    )
    stock_phrases: bool = option(  # for models that belong to the project's messages
        False, "Choose among ends of messages that were written beforehand, too; `best_of` draws the others."
    )
    read_latin: bool = option(
        False,
        "Read words in Latin letters at the end of the text as Arabic, where they are Arabic, and go on in Arabic.",
    )

    @classmethod
    def of(cls, preset: str | None = None, **options: object) -> Self:
        """Checked options over those of a preset; `OptionError` for the first wrong one."""
        return cls.for_texts(1, {"preset": preset, **options})

    @classmethod
    def for_texts(cls, n: int, options: Mapping[str, object]) -> Self:
        """Return the options of a call for n texts; a preset chooses only where it can."""
        options = dict(options)
        made = cls.checked({**_preset(options.pop("preset", None), options, n), **options})
        for kind, name in (("stop", "stop"), ("forbidden", "forbid")):
            if not all(getattr(made, name)):
                raise OptionError(f"a {kind} string is empty, but it must hold at least one character.", option=name)
        if sum(map(len, made.forbid)) > MAX_PATTERNS:
            raise OptionError(f"forbid holds more than {MAX_PATTERNS} characters; give fewer or shorter strings.")
        if made.min_length > made.length:
            raise OptionError(f"min_length is {made.min_length}, but length is {made.length}; it must not be more.")
        return made


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Makes sense most often (docs/log.md, "Which completions make sense?").
    "sensible": {
        "best_of": 64,
        "temperature": 0.7,
        "whole_words": True,
        "clause": True,
        "stock_phrases": True,
        "read_latin": True,
    },
    # The most probable next character; the penalty halves the loops of greedy decoding.
    "predictive": {"temperature": 0.0, "presence_penalty": 0.5, "read_latin": True},
    # Writes like people, with few repetitions, and rare but real words.
    "creative": {"temperature": 1.0, "typical_p": 0.2, "read_latin": True},
    # One draw: the defaults by a name, for programs with another one.
    "plain": {"temperature": 0.7},
}
"""Name -> options. All but `sensible` were chosen by `benchmarks/decoding.py`; `plain` is the model as it is."""


def _preset(name: object, given: Mapping[str, object], n: int) -> Mapping[str, Any]:
    if name is None:
        return {}
    if name not in PRESETS:
        raise OptionError(f"preset is {name!r}, but it must be one of: {', '.join(PRESETS)}.", option="preset")
    options = dict(PRESETS[str(name)])
    # Nothing to choose from: at temperature 0, or where n is all that would be drawn.
    if given.get("temperature") == 0 or n >= options.get("best_of", n + 1):
        options.pop("best_of", None)
    return options


PRESET = f"Options for a purpose: {', '.join(PRESETS)}; other options win over it."


def nth_seed(seed: int, number: int) -> int:
    """Return the seed of a text among several, by its number, so that each has random numbers of its own: the first
    keeps the seed."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]) if number else seed


class Options(TypedDict, total=False):
    """The fields of `DecodingOptions`, and a preset, for type checkers."""

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
    allow_offensive: bool
    no_copy: int | None
    best_of: int
    whole_words: bool
    read_latin: bool
    clause: bool
    stock_phrases: bool
