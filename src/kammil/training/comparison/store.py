"""Store the finished rows of a comparison on disk: `rows.json` and `rows.safetensors`.

Each row is stored with the texts and options that it was made from (its key), so that a second call makes only the
missing rows and refuses to mix rows of different keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from kammil import files
from kammil import model_folder as folders
from kammil.errors import FolderError, OptionError
from kammil.evaluation.bootstrap import Array
from kammil.evaluation.ranking import Row

ROWS, SUMS = "rows.json", "rows.safetensors"
_FORMAT = 4


class ResultStore:
    """The folder of a comparison: finished rows with their keys, and what each text added to their sums."""

    def __init__(self, path: Path, *, what: str = "comparison") -> None:
        """Name the folder, and what it holds, for errors; `open` reads it."""
        self.path, self._what = path, what
        self.rows: dict[str, Row] = {}
        self.columns: dict[str, dict[str, Array]] = {}
        self._keys: dict[str, dict[str, Any]] = {}

    def open(self, keys: Mapping[str, Mapping[str, Any]], *, replace: bool) -> None:
        """Read the finished rows; `OptionError` for a row whose stored key differs from its key now.

        With `replace` such rows are dropped instead, to be made again. `FolderError` if the folder is no comparison.
        """
        self._read()
        for name in list(self.rows):
            wanted, stored = keys.get(name, {}), self._keys[name]
            different = [k for k in wanted if stored.get(k) != wanted[k]]
            if not different:
                continue
            if not replace:
                raise OptionError(
                    f"the row {name} in {self.path} has another {different[0]} ({stored.get(different[0])!r} then, "
                    f"{wanted[different[0]]!r} now); give --replace to make it anew, or another --out."
                )
            del self.rows[name], self.columns[name], self._keys[name]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"cannot write {self.path}: {error.strerror}; name another place with --out.") from error
        self._write()

    def add(self, key: Mapping[str, Any], row: Row, columns: Mapping[str, Array]) -> None:
        """Store a finished row."""
        self.rows[row.name], self.columns[row.name], self._keys[row.name] = row, dict(columns), dict(key)
        self._write()

    def _read(self) -> None:
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not (self.path / ROWS).is_file():
            raise FolderError(f"{self.path} exists and is no {self._what}; name another folder with --out.")
        try:
            state = cast(dict[str, Any], json.loads((self.path / ROWS).read_text("utf-8")))
            if state["format"] in (1, 2, 3):
                raise FolderError(
                    f"the rows in {self.path} have format {state['format']}, and Kammil 0.1.0 was the last version to "
                    "read it; name another folder with --out."
                )
            if state["format"] != _FORMAT:
                raise ValueError(f"format {state['format']!r}")
            sums = cast(dict[str, Array], load_arrays((self.path / SUMS).read_bytes()))
            for name, entry in cast(dict[str, dict[str, Any]], state["rows"]).items():
                fields = cast(dict[str, Any], entry["row"])
                curve = tuple((float(seconds), float(bits)) for seconds, bits in fields.pop("curve"))
                self.rows[name] = Row(**fields, curve=curve)
                self._keys[name] = dict(entry["key"])
                self.columns[name] = {measure: sums[f"{name}/{measure}"] for measure in entry["measures"]}
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise FolderError(
                f"the rows in {self.path} cannot be read ({error}); remove the folder or name another with --out."
            ) from error

    def _write(self) -> None:
        """Write the sums first: then every row that `rows.json` names has its sums, even after a power failure."""
        sums = {f"{name}/{measure}": a for name, columns in self.columns.items() for measure, a in columns.items()}
        folders.write_arrays(self.path / SUMS, sums)
        entries = {
            name: {"row": asdict(row), "key": self._keys[name], "measures": list(self.columns[name])}
            for name, row in self.rows.items()
        }
        state = {"format": _FORMAT, "rows": entries}
        files.write_atomic(self.path / ROWS, json.dumps(state, ensure_ascii=False, indent=1).encode())
