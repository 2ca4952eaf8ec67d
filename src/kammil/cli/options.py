"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Column = Annotated[str | None, typer.Option(help="Column of a table that holds the texts: its name, or its number.")]
Where = Annotated[str | None, typer.Option(help="SQL condition on the rows of a table: \"Country = 'lebanon'\".")]
Encoding = Annotated[str, typer.Option(help="Encoding of the file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
BUNDLED = Path("levantine")
"""The model that is there from the start; `kammil.folder` knows where."""
ModelFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder.")]
