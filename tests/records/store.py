"""Records on disk, one JSON object a line, and what differs between two of them."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

TOLERANCE, RELATIVE = 2e-6, 1e-5
"""Two figures that differ by no more are the same: they are recorded with six places, and come of 32 bits."""


@dataclass(frozen=True)
class Entry:
    """One input, and what came of it."""

    id: str
    given: Any
    """The input, as far as it helps to see it."""
    found: Any
    """What is compared."""


@dataclass(frozen=True)
class Allowed:
    """Differences that are meant, and why."""

    kind: str
    id: str
    """May hold `*` for anything."""
    reason: str
    now: str = ""
    """What the new result must hold somewhere, if that is said."""

    def covers(self, kind: str, was: Entry | None, now: Entry | None) -> bool:
        """Whether this is one of the differences."""
        entry = was or now
        fits = entry is not None and kind == self.kind and fnmatchcase(entry.id, self.id)
        return fits and self.now in json.dumps(now and now.found, ensure_ascii=False)


def outcome(call: Callable[..., Any], *given: Any) -> Any:
    """Return what a call returns; of an error its public class and `option`. What it says is kept, never compared."""
    from kammil import errors

    try:
        return call(*given)
    except errors.KammilError as error:
        public = next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        return {"refused": public, "option": getattr(error, "option", None), "said": str(error)[:200]}
    except Exception as error:  # a defect, but one that is recorded
        return {"crashed": type(error).__name__, "said": str(error)[:200]}


def write(path: Path, entries: Iterable[Entry]) -> int:
    """Write a record; returns the number of entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = 0
    with path.open("w", encoding="utf-8", errors="surrogatepass") as file:
        for entry in entries:
            line = {"id": entry.id, "given": entry.given, "found": entry.found}
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
            lines += 1
    return lines


def read(path: Path) -> Iterator[Entry]:
    """Read a record."""
    with path.open(encoding="utf-8", errors="surrogatepass") as file:
        for line in file:
            yield Entry(**json.loads(line))


def expected(path: Path | None) -> list[Allowed]:
    """Read a file of differences that are meant: TOML, each an `[[allowed]]` with `kind`, `id`, `reason`, `now`."""
    if path is None:
        return []
    return [Allowed(**each) for each in tomllib.loads(path.read_text("utf-8"))["allowed"]]


_GONE = "nothing"
"""What is shown in place of a value that is missing."""


def changes(was: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two values differ, and how: figures are compared nearly, what is said not at all, and an `option`
    may be named where none was."""
    if isinstance(was, dict) and isinstance(now, dict):
        before, after = cast(Mapping[str, Any], was), cast(Mapping[str, Any], now)
        for key in sorted((before.keys() | after.keys()) - {"said"}):
            if key != "option" or before.get(key) is not None:
                yield from changes(before.get(key, _GONE), after.get(key, _GONE), f"{path}.{key}")
    elif isinstance(was, list) and isinstance(now, list):
        first, second = cast(list[Any], was), cast(list[Any], now)
        for i, (one, other) in enumerate(zip_longest(first, second, fillvalue=_GONE)):
            yield from changes(one, other, f"{path}[{i}]")
    elif isinstance(was, int | float) and isinstance(now, int | float):
        if was != now and not math.isclose(was, now, rel_tol=RELATIVE, abs_tol=TOLERANCE):
            yield path, was, now
    elif was != now:
        yield path, was, now


def differences(was: Iterable[Entry], now: Iterable[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Yield what differs, and what only one of two records has."""
    before = {entry.id: entry for entry in was}
    for made in now:
        old, entry = before.pop(made.id, None), Entry(**json.loads(json.dumps(vars(made))))
        if old is None or any(changes([old.given, old.found], [entry.given, entry.found])):
            yield old, entry
    yield from ((old, None) for old in before.values())
