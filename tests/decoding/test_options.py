"""Options: what is out of range is said in one sentence; presets are options like any others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data.bloom import RUN
from kammil.decoding.options import (
    MAX_BEST_OF,
    MAX_LENGTH,
    MAX_PATTERNS,
    PRESETS,
    DecodingOptions,
    Options,
    nth_seed,
)
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
        ({"forbid": "ab"}, "forbid"),
        ({"min_length": -1}, "min_length"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": float("nan")}, "repetition_penalty"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"frequency_penalty": -2.1}, "frequency_penalty"),
        ({"no_copy": 11}, "no_copy"),
        ({"best_of": 0}, "best_of"),
        ({"best_of": 65}, "best_of"),
    ],
)
def test_options_out_of_range_get_one_sentence(options: dict[str, Any], name: str) -> None:
    with pytest.raises(OptionError, match=rf"{name}.* is .*, but .*\.") as caught:
        DecodingOptions.of(**options)
    assert "\n" not in str(caught.value)
    assert caught.value.option is not None and name.startswith(caught.value.option)


@pytest.mark.parametrize(
    "options",
    [
        {"length": 0},
        {"length": MAX_LENGTH, "min_length": MAX_LENGTH},
        {"length": 3, "min_length": 3},
        {"temperature": 0},
        {"top_k": 1},
        {"top_p": 1, "typical_p": 1, "min_p": 1},
        {"top_p": 1e-9, "typical_p": 1e-9, "min_p": 0},
        {"repetition_penalty": 100, "presence_penalty": 2, "frequency_penalty": 2},
        {"repetition_penalty": 1e-9, "presence_penalty": -2, "frequency_penalty": -2},
        {"forbid": ["a" * (MAX_PATTERNS - 1), "b"]},
        {"no_copy": RUN},
        {"no_copy": MAX_LENGTH},
        {"best_of": MAX_BEST_OF},
        {"seed": 2**64 - 1},
    ],
)
def test_the_bounds_themselves_are_allowed(options: dict[str, Any]) -> None:
    DecodingOptions.of(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"length": MAX_LENGTH + 1},
            f"length is {MAX_LENGTH + 1}, but it must be a whole number from 0 to ",
        ),
        ({"no_copy": MAX_LENGTH + 1}, f"no_copy is {MAX_LENGTH + 1}, but "),
        ({"seed": 2**64}, f"seed is {2**64}, but it must be a whole number from 0 to {2**64 - 1}."),
        (
            {"forbid": ["a" * MAX_PATTERNS, "b"]},
            f"forbid holds more than {MAX_PATTERNS} characters; ",
        ),
        ({"length": 3, "min_length": 4}, "min_length is 4, but length is 3; it must not be more."),
        ({"top_l": 3}, "there is no option 'top_l'; did you mean 'top_p'?"),
        ({"xyz": 3}, "there is no option 'xyz'; there are: length, temperature, seed, "),
    ],
)
def test_what_contradicts_itself_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        DecodingOptions.of(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_set_of_options_that_others_change(name: str) -> None:
    made = DecodingOptions.of(preset=name)
    assert made == DecodingOptions.of(**PRESETS[name])
    assert (made == DecodingOptions()) == (name == "plain")
    assert DecodingOptions.of(preset=name, length=7, seed=3) == made.model_copy(update={"length": 7, "seed": 3})
    unmade = {option: DecodingOptions.model_fields[option].default for option in PRESETS[name]}
    assert DecodingOptions.of(preset=name, **unmade) == DecodingOptions()


def test_a_preset_chooses_where_it_can() -> None:
    def drawn(n: int, **options: Any) -> int:
        return DecodingOptions.for_texts(n, {"preset": "sensible", **options}).best_of

    assert [drawn(n) for n in (1, 2, 63, 64, 200)] == [64, 64, 64, 1, 1]
    assert drawn(3, best_of=5) == 5 and drawn(3, best_of=1) == 1
    assert drawn(1, temperature=0) == 1  # there is nothing to choose from
    assert drawn(1, temperature=0.1) == 64
    for name in PRESETS:
        for n in (1, 100):
            if name != "sensible":
                assert DecodingOptions.for_texts(n, {"preset": name}) == DecodingOptions.of(name)


def test_no_preset_of_that_name() -> None:
    with pytest.raises(OptionError, match=r"preset is 'best', .*sensible, predictive, creative, plain") as caught:
        DecodingOptions.of(preset="best")
    assert caught.value.option == "preset"


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


SEEDS = st.integers(0, 2**64 - 1)


@given(SEEDS, SEEDS, st.lists(st.integers(0, 2**32), unique=True))
def test_a_seed_gives_each_text_one_of_its_own(seed: int, other: int, numbers: list[int]) -> None:
    made = {nth_seed(seed, number) for number in numbers}
    assert len(made) == len(numbers) and all(DecodingOptions(seed=each).seed == each for each in made)
    assert nth_seed(seed, 0) == seed
    if other != seed:
        assert nth_seed(other, 1) not in {nth_seed(seed, 1), seed}
