"""Describe the machine and the software of a training, without anything that names a person or a place."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("kammil", "numpy", "torch", "tokenizers")
"""Packages whose versions may change what a training becomes."""


def machine() -> dict[str, str]:
    """Return processor, cores, memory and operating system, each as text; what is unknown is left out."""
    found = {
        "processor": _processor(),
        "cores": _cores(),
        "memory": _memory(),
        "operating system": f"{platform.system()} ({platform.machine()})",
    }
    return {name: value for name, value in found.items() if value}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that train."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Return the name of the processor as its maker gives it, where it can be had without running a program."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model", "cpu model")))
    return next((name for name in names if name), platform.processor() or platform.machine())


def _cores() -> str:
    """Return how many cores the machine has, and how many of them this process may use where that is fewer."""
    total = os.cpu_count() or 0
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    return f"{total}, {usable} of them usable" if 0 < usable < total else str(total or "")


def _memory() -> str:
    """Return the memory in GiB; empty without psutil, which the extra `train` brings."""
    try:
        import psutil
    except ModuleNotFoundError:
        return ""
    return f"{psutil.virtual_memory().total / 2**30:.1f} GiB"
