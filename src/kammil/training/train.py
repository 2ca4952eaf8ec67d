"""Train a model, with the bases and members of its recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Unpack

from kammil import distributed
from kammil import model_folder as folders
from kammil.data import sources
from kammil.errors import OptionError
from kammil.evaluation.measurements import SECONDS
from kammil.evaluation.model_card import LEARNT_BY_BASE
from kammil.models.family import MergingLearner, family
from kammil.progress import Listener, ignore, listening
from kammil.storage import run_lock
from kammil.training import tracking
from kammil.training.publish import TrainResult, describe, publish, total_seconds, training_metrics
from kammil.training.recipe import READING, Options, Recipe
from kammil.training.record import RunRequest, data_summary, is_up_to_date
from kammil.training.run import Run
from kammil.training.texts import Dataset, Source, check, prepare
from kammil.training.time_budget import TimeBudget, auto_sizes, options_of_base
from kammil.views.progress import notebook_display

REPORT_SHARE = 0.08
"""Maximum share of the time of a run for its report."""


def train(
    source: Source,
    *,
    out: str | Path,
    validation: Source | None = None,
    resume: bool = False,
    replace: bool = False,
    report: bool = True,
    listen: Listener | None = None,
    track: Sequence[str] = (),
    **options: Unpack[Options],
) -> TrainResult:
    """Train a model on texts, evaluate it on the validation texts, and write its folder.

    Args:
        source: a file (txt, csv, tsv, xlsx, json, jsonl, parquet, a chat), a folder, a list of `Path`s, or a data set
            by name; the texts themselves (a list, a Series, a generator); or a frame or data set (of pandas, polars,
            pyarrow, datasets) that holds them in a `column`. Rows without a text are left out, with a warning.
        out: the new model folder. It appears complete or not at all.
        validation: more of the same kinds; else a leak-free tenth of `source`. 5,000 texts of either at most.
        resume: continue an interrupted run of the same recipe on the same data.
        replace: replace a model folder of that name.
        report: write `OUT-report.html` beside the folder, which quotes a few validation texts.
        listen: called with the events of training; None shows a bar and a table in a notebook, and nothing elsewhere.
        track: programs that show the run while it goes on, on this machine: `tensorboard`.
        options: of `Recipe`, `TrainingOptions` and the family's settings, such as `column`, `model` and `minutes`.

    Returns: figures; open the model with `kammil.load(out)`. Raises `KammilError` for wrong input.
    """
    given: dict[str, Any] = {**options}
    target = Path(out)
    if not target.name:
        raise OptionError(f"out is {str(out)!r}, but it must name a new folder, such as my-model.")
    if not distributed.is_launched():  # before a recipe imports PyTorch
        _check_free(target, replace=replace)
        sources.check_names(source, *(() if validation is None else (validation,)))
    recipe, listen = Recipe.of(given), notebook_display() if listen is None else listen
    if not recipe.members:
        recipe = recipe.changed(options_of_base(recipe, given))
    minutes = recipe.training.minutes
    budget = TimeBudget(minutes, recipe.training.clock)
    family(recipe.model).check_base(recipe.settings)
    check(recipe, source, validation)
    tracking.check(track)

    with distributed.joined():
        listen = listen if distributed.is_first() else ignore
        _check_free(target, replace=replace)
        with _lock(target), listening(listen):
            _check_free(target, replace=replace)  # the lock may put back what a killed run moved
            data = distributed.made_by_first(Dataset, lambda: prepare(recipe, source, validation))
            if not recipe.members:
                characters = sum(map(len, data.train))
                recipe = recipe.changed(auto_sizes(recipe, given, characters, resumed=target if resume else None))
            request = RunRequest(
                recipe=recipe,
                data=data,
                out=target,
                resume=resume,
                replace=replace,
                listen=listen,
                track=track,
                report_seconds=min(SECONDS, REPORT_SHARE * 60 * (minutes or math.inf)) if report else 0.0,
                any_family=given.get("model") is None,
                budget=budget,
            )
            return _train_members(request, given) if recipe.members else _train(request)


def _lock(out: Path) -> AbstractContextManager[None]:
    return run_lock(out) if distributed.is_first() else nullcontext()


def _check_free(out: Path, *, replace: bool) -> None:
    if distributed.is_first():
        folders.check_free(out, replace=replace)


def _train(request: RunRequest) -> TrainResult:
    with nullcontext() if request.budget is None else request.budget.stopped():
        base, texts = _base(request)
    return Run(replace(request, base=base, base_texts=texts)).train()


def _part(request: RunRequest, recipe: Recipe, data: Dataset, name: str) -> RunRequest:
    out = request.out.with_name(f"{request.out.name}-{name}")
    part = replace(request, base=None, resume=True, report_seconds=0.0, any_family=False, budget=None)
    return replace(part, recipe=recipe, data=data, out=out)


def _base(request: RunRequest) -> tuple[folders.ModelFiles | None, tuple[str, ...]]:
    """Open the base of the recipe, or train it first, in the folder `OUT-base`; return it with its texts."""
    named = request.recipe.base
    if named is None:
        return None, ()
    if isinstance(named, str):
        return folders.read(Path(named)), ()
    recipe, source, validation = _base_recipe(named)
    data = _base_texts(recipe, source, validation)
    return train_or_reuse(_part(request, recipe, data, "base")), data.train


def train_or_reuse(request: RunRequest) -> folders.ModelFiles:
    """Train or resume one of several models, or reuse that of this recipe and texts, even if its base is gone."""
    recipe, out = request.recipe, request.out
    if recipe.members:
        raise OptionError("members stand in a base or in another member; name them in the outermost recipe alone.")
    with _lock(out):
        if not distributed.number_of_first(is_up_to_date(out, recipe, request.data, _base_summary(recipe))):
            _check_free(out, replace=request.replace)
            _train(request)
        return folders.read(out)


def _base_summary(recipe: Recipe) -> Mapping[str, Any] | None:
    if recipe.base is None:
        return None
    if isinstance(recipe.base, str):
        return folders.summary(Path(recipe.base))[0].training["data"]
    base, source, validation = _base_recipe(recipe.base)
    return data_summary(_base_texts(base, source, validation), _base_summary(base))


def _base_recipe(options: Mapping[str, Any]) -> tuple[Recipe, str, str | None]:
    flat = dict(options)
    if "source" not in flat:
        raise OptionError("base names no source; give the texts to train it on, such as source = 'shami+atsad'.")
    source, validation = flat.pop("source"), flat.pop("validation", None)
    return Recipe.of(flat), source, validation


@lru_cache(maxsize=2)
def _prepared(recipe: str, source: str, validation: str | None) -> Dataset:
    return distributed.made_by_first(Dataset, lambda: prepare(Recipe.model_validate_json(recipe), source, validation))


def _base_texts(recipe: Recipe, source: str, validation: str | None) -> Dataset:
    seed = recipe.training.seed if validation is None else 0
    reading = Recipe.of({"seed": seed} | {name: getattr(recipe, name) for name in READING})
    return _prepared(reading.model_dump_json(), source, validation)


def _train_members(request: RunRequest, given: Mapping[str, Any]) -> TrainResult:
    """Train each member, in a folder `OUT-1`, `OUT-2`, ..., and merge them into one model."""
    recipe, common = request.recipe, {name: value for name, value in given.items() if name != "members"}
    learner = family(recipe.model).learner()
    if not isinstance(learner, MergingLearner):
        raise OptionError(f"members are for the blend; a {recipe.model} has none.")
    models: list[folders.ModelFiles] = []
    for number, options in enumerate(recipe.members, 1):
        # Counts of bases would differ from member to member.
        own = {"base_counts": False} | common | options
        member = Recipe.of(own)
        member = member.changed(options_of_base(member, own))
        if changed := next((name for name in READING if getattr(member, name) != getattr(recipe, name)), None):
            raise OptionError(f"member {number} has {changed} of its own; all members learn the same texts.")
        models.append(train_or_reuse(_part(request, member, request.data, str(number))))
    first = models[0]
    if any(model.vocabulary.characters != first.vocabulary.characters for model in models):
        raise OptionError(
            "the members know different characters; give them the same least, and bases of the same texts."
        )
    try:
        settings, artifacts = learner.merge(
            [model.description.settings for model in models], [model.artifacts.weights for model in models]
        )
    except ValueError as error:
        raise OptionError(f"the members do not fit together: {error}.") from error
    used = [model.description.training.get("used") for model in models]
    seconds = sum(float(model.metrics["training_seconds"]) for model in models)
    learnt = [number for model in models if (number := model.metrics.get(LEARNT_BY_BASE)) is not None]
    same = used[0] if all(use == used[0] for use in used) else None
    metrics = training_metrics(
        [model.metrics.get("history", []) for model in models],
        seconds,
        sum(map(total_seconds, models)) - seconds,
        **{LEARNT_BY_BASE: max(learnt, default=None)},
    )
    description = describe(request, recipe.model, settings, same, first.description.training["data"]["base"])
    merged = folders.ModelFiles(description, first.vocabulary, artifacts, first.seen, first.baselines, metrics)
    return distributed.made_by_first(TrainResult, lambda: publish(merged, request))
