"""The figure of whatever there is: a model's training, an explained text, a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from kammil import folder as folders
from kammil.completion import Completer
from kammil.errors import FolderError, OptionError
from kammil.evaluation.standings import Standings
from kammil.explanation import Explanation, Tempered
from kammil.plots.canvas import save
from kammil.plots.curves import training_curves
from kammil.plots.explanation import explained, temperatures
from kammil.plots.standings import comparison
from kammil.training.events import EpochEnded

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@runtime_checkable
class Finished(Protocol):
    """A finished run, such as `kammil.train` returns."""

    @property
    def folder(self) -> Path:
        """The model."""
        ...

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """One mapping an epoch."""
        ...


def plot(
    what: str | PathLike[str] | Completer | Finished | Explanation | Tempered | Standings,
    out: str | PathLike[str] | None = None,
) -> Figure:
    """Draw something, and write it to a file if one is named; a notebook shows what is returned.

    Args:
        what: a model's folder, a model, or what `kammil.train` returned: its training curves; what `kammil.explain`
            returned: the text with its surprises.
        out: a file; its ending decides the format (png, svg, pdf).

    Raises `KammilError` with one sentence for what has no figure, or where there is no matplotlib.
    """
    if isinstance(what, Explanation):
        figure = explained(what)
    elif isinstance(what, Tempered):
        figure = temperatures(what)
    elif isinstance(what, Standings):
        figure = comparison(what)
    elif isinstance(what, str | PathLike):
        figure = training_curves(history(Path(what)), Path(what).resolve().name)
    elif isinstance(what, Completer):
        if what.model is None:
            raise OptionError(
                "the model comes from no folder, so nothing is known of its training; give one that does."
            )
        figure = training_curves(cast(list[dict[str, Any]], what.model.metrics.get("history", [])), what.name)
    elif isinstance(what, Finished):  # pyright: ignore[reportUnnecessaryIsInstance]
        figure = training_curves(what.history, what.folder.resolve().name)
    else:
        raise OptionError(f"there is no figure of a {type(what).__name__}; give a model's folder or an explanation.")
    if out is not None:
        save(figure, Path(out))
    return figure


def history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a model's training, checked; `FolderError` where they are none of ours."""
    try:
        return [asdict(EpochEnded(**epoch)) for epoch in folders.read(folder).metrics.get("history", [])]
    except TypeError as error:
        raise FolderError(f"{folder / folders.METRICS} holds no training history; copy the folder again.") from error
