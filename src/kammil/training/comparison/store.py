"""What a comparison has finished so far, on disk: `rows.json` and `rows.safetensors`.

A row says what it was made from, so a second call makes only what is missing, and refuses to mix origins.
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
_OLDER = (1, 2, 3)
"""Formats of rows from before keystrokes were measured by `evaluation.typing`, from before ghost text was a phrase, and
from before every space was counted: read, to be measured again."""


class ResultStore:
    """The folder of a comparison: finished rows with their origin, and what each text added to their sums."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or written yet."""
        self.path = path
        self.rows: dict[str, Row] = {}
        self.columns: dict[str, dict[str, Array]] = {}
        self._keys: dict[str, dict[str, Any]] = {}
        self._format = _FORMAT

    def open(self, keys: Mapping[str, Mapping[str, Any]], *, replace: bool) -> None:
        """Read what is finished; `OptionError` for a row of another origin than its key says, unless `replace`.

        With `replace` such rows are forgotten, to be made anew. Rows of an older version are forgotten too, once it is
        known that they were made from the same: their models are not, so nothing is trained again. `FolderError` if
        the folder is something else.
        """
        self._read()
        for name in list(self.rows):
            wanted, made = keys.get(name), self._keys[name]
            compared = [k for k in wanted or {} if self._format == _FORMAT or k in made]
            other = [k for k in compared if made.get(k) != (wanted or {})[k]]
            if not other:
                continue
            if not replace:
                raise OptionError(
                    f"the row {name} in {self.path} has another {other[0]} ({made.get(other[0])!r} then, "
                    f"{(wanted or {})[other[0]]!r} now); give --replace to make it anew, or another --out."
                )
            del self.rows[name], self.columns[name], self._keys[name]
        if self._format != _FORMAT:
            self.rows, self.columns, self._keys, self._format = {}, {}, {}, _FORMAT
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"cannot write {self.path}: {error.strerror}; name another place with --out.") from error
        self._write()

    def add(self, key: Mapping[str, Any], row: Row, columns: Mapping[str, Array]) -> None:
        """Keep a finished row."""
        self.rows[row.name], self.columns[row.name], self._keys[row.name] = row, dict(columns), dict(key)
        self._write()

    def _read(self) -> None:
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not (self.path / ROWS).is_file():
            raise FolderError(f"{self.path} exists and is no comparison; name another folder with --out.")
        try:
            state = cast(dict[str, Any], json.loads((self.path / ROWS).read_text("utf-8")))
            sums = cast(dict[str, Array], load_arrays((self.path / SUMS).read_bytes()))
            self._format = state["format"]
            if self._format not in (_FORMAT, *_OLDER):
                raise ValueError(f"format {self._format!r}")
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
        """Sums first: a row that `rows.json` names has its sums, whenever the power fails."""
        sums = {f"{name}/{measure}": a for name, columns in self.columns.items() for measure, a in columns.items()}
        folders.write_arrays(self.path / SUMS, sums)
        entries = {
            name: {"row": asdict(row), "key": self._keys[name], "measures": list(self.columns[name])}
            for name, row in self.rows.items()
        }
        state = {"format": _FORMAT, "rows": entries}
        files.write_atomic(self.path / ROWS, json.dumps(state, ensure_ascii=False, indent=1).encode())
