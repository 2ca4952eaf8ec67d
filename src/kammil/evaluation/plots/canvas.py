"""An empty figure, and a figure written to a file; names as they may stand in one."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from kammil.errors import FolderError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def blank(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, independent of any window system."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("figures need matplotlib; run: pip install 'kammil[train]'") from error

    class Shown(Figure):
        """A figure that a notebook shows, whether or not its own way to show figures is at work."""

        def _repr_png_(self) -> bytes:
            return png(self)

    return Shown(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending decides the format (png, svg, pdf), and none means png."""
    try:
        _write(figure, path, path.suffix[1:].lower() or "png", dpi=150)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise FolderError(f"cannot write the figure {path}: {reason}; name another file.") from error


def png(figure: Figure) -> bytes:
    """A figure as a notebook shows it."""
    out = io.BytesIO()
    _write(figure, out, "png", dpi=100)
    return out.getvalue()


def _write(figure: Figure, to: Path | io.BytesIO, form: str, *, dpi: int) -> None:
    with warnings.catch_warnings():
        # A letter that no font at hand has shows as a box, which says it.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(to, dpi=dpi, format=form)


def ready() -> None:
    """`MissingExtraError` without matplotlib: to be said before long work, not after it."""
    blank(1.0, 1.0)


def named(name: str) -> str:
    """A name for a legend: not wider than half the figure, and dollars are no formula."""
    short = name if len(name) <= 16 else name[:15] + "\N{HORIZONTAL ELLIPSIS}"
    return short.encode("utf-8", "replace").decode().replace("$", r"\$")
