"""`kammil plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kammil.cli._options import Folder


def plot(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="File to write.  [default: FOLDER/training.png]")] = None,
) -> None:
    """Draw the training curves of a model: loss and accuracy by epoch."""
    from kammil import model_folder
    from kammil.errors import OptionError
    from kammil.training import plot as figures

    if out is None and model_folder.locate(folder) != folder:
        raise OptionError(f"{folder} is a bundled model; name a file for the figure with --out.")
    path = out or folder / "training.png"
    figures.plot(folder, path)
    typer.echo(path)
