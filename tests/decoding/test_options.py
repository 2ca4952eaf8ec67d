"""Options: what is out of range is said in one sentence; presets are options like any others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_type_hints

import pytest

from kammil.decoding import PRESETS, DecodingOptions
from kammil.decoding.options import Options
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


def test_the_type_for_checkers_agrees_with_the_model() -> None:
    fields = {name: field.annotation for name, field in DecodingOptions.model_fields.items()}
    types = {name: Sequence[str] if type == tuple[str, ...] else type for name, type in fields.items()}
    assert get_type_hints(Options) == {"preset": str | None, **types}


@pytest.mark.parametrize("name", DecodingOptions.model_fields)
def test_every_option_is_described_and_refuses_with_its_reason(name: str) -> None:
    field = DecodingOptions.model_fields[name]
    assert field.description and isinstance(field.json_schema_extra, dict)
    with pytest.raises(OptionError) as caught:
        DecodingOptions.of(**{name: "wrong"})
    assert str(caught.value) == f"{name} is 'wrong', but {field.json_schema_extra['reason']}."
