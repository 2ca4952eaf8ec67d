"""What a server is started with: checked, frozen, and handed to its workers as JSON."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kammil.errors import OptionError
from kammil.server.scheduler.scheduler import ROWS

VARIABLE = "KAMMIL_SERVING"
"""Environment variable in which workers find the settings."""
PORT = 8000
"""That of most servers with this API."""


class Serving(BaseModel):
    """Which models are served, where, to whom, and how much one request may ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folders: tuple[Path, ...] = (Path("levantine"),)
    """Model folders or names of bundled models; nothing else is ever opened. The first answers who names none."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=PORT, ge=0, le=65_535)
    """0 takes a free one."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes; each has the models to itself."""
    api_key: str | None = Field(default=None, min_length=1)
    """Without it nobody may ask for anything but the page and /health."""
    origins: tuple[str, ...] = ()
    """Foreign origins whose pages may ask, such as `https://example.org`."""
    hosts: tuple[str, ...] = ()
    """Names of this server, beside localhost, its address and the machine's name."""
    rows: int = Field(default=ROWS, ge=1, le=1024)
    """Texts stepped in one call at most; 1 switches micro-batching off."""
    waiting: int = Field(default=256, ge=1, le=100_000)
    """Requests at work or in the queue at most; one more is answered with 429."""
    seconds: float = Field(default=30.0, gt=0, le=86_400, allow_inf_nan=False)
    """Of one request at most; what is written by then is the answer."""
    max_tokens: int = Field(default=2048, ge=1, le=100_000)
    """Characters of one completion at most."""
    body: int = Field(default=1 << 20, ge=1024, le=1 << 30)
    """Bytes of a request at most; more is answered with 413."""
    answer: int = Field(default=500_000, ge=1000, le=100_000_000)
    """Tokens and alternatives of one answer at most: (echoed prompt + max_tokens) x n x (1 + logprobs)."""
    sessions: int = Field(default=256, ge=0, le=100_000)
    """Clients whose texts are kept apart at most, of each model; those heard of longest ago go first."""
    learn: bool | None = None
    """Whether clients may teach the models texts; None allows it where only this machine can reach the server."""
    access_log: bool = True
    """Whether every request leaves a line in the log: address, method, path, status."""
    log_prompts: bool = False
    """Whether prompts may stand in the log."""

    @classmethod
    def of(cls, **options: object) -> Self:
        """Checked settings; `OptionError` with one sentence for the first that is wrong."""
        try:
            made = cls.model_validate({name: value for name, value in options.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            option = _OPTIONS.get(name, name)
            raise OptionError(f"{option} is {first['input']!r}, but it must be {_REASONS[name]}.") from error
        names = [name_of(folder) for folder in made.folders]
        for name in names:
            if names.count(name) > 1:
                raise OptionError(f"two models are called {name!r}; rename one of the folders.")
        if made.workers > 1 and made.learn:
            raise OptionError("what one worker learns the others do not know; give --workers 1 or leave --learn out.")
        return made

    @property
    def learns(self) -> bool:
        """Whether texts may be taught."""
        return self.workers == 1 and (self.learn if self.learn is not None else _loopback(self.host))

    @property
    def warning(self) -> str | None:
        """What whoever starts the server should hear of it; None if there is nothing."""
        if self.api_key is not None or _loopback(self.host):
            return None
        return f"whoever can reach {self.host} may ask, since no key is asked for; set one as KAMMIL_API_KEY."

    def to_environment(self) -> None:
        """Leave the settings to processes that this one starts."""
        os.environ[VARIABLE] = self.model_dump_json()

    @classmethod
    def from_environment(cls) -> Self:
        """The settings that the parent left."""
        return cls.model_validate_json(os.environ[VARIABLE])


_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "folders": "one model folder or several",
        "host": "an address of this machine, such as 127.0.0.1",
        "port": "a whole number from 0 (any free one) to 65535",
        "workers": "a whole number from 1 to 64",
        "api_key": "at least one character long",
        "origins": "a list of origins, such as https://example.org",
        "hosts": "a list of names",
        "rows": "a whole number from 1 to 1024",
        "waiting": "a whole number of at least 1",
        "seconds": "a number of seconds above 0, such as 30",
        "max_tokens": "a whole number from 1 to 100000",
        "body": "a whole number of bytes from 1024 to 1073741824",
        "answer": "a whole number from 1000 to 100000000",
        "sessions": "a whole number from 0 to 100000",
        "learn": "yes or no",
        "access_log": "yes or no",
        "log_prompts": "yes or no",
    }
)

_OPTIONS: Mapping[str, str] = MappingProxyType(
    {"waiting": "queue", "seconds": "timeout", "body": "max_body", "answer": "max_answer"}
)
"""What the command line calls a setting, where it is shorter there."""


def name_of(folder: Path) -> str:
    """What clients call the model of a folder: its last part."""
    return folder.name or folder.resolve().name


def _loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
