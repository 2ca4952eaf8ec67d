"""Train one recipe on more and more of the same texts, to see how many it takes: `kammil.curve`.

A curve is a `Suite`, as a comparison is, with a model for each amount of text, and in the end `curve.json`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kammil import storage
from kammil.errors import OptionError
from kammil.evaluation.ranking import CurvePoint, LearningCurve, learning_curve
from kammil.progress import Listener, ignore, note
from kammil.training.comparison.split import ComparisonSplit, gather, write
from kammil.training.comparison.suite import Suite, baseline_rows, model_rows, row_key
from kammil.training.recipe import Recipe

RESULTS, FIGURE = "curve.json", "curve.png"
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the training texts: three doublings."""


def curve(
    source: str | Path,
    *,
    out: str | Path,
    shares: Sequence[float] = SHARES,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    replace: bool = False,
    listen: Listener = ignore,
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
        listen: called with the events of training, and a notice on each step.
        options: of `kammil.train`, such as `model` and `minutes`, which are for each model.

    Raises `KammilError` with one sentence; what was finished by then is kept.
    """
    recipe = Recipe.of(options)
    chosen = sorted(set(shares))
    if not chosen or not all(0 < share <= 1 for share in chosen):
        raise OptionError(f"shares is {list(shares)}, but each must be more than 0 and at most 1, such as 0.5.")
    suite = Suite(Path(out), what="curve", listen=listen)
    with suite.locked():
        whole = gather(recipe, source, validation, test)
        parts = {f"{len(part.train)}-texts": part for part in _subsets(whole, chosen, recipe.training.seed)}
        suite.open({name: row_key(part, recipe) for name, part in parts.items()}, replace=replace)
        note(f"{len(whole.train):,} training, {len(whole.validation):,} validation, {len(whole.test):,} test texts")
        models = {name: (recipe, part, write(part, suite.path, train=f"{name}-train")) for name, part in parts.items()}
        suite.complete(model_rows(suite, models, replace=replace))
        _, random = baseline_rows(whole)["uniform"]()
        points = [
            CurvePoint(name, len(p.train), sum(map(len, p.train)), suite.rows[name].training_seconds or 0.0, {}, {})
            for name, p in parts.items()
        ]
        data = whole.to_dict() | {"model": recipe.model, "minutes": recipe.training.minutes}
        result = learning_curve(points, {name: suite.columns[name] for name in parts}, random, data)
        storage.write_atomic(suite.path / RESULTS, json.dumps(result.to_dict(), ensure_ascii=False, indent=2).encode())
        return result


def _subsets(whole: ComparisonSplit, shares: Sequence[float], seed: int) -> list[ComparisonSplit]:
    order = np.random.default_rng(seed).permutation(len(whole.train)).tolist()
    sizes = sorted({math.ceil(share * len(order)) for share in shares})
    return [dataclasses.replace(whole, train=tuple(whole.train[i] for i in sorted(order[:n]))) for n in sizes]
