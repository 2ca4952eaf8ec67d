"""Compare all families on one leak-free split with equal training time, beside baselines and compressors.

A comparison is a folder: the split, a model folder for each family, the finished rows (`store`), and in the end
`results.json`. A second call adds only the rows that are missing, and resumes an interrupted training.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kammil import files, process_group
from kammil.completion.completer import load
from kammil.errors import MissingExtraError, OptionError
from kammil.evaluation import text_overlap
from kammil.evaluation.ranking import Ranking, rank
from kammil.evaluation.report import REPORT
from kammil.locks import run_lock
from kammil.models.family import FAMILIES, family
from kammil.progress import Event, ignore, listening
from kammil.training.comparison.page import comparison_report, repeat_command
from kammil.training.comparison.rows import baseline_rows, family_row
from kammil.training.comparison.split import ComparisonSplit, gather, write
from kammil.training.comparison.store import ResultStore
from kammil.training.recipe import Recipe
from kammil.training.texts import printable

RESULTS = "results.json"

Say = Callable[[str], None]


def _silent(line: str) -> None:
    del line


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
    listen: Callable[[Event], None] = ignore,
    say: Say = _silent,
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
        listen: called with the events of training.
        say: called with a line of text on each step.
        options: of `Recipe`, `TrainingOptions` and the families' settings; a setting goes to the families that have it.

    Raises `KammilError` with one sentence; rows that were finished by then are kept.
    """
    if process_group.is_launched():
        raise OptionError("a comparison runs in one process; start it without a launcher.")
    left_out: dict[str, str] = {}
    signatures = text_overlap.signatures()  # first: a missing library must be reported before hours of training
    recipes = _recipes(families, options | {"minutes": minutes}, left_out)
    store = ResultStore(Path(out))
    with run_lock(store.path), listening(listen):
        parts = gather(next(iter(recipes.values())), source, validation, test)
        makers = baseline_rows(parts)
        keys = {name: parts.key() for name in makers}
        for name, recipe in recipes.items():
            options_of = recipe.model_dump(mode="json")
            keys[name] = parts.key() | options_of.pop("training") | options_of.pop("settings") | options_of
        store.open(keys, replace=replace)
        split_files = write(parts, store.path)
        for name, recipe in recipes.items():
            makers[name] = family_row(store.path / name, recipe, parts, split_files, replace=replace, on_event=listen)
        say(
            f"{len(parts.train):,} training, {len(parts.validation):,} validation, {len(parts.test):,} test texts: "
            f"{parts.leaks.exact} of these stand in the training part, "
            f"{parts.leaks.near} are near-duplicates of its texts"
        )
        for name, make in makers.items():
            if name in store.rows:
                say(f"{name}: done before")
                continue
            say(f"{name}: at work")
            try:
                store.add(keys[name], *make())
            except MissingExtraError as error:
                if name in recipes:
                    raise
                left_out[name] = error.what
                say(f"{name}: left out: {error}")
        done = [name for name in makers if name in store.rows]
        ranking = rank([store.rows[name] for name in done], {name: store.columns[name] for name in done})
        ranking = dataclasses.replace(
            ranking, data=parts.to_dict() | {"minutes": minutes}, signatures=signatures, left_out=left_out
        )
        files.write_atomic(store.path / RESULTS, json.dumps(ranking.to_dict(), ensure_ascii=False, indent=2).encode())
        if report:
            command = repeat_command(source, minutes, families, validation, test, options)
            _write_report(store.path, ranking, parts, command)
        return ranking


def _write_report(folder: Path, ranking: Ranking, parts: ComparisonSplit, command: str) -> None:
    best = load(folder / ranking.best)
    page = comparison_report(ranking, parts, best, name=printable(folder.resolve().name), command=command)
    files.write_atomic(folder / REPORT, page.encode("utf-8", "replace"))


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
