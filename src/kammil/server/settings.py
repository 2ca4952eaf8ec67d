"""Settings of a server, passed to its workers as JSON."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from kammil.decoding.options import FrozenOptions, option
from kammil.errors import OptionError

VARIABLE = "KAMMIL_SERVING"
"""Environment variable that holds the settings."""
PORT = 8000
"""Usual port of OpenAI-compatible servers."""


class ServerSettings(FrozenOptions):
    """Models to serve, where, to whom, and the limits of one request."""

    model_config = ConfigDict(use_attribute_docstrings=True)  # for `kammil serve --help`

    folders: tuple[Path, ...] = (Path("levantine"),)
    """Model folders or names of bundled models; no other folder is ever opened. The first is the default model."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on."""
    port: int = Field(default=PORT, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    workers: int = Field(default=1, ge=1, le=64)
    """Number of processes; each opens the models for itself."""
    api_key: str | None = Field(default=None, min_length=1)
    """Key that every request must carry, except for the page, `/openapi.json` and `/health`; None asks for no key."""
    origins: tuple[Annotated[str, Field(pattern=r"^([a-zA-Z][a-zA-Z0-9+.-]*://[^/?#@*\s]+/?|null)$")], ...] = option(
        (),
        "Foreign origins whose pages may send requests.",
        reason="it must be the scheme and host of the pages, such as https://example.org (none stands for all origins)",
    )
    hosts: tuple[str, ...] = ()
    """Further host names under which the server answers, besides localhost, its address and the machine's name."""
    threads: int = Field(default=0, ge=0, le=64)
    """Number of threads of a process that answer requests; 0 takes one for each core, divided among the workers."""
    queue: int = Field(default=256, ge=1, le=100_000)
    """Maximum number of requests at work or waiting; a further one is answered with 429."""
    timeout: float = Field(default=30.0, gt=0, le=86_400, allow_inf_nan=False)
    """Seconds for one request; a completion that takes longer is cut off, other requests are answered with 503."""
    max_tokens: int = Field(default=2048, ge=1, le=100_000)
    """Maximum number of characters of one completion."""
    max_body: int = Field(default=1 << 20, ge=1024, le=1 << 30)
    """Maximum number of bytes of a request's body; a larger one is answered with 413."""
    max_answer: int = Field(default=500_000, ge=1000, le=100_000_000)
    """Maximum number of tokens and alternatives of one answer: (echoed prompt + max_tokens) x n x (1 + logprobs)."""
    sessions: int = Field(default=256, ge=0, le=100_000)
    """Maximum number of sessions per model with a state cache of their own; the longest unused is dropped first."""
    block: Path | None = None
    """A list of words that are never written, beside that of offensive words, which a request may allow."""
    profile: Path | None = None
    """A profile whose texts every model knows; it is read when a model is opened, and never written."""
    learn: bool | None = None
    """Allow clients to teach the models texts; by default if only this machine reaches the server, by no other name."""
    access_log: bool = True
    """Log every request: address, method, path, status."""
    log_prompts: bool = False
    """Log prompts."""

    @classmethod
    def of(cls, **options: object) -> Self:
        """Check options; None means the default. `OptionError` names the first wrong one."""
        settings = cls.checked({name: value for name, value in options.items() if value is not None})
        names = [model_name(folder) for folder in settings.folders]
        for name in names:
            if names.count(name) > 1:
                raise OptionError(f"two models are called {name!r}; rename one of the folders.")
        if settings.workers > 1 and settings.learn:
            raise OptionError("what one worker learns, the others do not know; give --workers 1 or leave --learn out.")
        return settings

    @property
    def num_threads(self) -> int:
        """Number of threads of a process."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or max(1, cores // self.workers)

    @property
    def learning_allowed(self) -> bool:
        """Whether clients may teach the models texts."""
        alone = _is_loopback(self.host) and not self.hosts  # a proxy hands on the requests for other names
        return self.workers == 1 and (alone if self.learn is None else self.learn)

    @property
    def warning(self) -> str | None:
        """Warning to log at the start, if any."""
        if _is_loopback(self.host):
            return None
        known = "whoever uses this server can read out the texts of its profile" if self.profile is not None else ""
        if self.api_key is not None:
            return f"{known}." if known else None
        open_to = f"anyone who can reach {self.host} can use this server without a key; set one as KAMMIL_API_KEY."
        return f"{open_to} {known[:1].upper()}{known[1:]}." if known else open_to


def model_name(folder: Path) -> str:
    """Return a model's name for clients: the last part of the folder's path."""
    return folder.name or folder.resolve().name


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
