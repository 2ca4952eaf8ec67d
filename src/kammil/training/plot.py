"""Draw the figure of a model's training or of a comparison."""

from __future__ import annotations

from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

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
    """Draw a figure, write it to a file if one is named, and return it.

    Args:
        what: a model's folder, a model or a `TrainResult`, for its training curves; or a comparison.
        out: a file; its ending decides the format (png, svg, pdf).

    Raises `KammilError` for what has no figure, and without matplotlib.
    """
    if isinstance(what, Ranking):
        name, charts = "", comparison(what)
    elif isinstance(what, TrainResult):
        name = what.folder.resolve().name
        charts = training_curves(what.history, name, members=what.members)
    elif isinstance(what, Completer) and what.model is None:
        raise OptionError("the model comes from no folder, so nothing is known of its training; give one that does.")
    else:
        if isinstance(what, Completer):
            name, model = what.name, what.model
        elif isinstance(what, str | PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
            name, model = Path(what).resolve().name, folders.read(Path(what))
        else:
            raise OptionError(f"there is no figure of a {type(what).__name__}; give a model's folder.")
        metrics = cast(folders.ModelFiles, model).metrics
        try:
            histories = [metrics.get("history", []), *metrics.get("members", [])]
            history, *members = [[asdict(EpochEnded(**epoch)) for epoch in each] for each in histories]
        except TypeError as error:
            raise FolderError(f"{name}/{folders.METRICS} holds no training history; copy the folder again.") from error
        charts = training_curves(history, name, members=members)
    drawn = figure(charts, name)
    if out is not None:
        save(drawn, Path(out))
    return drawn
