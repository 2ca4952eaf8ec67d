"""Errors that users see: each message is one plain sentence that names the value and the way out."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class KammilError(Exception):
    """Base of Kammil's errors; the command line prints the message and exits with 2."""


class DataError(KammilError):
    """A file, column, filter, encoding or data set is unusable."""


class OptionError(KammilError):
    """An option is out of range or contradicts another; `option` names the one at fault."""

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class FolderError(KammilError):
    """A model folder is missing, truncated, foreign, or already there."""


class ProcessError(KammilError):
    """A process of several has ended, or they do not find one another."""


class MissingExtraError(KammilError):
    """An optional dependency is missing; `what` says which, without the install command, which may hold paths."""

    def __init__(self, what: str, *extras: str) -> None:
        super().__init__(what, *extras)
        self.what, self.extras = what, extras

    def __str__(self) -> str:
        """Return the sentence; another process rebuilds the error from its arguments alone."""
        return f"{self.what}; run: {_install_command(','.join(self.extras))}"


def _install_command(extras: str) -> str:
    import json
    import shlex
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        recorded = distribution("kammil").read_text("direct_url.json")
    except PackageNotFoundError:
        recorded = None
    origin = json.loads(recorded or "{}")
    url, fragment, flag = origin.get("url"), origin.get("subdirectory"), ""
    target = f"kammil[{extras}]"
    if "dir_info" in origin:
        target = f"{url2pathname(urlsplit(url).path)}[{extras}]"
        flag = "--editable " if origin["dir_info"].get("editable") else ""
    elif url is not None:
        vcs = origin.get("vcs_info")
        if vcs is not None:
            url = f"{vcs['vcs']}+{url}" + (f"@{vcs['requested_revision']}" if "requested_revision" in vcs else "")
        target = f"{target} @ {url}" + ("" if fragment is None else f"#subdirectory={fragment}")
    return f"pip install {flag}{shlex.quote(target)}"


def wrong_value(name: str, value: object, message: str) -> OptionError:
    """Return the error for a value that pydantic refuses with `message`."""
    shown = f"{value:.0f}" if isinstance(value, float) and value.is_integer() else repr(value)
    what = message.removeprefix("Value error, ").partition(", unable to parse")[0].replace("Input should", "it must", 1)
    return OptionError(f"{name} is {shown}, but {what[:1].lower()}{what[1:]}.")


def first_error(error: ValidationError) -> tuple[str, Any, str]:
    """Return the dotted place, the value and the message of the first error."""
    first = error.errors()[0]
    return ".".join(map(str, first["loc"])), first["input"], first["msg"]


def unknown_option(name: str, names: Collection[str], known: str) -> OptionError:
    """Return the error for an option that is none of `names`, with the nearest one, or else with `known`."""
    hint = nearest(name, names).strip(" ()")
    return OptionError(f"there is no option {name!r}; {hint or known}", option=name)


def nearest(name: str, names: Collection[str]) -> str:
    """Return a hint, such as ` (did you mean 'Tweet'?)`, or "" if no name is close; case is ignored."""
    import difflib

    folded = {candidate.casefold(): candidate for candidate in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""
