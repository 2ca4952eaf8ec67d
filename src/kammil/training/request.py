"""All that one training run is asked for, as one value that is handed down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kammil import model_folder as folders
from kammil.progress import Listener, ignore
from kammil.training.recipe import Recipe
from kammil.training.texts import Dataset
from kammil.training.time_budget import TimeBudget


@dataclass(frozen=True)
class ParentModel:
    """A model whose weights a run starts from."""

    model: folders.ModelFiles
    texts: tuple[str, ...]
    """Its training texts; empty where it was not trained by this recipe."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Everything that a run is asked for."""

    recipe: Recipe
    data: Dataset
    out: Path
    """The model folder, whose lock the caller holds; checkpoints are kept beside it."""
    base: ParentModel | None = None
    resume: bool = False
    replace: bool = False
    listen: Listener = ignore
    track: Sequence[str] = ()
    """Names of trackers that show the run."""
    report_seconds: float = 0.0
    """About how long the report may take; none is written at 0."""
    any_family: bool = False
    """Whether nobody chose the family, so that a counter may take its place."""
    budget: TimeBudget | None = None
    """The time of the whole command; None starts the minutes of the recipe with the run."""
