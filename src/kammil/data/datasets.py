"""Named data sets: the catalogue, and their verified files.

Files come from `KAMMIL_DATA_DIR`, never written to, or the cache, into which missing ones are downloaded.
"""

from __future__ import annotations

import errno
import os
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from kammil.data.cleaning import CleaningRules
from kammil.errors import DataError, nearest

_TIMEOUT = 30.0  # seconds to connect, and between two chunks
_CHUNK = 1 << 14  # bytes; lost where a connection breaks off
_MAX_BYTES = 64 << 20
"""Bytes of a download, lest another file fill the disk."""

Status = Literal["present", "absent", "corrupt"]
Terms = Literal["open", "research", "unstated"]
"""Kinds of terms; even open ones do not clear the rights of those who wrote the texts."""


@dataclass(frozen=True)
class DatasetFile:
    """A file of a data set."""

    path: str
    """Relative to cache or `KAMMIL_DATA_DIR`."""
    url: str
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """Files of one format, read in order."""

    name: str
    files: tuple[DatasetFile, ...]
    licence: str
    citation: str
    description: str
    terms: Terms = "unstated"
    dialect: str = "mixed"
    column: str | tuple[str, ...] | None = None
    """See `sources.rows`; several give a text each."""
    cleaning: CleaningRules | None = None


_STORED = tomllib.loads(resources.files("kammil.data").joinpath("catalogue.toml").read_text("utf-8"))
CATALOG = TypeAdapter(dict[str, Dataset]).validate_python({name: {"name": name} | _STORED[name] for name in _STORED})


def find(name: str) -> Dataset:
    """Return a data set by name; `DataError` for an unknown one."""
    if name not in CATALOG:
        hint = nearest(name, CATALOG)
        raise DataError(
            f"there is no data set {name!r}{hint}; the known ones are {', '.join(CATALOG)}; sample is embedded"
        )
    return CATALOG[name]


def status(name: str, *, folder: Path | None = None) -> dict[str, Status]:
    """Return the status of each file by path; `corrupt`: a wrong SHA-256."""
    found: dict[str, Status] = {}
    for file in find(name).files:
        paths = _candidate_paths(file, folder)
        present = any(_is_valid(path, file) for path in paths)
        found[file.path] = "present" if present else "corrupt" if any(path.exists() for path in paths) else "absent"
    return found


def fetch(name: str, *, folder: Path | None = None) -> list[Path]:
    """Return the verified files of a data set, downloading what is missing; `DataError` for wrong bytes, or a full
    disk."""
    return [_fetch_file(file, folder) for file in find(name).files]


def _candidate_paths(file: DatasetFile, folder: Path | None) -> list[Path]:
    import pooch

    shared, own = os.environ.get("KAMMIL_DATA_DIR"), os.environ.get("KAMMIL_CACHE_DIR")
    return [Path(root) / file.path for root in (shared, folder or own or pooch.os_cache("kammil")) if root]


def _is_valid(path: Path, file: DatasetFile) -> bool:
    import pooch

    return path.is_file() and pooch.file_hash(str(path)) == file.sha256


def _fetch_file(file: DatasetFile, folder: Path | None) -> Path:
    import requests

    paths = _candidate_paths(file, folder)
    if valid := next((path for path in paths if _is_valid(path, file)), None):
        return valid
    target = paths[-1]
    part = target.with_name(f"{target.name}.part")

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(file.url, file.sha256, part)
        part.replace(target)
    except requests.RequestException as error:
        raise DataError(
            f"{file.url} could not be downloaded ({_reason(error)}); try again later, or put the file at {target}"
        ) from None
    except OSError as error:
        full = error.errno == errno.ENOSPC
        reason = "no space left on the disk" if full else error.strerror or str(error)
        raise DataError(
            f"{target} could not be written ({reason}); make room there, or name another folder in KAMMIL_CACHE_DIR"
        ) from None
    return target


def _download(url: str, sha256: str, part: Path) -> None:
    """Complete a partial download; start over if a resumed one has a wrong checksum."""
    import pooch

    while True:
        resumed = _receive(url, part)
        found = pooch.file_hash(str(part))
        if found == sha256:
            return
        part.unlink()
        if not resumed:
            raise DataError(
                f"{url} gave a file with the SHA-256 {found} where {sha256} is expected; it was deleted, as the "
                "address now serves something else or the download was disturbed"
            )


def _receive(url: str, part: Path) -> bool:
    """Append the missing bytes, or write all without ranges; return whether bytes were kept."""
    import requests

    start = part.stat().st_size if part.exists() else 0
    # offsets count bytes of the uncompressed file
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        partial = bool(start) and response.status_code == requests.codes.partial
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return True  # complete, or too long: the checksum tells
        response.raise_for_status()
        with part.open("ab" if partial else "wb") as out:
            size = out.tell()
            for chunk in response.iter_content(_CHUNK):
                if (size := size + len(chunk)) > _MAX_BYTES:
                    break
                out.write(chunk)
    if size > _MAX_BYTES:
        part.unlink()
        raise DataError(
            f"{url} gave more than {_MAX_BYTES >> 20} MB, more than any data set of the catalogue has; it was deleted, "
            "as the address now serves something else"
        )
    return partial


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT:.0f} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off; the next attempt goes on from there"
    return "the connection failed"
