"""Compare all families on one leak-free split with equal training time, beside baselines and compressors.

A comparison is a `Suite`: the split, a folder for each family and baseline, and in the end `results.json`. A second
call adds only the rows that are missing, and resumes an interrupted training.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kammil import storage
from kammil.completion.completer import load
from kammil.errors import MissingExtraError, OptionError
from kammil.evaluation import text_overlap
from kammil.evaluation.ranking import Ranking, rank
from kammil.evaluation.report import REPORT
from kammil.models.family import FAMILIES, family
from kammil.progress import Listener, ignore, note
from kammil.training.comparison.report import comparison_report, repeat_command
from kammil.training.comparison.split import gather, write
from kammil.training.comparison.suite import Suite, baseline_rows, model_rows, row_key
from kammil.training.recipe import Recipe, options_toml
from kammil.training.record import without_folders
from kammil.training.texts import printable

RESULTS = "results.json"


def compare(
    source: str | Path,
    *,
    minutes: float,
    out: str | Path,
    families: Sequence[str] | None = None,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    replace: bool = False,
    report: bool = True,
    listen: Listener = ignore,
    **options: Any,
) -> Ranking:
    """Train or reuse a model of each family, measure all on the test texts, and rank them.

    Args:
        source: a file of texts, or a data set's name.
        minutes: of training for each family at most.
        out: the folder of the comparison; finished rows in it are kept.
        families: names; None takes all whose libraries are installed; `left_out` of the ranking names the rest.
        validation, test: files; for what is not given, a leak-free tenth of `source`, 5,000 texts at most.
        replace: compute rows again whose texts or options have changed, instead of raising an error.
        report: write `report.html` into the folder, a page for people, which quotes a few test texts.
        listen: called with the events of training, and a notice on each step.
        options: of `Recipe`, `TrainingOptions` and the families' settings; a setting goes to the families that have it.

    Raises `KammilError` with one sentence; rows that were finished by then are kept.
    """
    left_out: dict[str, str] = {}
    signatures = text_overlap.signatures()  # first: a missing library must be reported before hours of training
    recipes = _recipes(families, options | {"minutes": minutes}, left_out)
    suite = Suite(Path(out), what="comparison", listen=listen)
    with suite.locked():
        parts = gather(next(iter(recipes.values())), source, validation, test)
        baselines = baseline_rows(parts)
        keys = {name: row_key(parts) for name in baselines}
        keys |= {name: row_key(parts, recipe) for name, recipe in recipes.items()}
        suite.open(keys, replace=replace)
        texts = write(parts, suite.path)
        note(
            f"{len(parts.train):,} training, {len(parts.validation):,} validation, {len(parts.test):,} test texts: "
            f"{parts.leaks.exact} of these stand in the training part, "
            f"{parts.leaks.near} are near-duplicates of its texts"
        )
        left_out |= suite.complete(baselines, optional=True)
        models = {name: (recipe, parts, texts) for name, recipe in recipes.items()}
        suite.complete(model_rows(suite, models, replace=replace))
        done = [name for name in (*baselines, *recipes) if name in suite.rows]
        ranking = rank([suite.rows[name] for name in done], {name: suite.columns[name] for name in done})
        ranking = dataclasses.replace(
            ranking, data=parts.to_dict() | {"minutes": minutes}, signatures=signatures, left_out=left_out
        )
        storage.write_atomic(suite.path / RESULTS, json.dumps(ranking.to_dict(), ensure_ascii=False, indent=2).encode())
        if report:
            best, name = load(suite.path / ranking.best), printable(suite.path.resolve().name)
            command, toml = (
                repeat_command(source, minutes, families, validation, test),
                options_toml(without_folders(options)),
            )
            page = comparison_report(ranking, parts, best, name=name, command=command, toml=toml)
            storage.write_atomic(suite.path / REPORT, page.encode("utf-8", "replace"))
        return ranking


def _recipes(names: Sequence[str] | None, options: Mapping[str, Any], left_out: dict[str, str]) -> dict[str, Recipe]:
    """Return a recipe for each family. A setting goes to the families that have it; one that none has is an error."""
    chosen = {}
    every = [name for name, each in FAMILIES.items() if not each.needs_base or "base" in options]
    for name in dict.fromkeys(every if names is None else names):
        try:
            chosen[name] = family(name).learner().settings.model_fields
        except MissingExtraError as error:
            if names is not None:
                raise
            left_out[name] = error.what
    if not chosen:
        raise OptionError(f"there is no family to compare; name some of {', '.join(FAMILIES)}.")
    for option, instead in (
        ("model", "name the families instead"),
        ("base", "all rows learn from the same texts alone"),
    ):
        if option in options and not any(option in fields for fields in chosen.values()):
            raise OptionError(f"{option} is no option of a comparison; {instead}.")
    all_settings = {setting for fields in chosen.values() for setting in fields}
    recipes = {
        name: Recipe.of({k: v for k, v in options.items() if k in fields or k not in all_settings} | {"model": name})
        for name, fields in chosen.items()
    }
    for name, recipe in recipes.items():
        family(name).check_base(recipe.settings)
    return recipes
