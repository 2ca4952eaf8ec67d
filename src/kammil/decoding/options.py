"""The options of decoding: checked, frozen, and a few named sets of them."""

from __future__ import annotations

import difflib
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
MAX_FORCED = 4
"""Forced strings at most: which of them stand already is kept for every subset of them."""
MAX_PATTERNS = 20_000
"""Characters of all forbidden and forced strings together at most."""


class DecodingOptions(BaseModel):
    """How a completion is found: by drawing, or, with beams, by searching.

    Strings (`stop`, `forbid`, `force`) are matched code point by code point on what is written, never across the seam
    with the prompt. Penalties count what is written too. What is refused (`forbid`, `no_copy`) wins over what is asked
    for (`min_length`, `force`): where nothing may follow any more, the text ends.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(default=30, ge=0, le=MAX_LENGTH)
    """Characters (code points) at most; the notebook's task asks for 30."""
    min_length: int = Field(default=0, ge=0, le=MAX_LENGTH)
    """Characters at least: before, the model cannot end its text, and no stop string counts."""
    temperature: float = Field(default=0.7, ge=0, allow_inf_nan=False)
    """0 takes the most probable character always; 1 samples the model as it is; above 1 flattens it."""
    top_k: int | None = Field(default=None, ge=1)
    """Keep exactly the k most probable."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Keep the smallest set of most probable ones that holds at least this much probability (nucleus)."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Keep what has at least this share of the most probable one's probability."""
    typical_p: float = Field(default=1.0, gt=0, le=1)
    """Keep what is about as surprising as expected, until it holds this much probability (locally typical)."""
    repetition_penalty: float = Field(default=1.0, gt=0, le=100, allow_inf_nan=False)
    """Log-probabilities of characters that were written are multiplied by this: above 1 they become rarer."""
    presence_penalty: float = Field(default=0.0, ge=-2, le=2, allow_inf_nan=False)
    """Taken from the log-probability of every character that was written."""
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2, allow_inf_nan=False)
    """Taken from the log-probability of a character as often as it was written."""
    stop: tuple[str, ...] = ()
    """End before the first of these strings."""
    forbid: tuple[str, ...] = ()
    """Strings that are never written."""
    force: tuple[str, ...] = Field(default=(), max_length=MAX_FORCED)
    """Strings that the completion contains, in any order, wherever they fit best; they may overlap."""
    no_copy: int | None = Field(default=None, ge=RUN, le=MAX_LENGTH)
    """Letters in a row, as `text.fold` counts them, that may be those of a training text; one more is refused."""
    beams: int = Field(default=1, ge=1, le=MAX_BEAMS)
    """Above 1: search for the most probable text with this many at a time; nothing is drawn."""
    best_of: int = Field(default=1, ge=1, le=MAX_BEAMS)
    """Draw this many, and give those with the highest log-probability per character."""
    seed: int = Field(default=0, ge=0, lt=2**64)
    """Same seed, same model, same prompt: same completion."""

    @classmethod
    def of(cls, preset: str | None = None, **options: object) -> Self:
        """Checked options, on top of those of a preset; `OptionError` with one sentence for the first that is wrong."""
        try:
            made = cls.model_validate({**_preset(preset), **options})
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "options"
            if first["type"] == "extra_forbidden":
                near = difflib.get_close_matches(name, cls.model_fields, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(cls.model_fields)}."
                raise OptionError(f"there is no option {name!r}; {hint}", option=name) from error
            reason = _REASONS.get(name, first["msg"])
            raise OptionError(f"{name} is {first['input']!r}, but {reason}.", option=name) from error
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


_REASONS = {
    "length": f"it must be a whole number from 0 to {MAX_LENGTH}",
    "min_length": f"it must be a whole number from 0 to {MAX_LENGTH}",
    "temperature": "it must be 0 (always the most probable) or more, such as 0.7",
    "top_k": "it must be a whole number of at least 1",
    "top_p": "it must be above 0 and at most 1, such as 0.9",
    "min_p": "it must be between 0 and 1, such as 0.05",
    "typical_p": "it must be above 0 and at most 1, such as 0.5",
    "repetition_penalty": "it must be above 0 and at most 100, such as 1.2",
    "presence_penalty": "it must be from -2 to 2, such as 0.5",
    "frequency_penalty": "it must be from -2 to 2, such as 0.2",
    "stop": "it must be a list of strings",
    "forbid": "it must be a list of strings",
    "force": f"it must be a list of at most {MAX_FORCED} strings",
    "no_copy": f"it must be a whole number of at least {RUN}: shorter runs of the training texts are not kept",
    "beams": f"it must be a whole number from 1 to {MAX_BEAMS}",
    "best_of": f"it must be a whole number from 1 to {MAX_BEAMS}",
    "seed": f"it must be a whole number from 0 to {2**64 - 1}",
}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # What comes next, most likely: 10.9 % of the characters stand in their place, 11.0 without the penalty, 10.5 at
        # temperature 0.7; the best of all, temperature 0.3, has 11.8 %, which 64 texts do not tell from 10.9. Greed by
        # itself goes round in circles: 24 % of its characters, half as many with the penalty, which has the best chrF
        # of all ways (13.1; without 12.1). What is shown unasked is a phrase (`phrases`).
        "predictive": MappingProxyType({"temperature": 0.0, "presence_penalty": 0.5}),
        # What sounds like people: they repeat hardly any pair of words (distinct 100 %, loops 0.2 %) and write many
        # rare ones (88 % of their words stand in our corpora). This comes near both, 98.4 and 0.2 %, and still 94 % of
        # its words are real; no other way does all three: temperature 0.9 has 95.8, 0.5 and 89 %.
        "creative": MappingProxyType({"temperature": 1.0, "typical_p": 0.2}),
        # The one most probable text: a quarter fewer bits than the greedy one for three times the time. More
        # beams find likelier texts still, which are worse: with 16 a third of the characters only repeat, and chrF is
        # 10.2 (greedy 12.1, this 12.0).
        "exact": MappingProxyType({"beams": 4}),
    }
)
"""Name -> options, chosen by `benchmarks/decoding.py` on validation texts, 30 characters from their middle on."""


def _preset(name: str | None) -> Mapping[str, Any]:
    if name is None:
        return {}
    if name not in PRESETS:
        raise OptionError(f"preset is {name!r}, but it must be one of: {', '.join(PRESETS)}.", option="preset")
    return PRESETS[name]


class Options(TypedDict, total=False):
    """The options of `Decoding`, by keyword, and the name of a preset that the others change."""

    preset: str | None
    length: int
    min_length: int
    temperature: float
    top_k: int | None
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    stop: Sequence[str]
    forbid: Sequence[str]
    force: Sequence[str]
    no_copy: int | None
    beams: int
    best_of: int
    seed: int
