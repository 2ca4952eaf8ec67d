"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kammil.completion.profile import Profile

Column = Annotated[str | None, typer.Option(help="Column of a table that holds the texts: its name, or its number.")]
Where = Annotated[str | None, typer.Option(help="SQL condition on the rows of a table: \"Country = 'lebanon'\".")]
Encoding = Annotated[str, typer.Option(help="Encoding of the file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
BUNDLED = Path("levantine")
"""The model that is there from the start; `kammil.model_folder` knows where."""
ModelFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder.")]
ProfileOption = Annotated[
    Path | None,
    typer.Option("--profile", metavar="FILE", help="Learn the texts of this profile first; see `kammil profile`."),
]


def opened(path: Path | None) -> Profile | None:
    """The profile of that name; `OptionError` if it is not there: a name that is mistyped must not go unnoticed."""
    if path is None:
        return None
    from kammil.completion.profile import Profile
    from kammil.errors import OptionError

    profile = Profile(path)
    if not profile.exists():
        raise OptionError(f"there is no profile at {path}; begin one with: kammil profile learn {path} TEXT")
    return profile
