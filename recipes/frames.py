"""Write out frames: blocks of beginnings and ends of messages about one thing, of which each goes with each.

A small model learns from them which ends belong to what a message is about, since it meets every end after many
beginnings, and many ends after every beginning. A file holds blocks with an empty line between them; `+` stands before
a beginning, `-` before an end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kammil.errors import DataError

_CLOSING = ("،", "؟", "!", ".", "؛")
"""Marks that stand at the end before them without a space."""


@dataclass(frozen=True)
class Frame:
    """Beginnings and ends of messages about one thing."""

    beginnings: tuple[str, ...]
    ends: tuple[str, ...]

    def texts(self, ends: int | None = None) -> Iterator[str]:
        """Yield every beginning with so many ends, which take turns; None: with every end."""
        number = len(self.ends) if ends is None else min(ends, len(self.ends))
        for i, beginning in enumerate(self.beginnings):
            for turn in range(i * number, (i + 1) * number):
                end = self.ends[turn % len(self.ends)]
                yield f"{beginning}{end}" if end.startswith(_CLOSING) else f"{beginning} {end}"


def read(file: Path) -> list[Frame]:
    """Return the frames of a file; `DataError` names a line or block that is malformed."""
    frames: list[Frame] = []
    for block in filter(str.strip, file.read_text("utf-8").split("\n\n")):
        parts: dict[str, list[str]] = {"+": [], "-": []}
        for line in filter(None, block.splitlines()):
            if line[:2] not in ("+ ", "- ") or line != " ".join(line.split()):
                raise DataError(f"{file}: {line!r} begins with neither '+ ' nor '- ', or has spaces to spare.")
            parts[line[0]].append(line[2:])
        if not (parts["+"] and parts["-"]):
            raise DataError(f"{file}: the block {block[:40]!r} has no beginnings or no ends.")
        frames.append(Frame(tuple(parts["+"]), tuple(parts["-"])))
    return frames


def from_folder(folder: Path, ends: int | None = None) -> list[str]:
    """Return the texts of all frames of a folder's .txt files; `ends` as in `Frame.texts`. `DataError` for none."""
    if not any(folder.glob("*.txt")):
        raise DataError(f"there are no frames in {folder}; name a folder of .txt files.")
    return [text for file in sorted(folder.glob("*.txt")) for frame in read(file) for text in frame.texts(ends)]
