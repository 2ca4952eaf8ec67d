"""Options: what is out of range is said in one sentence; presets are options like any others."""

from __future__ import annotations

from typing import Any

import pytest

from kammil.decoding import PRESETS, DecodingOptions
from kammil.errors import OptionError


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"min_p": -0.1}, "min_p"),
        ({"length": -1}, "length"),
        ({"seed": -1}, "seed"),
        ({"stop": ("",)}, "stop"),
        ({"typical_p": 0}, "typical_p"),
        ({"forbid": ("",)}, "forbidden"),
        ({"force": ("a", "")}, "forced"),
        ({"force": ("a",) * 5}, "force"),
        ({"force": "ab"}, "force"),
        ({"min_length": -1}, "min_length"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": float("nan")}, "repetition_penalty"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"frequency_penalty": -2.1}, "frequency_penalty"),
        ({"no_copy": 11}, "no_copy"),
        ({"beams": 0}, "beams"),
        ({"beams": 65}, "beams"),
        ({"best_of": 0}, "best_of"),
    ],
)
def test_options_out_of_range_get_one_sentence(options: dict[str, Any], name: str) -> None:
    with pytest.raises(OptionError, match=rf"{name}.* is .*, but .*\.") as caught:
        DecodingOptions.of(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_set_of_options_that_others_change(name: str) -> None:
    made = DecodingOptions.of(preset=name)
    assert made == DecodingOptions.of(**PRESETS[name])
    assert made != DecodingOptions()
    assert DecodingOptions.of(preset=name, length=7, seed=3) == made.model_copy(update={"length": 7, "seed": 3})
    unmade = {option: DecodingOptions.model_fields[option].default for option in PRESETS[name]}
    assert DecodingOptions.of(preset=name, **unmade) == DecodingOptions()


def test_no_preset_of_that_name() -> None:
    with pytest.raises(OptionError, match="preset is 'best', but it must be one of: predictive, creative, exact"):
        DecodingOptions.of(preset="best")
