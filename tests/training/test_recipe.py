"""Options find their place, and wrong ones are said in one sentence."""

from __future__ import annotations

import json
import tomllib
from typing import Any, get_args

import pytest

from kammil.errors import OptionError
from kammil.models.family import FAMILIES, FamilyName, family
from kammil.text import RAW
from kammil.training.recipe import Options, Recipe, TrainingOptions
from kammil.training.record import recipe_toml


def one_sentence(text: str) -> bool:
    """A message for people: one line, naming something, ended or not."""
    return bool(text) and "\n" not in text and "Traceback" not in text


OPTIONS: list[dict[str, Any]] = [
    {},
    {"model": "ngram", "least": 3, "exclude": ("lev30/test", "a b.txt"), "unique": True},
    {"model": "gru", "hidden": 320, "learning_rate": 1e-5, "minutes": 2.5, "column": "Tweet", "seed": 7},
    {"where": "Country = 'lebanon'", "encoding": "cp1256", "rules": {"urls": False, "handles": False}},
    {"source_column": "from", "weights": {"a b": 2.5, "c": 1.0}},
    {"raw": True, "objective": "completion", "device": "cpu", "threads": 1, "epochs": 3, "batch_size": 8},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_recipe_is_a_toml_file(options: dict[str, Any]) -> None:
    """Every option is named, so what is a default today, or is chosen by the minutes, is the same tomorrow."""
    made = Recipe.of(options)
    found = tomllib.loads(recipe_toml(made))
    assert Recipe.of(found) == made
    assert found.keys() >= made.training.model_dump(exclude_none=True).keys() - {"device", "precision"}


# ---- options


def test_flat_options_find_their_place() -> None:
    made = Recipe.of({"model": "gru", "hidden": 7, "epochs": 3, "column": "Tweet", "raw": True, "seed": None})
    assert (made.settings["hidden"], made.training.epochs, made.column, made.raw) == (7, 3, "Tweet", True)
    assert made.training.seed == 0  # None leaves an option alone
    assert made.text_rules == RAW


def test_every_setting_is_resolved() -> None:
    from kammil.models.gru.network import GRUSettings

    made = Recipe.of({"model": "gru", "hidden": 7})
    assert made.settings == GRUSettings(hidden=7).model_dump()


def test_the_best_family_is_the_default() -> None:
    assert Recipe.of({}).model == "blend"


def test_a_recipe_is_its_own_record() -> None:
    made = Recipe.of({"hidden": 7, "minutes": 2.5, "rules": {"urls": False}})
    assert Recipe.model_validate(json.loads(json.dumps(made.model_dump(mode="json")))) == made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden": 3}, "there is no option 'hiden'; did you mean 'hidden'?"),
        ({"epoch": 3}, "there is no option 'epoch'; did you mean 'epochs'?"),
        ({"colum": "x"}, "there is no option 'colum'; did you mean 'column'?"),
        ({"xyzzy": 3}, "there is no option 'xyzzy'; the settings of blend are embedding, hidden, "),
        (
            {"model": "ngram", "hidden": 3},
            "there is no option 'hidden'; the settings of ngram are order, megabytes; kammil train --help ",
        ),
        ({"order": 3}, "there is no option 'order'"),
        ({"settings": {"hidden": 3}}, "there is no option 'settings'"),
        ({"training": {"epochs": 3}}, "there is no option 'training'"),
        ({"model": "lstm"}, "model is 'lstm', but it must be one of ngram, gru"),
        ({"model": 3}, "model is '3', but it must be one of"),
        ({"epochs": "many"}, "epochs is 'many', but it must be a valid integer"),
        ({"epochs": 2.5}, "epochs is 2.5, but it must be a valid integer"),
        ({"epochs": 0}, "epochs is 0, but it must be greater than or equal to 1."),
        ({"hidden": "big"}, "hidden is 'big', but it must be a valid integer"),
        ({"hidden": 0}, "hidden is 0, but"),
        ({"dropout": 1}, "dropout is 1, but"),
        ({"column": 2}, "column is 2, but it must be a valid string."),
        ({"raw": "perhaps"}, "raw is 'perhaps', but"),
        ({"rules": {"links": False}}, "there is no text rule 'links'; the rules are nfc, invisible, tatweel, urls, "),
        ({"rules": {"urls": "x"}}, "rules.urls is 'x', but"),
        ({"rules": "urls"}, "rules is 'urls', but"),
        ({"objective": "words"}, "objective is 'words', but it must be 'text' or 'completion'."),
        ({"device": "tpu"}, "device is 'tpu', but"),
        ({"minutes": 0.0}, "minutes is 0, but it must be greater than 0."),
        ({"minutes": float("inf")}, "minutes is inf, but"),
        ({"weight_decay": float("inf")}, "weight_decay is inf, but"),
        ({"learning_rate": float("nan")}, "learning_rate is nan, but"),
        ({"seed": -1}, "seed is -1, but"),
        ({"model": "ngram", "order": 0}, "order is 0, but"),
    ],
)
def test_wrong_options_are_said_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Recipe.of(options)
    assert message in str(caught.value)
    assert one_sentence(str(caught.value))


def test_options_are_typed_completely() -> None:
    assert set(get_args(FamilyName)) == set(FAMILIES)
    settings = {name for each in FAMILIES for name in family(each).learner().settings.model_fields}
    names = (Recipe.model_fields.keys() - {"settings", "training"}) | TrainingOptions.model_fields.keys() | settings
    assert set(Options.__annotations__) == names
