"""Create empty figures, save figures to files, and prepare names for legends."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from kammil import files
from kammil.errors import FolderError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def blank(width: float, height: float) -> Figure:
    """Create an empty figure of this size in inches, independent of any window system."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("figures need matplotlib", "train") from error

    class Shown(Figure):
        """A figure that a notebook shows even without matplotlib's inline backend."""

        def _repr_png_(self) -> bytes:
            return png(self)

    return Shown(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a file; its ending decides the format (png, svg, pdf), none means png. Raises `FolderError`."""
    out = io.BytesIO()
    try:
        _write(figure, out, path.suffix[1:].lower() or "png", dpi=150)
        files.write_atomic(path, out.getvalue())
    except (ValueError, FolderError) as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise FolderError(f"cannot write the figure {path}: {reason}; name another file.") from error


def png(figure: Figure) -> bytes:
    """Render a figure as PNG, at the resolution of a notebook."""
    out = io.BytesIO()
    _write(figure, out, "png", dpi=100)
    return out.getvalue()


def _write(figure: Figure, to: io.BytesIO, form: str, *, dpi: int) -> None:
    with warnings.catch_warnings():
        # A letter that no installed font has is drawn as a box, which shows the problem well enough.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(to, dpi=dpi, format=form)


def ready() -> None:
    """Check that matplotlib is installed, before long work rather than after it; raises `MissingExtraError`."""
    blank(1.0, 1.0)


def named(name: str) -> str:
    """Shorten a name for a legend to half the width of a figure, and escape dollars, which would begin a formula."""
    short = name if len(name) <= 16 else name[:15] + "\N{HORIZONTAL ELLIPSIS}"
    return short.encode("utf-8", "replace").decode().replace("$", r"\$")
