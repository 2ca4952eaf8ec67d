"""What may be drawn for a family can be trained, and its defaults are among it."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from kammil.models.family import FAMILIES
from kammil.training.recipe import Recipe
from kammil.training.search_space import SPACES, Range, contains, suggest


def test_every_family_has_a_space_around_its_defaults() -> None:
    assert SPACES.keys() == FAMILIES.keys()
    for family, space in SPACES.items():
        recipe = Recipe.of({"model": family})
        known = {**recipe.training.model_dump(), **recipe.settings}
        outside = [name for name, values in space.items() if not contains(values, known[name])]
        assert outside == (["order"] if family == "ngram" else []), family  # the counter chooses its order by itself


@given(st.data())
def test_whatever_is_drawn_can_be_trained(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(sorted(SPACES)))
    drawn: dict[str, Any] = {}
    for name, values in SPACES[family].items():
        if not isinstance(values, Range):
            drawn[name] = data.draw(st.sampled_from(values))
        elif values.step is None:
            drawn[name] = data.draw(st.floats(values.low, values.high))
        else:
            drawn[name] = values.low + values.step * data.draw(
                st.integers(0, round((values.high - values.low) / values.step))
            )
    Recipe.of({"model": family, **drawn})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((4, 8), CategoricalDistribution((4, 8))),
        (Range(1, 6, 1), IntDistribution(1, 6)),
        (Range(0.0, 0.6, 0.05), FloatDistribution(0.0, 0.6, step=0.05)),
        (Range(1e-3, 0.3), FloatDistribution(1e-3, 0.3, log=True)),
    ],
)
def test_optuna_draws_from_the_same_values(values: Range | tuple[float, ...], expected: object) -> None:
    trial = optuna.create_study().ask()
    suggest(trial, {"option": values})
    assert trial.distributions == {"option": expected}


def test_a_range_contains_its_ends_and_steps_alone() -> None:
    steps = Range(128, 768, 64)
    assert [value for value in (64, 128, 130, 192, 768, 832) if contains(steps, value)] == [128, 192, 768]
    assert contains(Range(1e-3, 0.3), 0.01234) and not contains(Range(1e-3, 0.3), 0.0)
    assert contains((4, 8), 8) and not contains((4, 8), 6) and not contains(steps, None)
