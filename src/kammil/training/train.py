"""From texts to a finished model folder, and all that is trained on the way to it: bases, and members."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Unpack

from kammil import model_folder as folders
from kammil.errors import OptionError
from kammil.locks import RUN, run_lock, training_folder
from kammil.models.registry import Blended, family
from kammil.progress import listening
from kammil.training import notebook
from kammil.training.clock import Clock
from kammil.training.events import Event
from kammil.training.pacing import TextFit, measure
from kammil.training.publish import TrainedModel, TrainResult, data_summary, is_up_to_date, publish, seconds_in_all
from kammil.training.recipe import READING, Options, Recipe
from kammil.training.run import ParentModel, Run
from kammil.training.texts import Dataset, Source, check, prepare

Listener = Callable[[Event], None]


def train(
    source: Source,
    *,
    out: str | Path,
    validation: Source | None = None,
    resume: bool = False,
    replace: bool = False,
    listen: Listener | None = None,
    **options: Unpack[Options],
) -> TrainResult:
    """Train a model on texts, evaluate it on the validation texts, and write its folder.

    Args:
        source: a file (txt, tsv, csv, jsonl, parquet), the texts themselves (a list, a Series, a generator), or a frame
            or data set (of pandas, polars, pyarrow, datasets) that holds them in a `column`. Rows without a text are
            left out, with a warning that says which.
        out: the new model folder. It appears whole or not at all.
        validation: more of the same kinds; else a leak-free tenth of the first.
        resume: go on with an interrupted run of the same recipe on the same data.
        replace: replace a model folder of that name.
        listen: called with the events of training; None shows a bar and a table in a notebook, and nothing elsewhere.
        options: of `Recipe`, `TrainingOptions` and the family's settings, such as `column`, `model`, `minutes`,
            `seed`, `hidden`.

    Returns: what was measured; open the model with `kammil.load(out)`. Raises `KammilError` with one sentence for
    wrong input.
    """
    # PyTorch's threads wait for each other by spinning. Beside other busy programs that makes a step six times as slow
    # (1360 ms instead of 223 on two cores); asleep they lose nothing. Read when PyTorch is loaded, so not later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given: dict[str, Any] = {**options}
    recipe, heard = Recipe.of(given), notebook.listener() if listen is None else listen
    clock = Clock(recipe.training.minutes)
    target = Path(out)
    if not target.name:
        raise OptionError(f"out is {str(out)!r}, but it must name a new folder, such as my-model.")
    check(recipe, source, validation)
    folders.check_free(target, replace=replace)
    with run_lock(target), listening(heard):
        folders.check_free(target, replace=replace)  # again: what a kill left may have been put back
        if recipe.members:
            data = prepare(recipe, source, validation)
            return train_members(recipe, given, data, target, replace=replace, listen=heard)
        fitting = TextFit(recipe, clock, _drawn(target) if resume else None)
        data = prepare(recipe, source, validation, fitting=fitting)
        with clock.stopped():
            base = _base(recipe, target, replace=replace, listen=heard)
        reserve = fitting.pace.reserve(data) if fitting.pace is not None else 0.0
        run = Run(recipe, data, target, base, clock=clock, reserve=reserve)
        anything = given.get("model") is None and base is None
        return run.make(resume=resume, replace=replace, listen=heard, anything=anything)


def _drawn(out: Path) -> Sequence[int] | None:
    """How many texts an interrupted run drew, which its minutes did not suffice for all of."""
    try:
        training, validation = json.loads((training_folder(out) / RUN).read_text("utf-8"))["drawn"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return int(training), int(validation)


def _base(recipe: Recipe, out: Path, *, replace: bool, listen: Listener) -> ParentModel | None:
    """The model named as base, or the one that the recipe trains first, beside the new folder: `OUT-base`."""
    if recipe.base is None:
        return None
    if isinstance(recipe.base, str):
        return ParentModel(folders.read(Path(recipe.base)), ())
    own, source, validation = _of_base(recipe.base)
    data = _texts(own, source, validation)
    return ParentModel(
        train_or_reuse(own, data, out.with_name(f"{out.name}-base"), replace=replace, listen=listen), data.train
    )


def train_or_reuse(
    recipe: Recipe, data: Dataset, place: Path, *, replace: bool, listen: Listener
) -> folders.ModelFiles:
    """A model that another one is made of.

    It stays where it is. A finished one of the same recipe and texts is taken as it is, whatever became of its own
    base; an interrupted one is gone on with.
    """
    if recipe.members:
        raise OptionError("members stand in a base or in another member; name them in the outermost recipe alone.")
    with run_lock(place):
        if not is_up_to_date(place, recipe, data, _about_base(recipe)):
            base = _base(recipe, place, replace=replace, listen=listen)
            clock = Clock(recipe.training.minutes)
            pace = measure(recipe, data.train, data.validation) if clock.seconds is not None else None
            reserve = pace.reserve(data) if pace is not None else 0.0
            run = Run(recipe, data, place, base, clock=clock, reserve=reserve)
            folders.check_free(place, replace=replace)
            run.make(resume=True, replace=replace, listen=listen)
        return folders.read(place)


def _about_base(recipe: Recipe) -> Mapping[str, Any] | None:
    """What the folder of the base says, or will say, of its texts."""
    if recipe.base is None:
        return None
    if isinstance(recipe.base, str):
        return folders.summary(Path(recipe.base))[0].training["data"]
    own, source, validation = _of_base(recipe.base)
    return data_summary(_texts(own, source, validation), _about_base(own))


def _of_base(options: Mapping[str, Any]) -> tuple[Recipe, str, str | None]:
    """The recipe of a base, its texts, and those it is validated with."""
    own = dict(options)
    if "source" not in own:
        raise OptionError("base names no source; give the texts to train it on, such as source = 'shami+atsad'.")
    source, validation = own.pop("source"), own.pop("validation", None)
    return Recipe.of(own), source, validation


@lru_cache(maxsize=2)
def _read(recipe: str, source: str, validation: str | None) -> Dataset:
    """Most bases of one recipe are of the same texts, and to find near-duplicates among them takes a minute."""
    return prepare(Recipe.model_validate_json(recipe), source, validation)


def _texts(recipe: Recipe, source: str, validation: str | None) -> Dataset:
    """The texts of a base."""
    seed = recipe.training.seed if validation is None else 0
    deciding = Recipe.of({"seed": seed} | {name: getattr(recipe, name) for name in READING})
    return _read(deciding.model_dump_json(), source, validation)


def train_members(
    recipe: Recipe, options: Mapping[str, Any], data: Dataset, out: Path, *, replace: bool, listen: Listener
) -> TrainResult:
    """Members that each learn by themselves, in `OUT-1`, `OUT-2`, ..., from bases of their own, put together as one."""
    common = {name: value for name, value in options.items() if name != "members"}
    chosen = family(recipe.model)
    if not isinstance(chosen, Blended):
        raise OptionError(f"members are for the blend; a {recipe.model} has none.")
    models: list[folders.ModelFiles] = []
    for number, own in enumerate(recipe.members, 1):
        one = Recipe.of(common | own)
        if other := next((name for name in READING if getattr(one, name) != getattr(recipe, name)), None):
            raise OptionError(f"member {number} has {other} of its own; all members learn the same texts.")
        models.append(train_or_reuse(one, data, out.with_name(f"{out.name}-{number}"), replace=replace, listen=listen))
    first = models[0]
    if any(model.vocabulary.characters != first.vocabulary.characters for model in models):
        raise OptionError(
            "the members know different characters; give them the same least, and bases of the same texts."
        )
    try:
        settings, artifacts = chosen.merge(
            [chosen.settings.model_validate(model.description.settings) for model in models],
            [model.artifacts.weights for model in models],
        )
    except ValueError as error:
        raise OptionError(f"the members do not fit together: {error}.") from error
    used = [model.description.training.get("used") for model in models]
    same = used[0] if all(one == used[0] for one in used) else None
    return publish(
        TrainedModel(recipe.model, settings, first.vocabulary, artifacts, first.seen, first.baselines, same),
        recipe,
        data,
        first.description.training["data"]["base"],
        out,
        history=(),
        seconds=(seconds := sum(float(model.metrics["training_seconds"]) for model in models)),
        earlier=sum(map(seconds_in_all, models)) - seconds,
        members=[model.metrics.get("history", []) for model in models],
        replace=replace,
    )
