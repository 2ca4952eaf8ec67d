"""Train one recipe on more and more of the same texts, to see how many it takes: `kammil.curve`.

A curve is a folder, as a comparison is: the parts of the texts, a model folder for each amount of text, the finished
rows (`store`), and in the end `curve.json`. A second call adds what is missing, and resumes an interrupted training.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kammil import files
from kammil.errors import OptionError
from kammil.evaluation.learning_curve import CurvePoint, LearningCurve, learning_curve
from kammil.locks import run_lock
from kammil.progress import Event, ignore, listening
from kammil.training.comparison.rows import baseline_rows, family_row
from kammil.training.comparison.split import ComparisonSplit, gather, write
from kammil.training.comparison.store import ResultStore
from kammil.training.recipe import Recipe

RESULTS, FIGURE = "curve.json", "curve.png"
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the training texts: three doublings."""

Say = Callable[[str], None]


def _silent(line: str) -> None:
    del line


def curve(
    source: str | Path,
    *,
    out: str | Path,
    shares: Sequence[float] = SHARES,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    replace: bool = False,
    listen: Callable[[Event], None] = ignore,
    say: Say = _silent,
    **options: Any,
) -> LearningCurve:
    """Train or reuse a model on each share of the training texts, and measure all on the same test texts.

    The shares are nested: a larger one holds all texts of a smaller one. All have the same validation and test texts.

    Args:
        source: a file of texts, or a data set's name.
        out: the folder of the curve; finished models in it are kept.
        shares: of the training texts, each more than 0 and at most 1.
        validation, test: files; for what is not given, a leak-free tenth of `source`, 5,000 texts at most.
        replace: make models again whose texts or options have changed, instead of raising an error.
        listen: called with the events of training.
        say: called with a line of text on each step.
        options: of `kammil.train`, such as `model` and `minutes`, which are for each model.

    Raises `KammilError` with one sentence; what was finished by then is kept.
    """
    recipe = Recipe.of(options)
    chosen = sorted(set(shares))
    if not chosen or not all(0 < share <= 1 for share in chosen):
        raise OptionError(f"shares is {list(shares)}, but each must be more than 0 and at most 1, such as 0.5.")
    store = ResultStore(Path(out), what="curve")
    with run_lock(store.path), listening(listen):
        whole = gather(recipe, source, validation, test)
        parts = {f"{len(part.train)}-texts": part for part in _subsets(whole, chosen, recipe.training.seed)}
        options_of = recipe.model_dump(mode="json")
        common = options_of.pop("training") | options_of.pop("settings") | options_of
        keys = {name: part.key() | common for name, part in parts.items()}
        store.open(keys, replace=replace)
        say(f"{len(whole.train):,} training, {len(whole.validation):,} validation, {len(whole.test):,} test texts")
        for name, part in parts.items():
            if name in store.rows:
                say(f"{name}: done before")
                continue
            say(f"{name}: at work")
            folder = store.path / name
            split_files = write(part, store.path, train=f"{name}-train")
            make = family_row(folder, recipe, part, split_files, replace=replace, on_event=listen)
            store.add(keys[name], *make())
        _, random = baseline_rows(whole)["uniform"]()
        points = [
            CurvePoint(name, len(p.train), sum(map(len, p.train)), store.rows[name].training_seconds or 0.0, {}, {})
            for name, p in parts.items()
        ]
        data = whole.to_dict() | {"model": recipe.model, "minutes": recipe.training.minutes}
        result = learning_curve(points, {name: store.columns[name] for name in parts}, random, data)
        files.write_atomic(store.path / RESULTS, json.dumps(result.to_dict(), ensure_ascii=False, indent=2).encode())
        return result


def _subsets(whole: ComparisonSplit, shares: Sequence[float], seed: int) -> list[ComparisonSplit]:
    """Return the split with each share of its training texts, drawn by the seed and nested, in their own order."""
    order = np.random.default_rng(seed).permutation(len(whole.train)).tolist()
    sizes = sorted({math.ceil(share * len(order)) for share in shares})
    return [dataclasses.replace(whole, train=tuple(whole.train[i] for i in sorted(order[:n]))) for n in sizes]
