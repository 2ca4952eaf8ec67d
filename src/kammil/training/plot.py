"""Draw the figure of a model's training or of a comparison."""

from __future__ import annotations

from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kammil import model_folder as folders
from kammil.completion.completer import Completer
from kammil.errors import FolderError, OptionError
from kammil.evaluation.plots import comparison, figure, save, training_curves
from kammil.evaluation.ranking import Ranking
from kammil.progress import EpochEnded
from kammil.training.publish import TrainResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(
    what: str | PathLike[str] | Completer | TrainResult | Ranking, out: str | PathLike[str] | None = None
) -> Figure:
    """Draw a figure, write it to a file if one is named, and return it (a notebook shows it).

    Args:
        what: a model's folder, a model, or what `kammil.train` returned: its training curves.
        out: a file; its ending decides the format (png, svg, pdf).

    Raises `KammilError` with one sentence for what has no figure, or where there is no matplotlib.
    """
    if isinstance(what, Ranking):
        name, charts = "", comparison(what)
    elif isinstance(what, str | PathLike):
        history, *members = histories(Path(what))
        name = Path(what).resolve().name
        charts = training_curves(history, name, members=members)
    elif isinstance(what, Completer):
        if what.model is None:
            raise OptionError(
                "the model comes from no folder, so nothing is known of its training; give one that does."
            )
        name, metrics = what.name, what.model.metrics
        charts = training_curves(metrics.get("history", []), name, members=metrics.get("members", []))
    elif isinstance(what, TrainResult):  # pyright: ignore[reportUnnecessaryIsInstance]
        name = what.folder.resolve().name
        charts = training_curves(what.history, name, members=what.members)
    else:
        raise OptionError(f"there is no figure of a {type(what).__name__}; give a model's folder.")
    drawn = figure(charts, name)
    if out is not None:
        save(drawn, Path(out))
    return drawn


def histories(folder: Path) -> list[list[dict[str, Any]]]:
    """Return the epochs of a model's training, then those of its members; `FolderError` if they are malformed."""
    metrics = folders.read(folder).metrics
    try:
        return [
            [asdict(EpochEnded(**epoch)) for epoch in history]
            for history in (metrics.get("history", []), *metrics.get("members", []))
        ]
    except TypeError as error:
        raise FolderError(f"{folder / folders.METRICS} holds no training history; copy the folder again.") from error
