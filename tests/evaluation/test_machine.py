"""The machine is described by what it is, not by whose it is or where."""

from __future__ import annotations

import builtins
import getpass
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from kammil.evaluation.machine import machine, versions


def test_a_machine_has_a_processor_cores_and_memory() -> None:
    found = machine()
    assert list(found) == ["processor", "cores", "memory", "operating system"]
    assert int(re.match(r"\d+", found["cores"])[0]) == os.cpu_count()  # pyright: ignore[reportOptionalSubscript]
    gibibytes = float(found["memory"].removesuffix(" GiB"))
    assert gibibytes == pytest.approx(psutil.virtual_memory().total / 2**30, abs=0.06)


def test_nothing_names_a_person_or_a_place() -> None:
    said = " ".join([*machine().values(), *versions().values()])
    for name in (platform.node(), getpass.getuser(), str(Path.home()), str(Path.cwd())):
        assert len(name) < 3 or name not in said, name


def test_versions_are_those_of_the_packages() -> None:
    found = versions()
    assert found["Python"] == platform.python_version()
    assert all(found[name] == version(name) for name in ("kammil", "numpy", "torch"))


def test_what_is_unknown_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_psutil(name: str, *rest: object) -> ModuleType:
        if name == "psutil":
            raise ModuleNotFoundError(name)
        return real(name, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(builtins, "__import__", without_psutil)
    assert "memory" not in machine()
