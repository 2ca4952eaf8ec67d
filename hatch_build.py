"""Compiles `kernel.c` while the package is built, where there is a C compiler; without one it runs too, but slower.

The compiler is `$CC`, else `cc`. Nothing of Python is compiled against, so that one build serves all its versions.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

SOURCE = Path("src/kammil/engine/kernel.c")
FLAGS = (
    *("-std=gnu11", "-O3", "-fPIC", "-shared", "-fvisibility=default"),
    # What -ffast-math allows, but for how it changes the arithmetic of the whole process that loads the result.
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math", "-ffinite-math-only"),
)
V2 = ("-mssse3", "-msse4.1")
V3 = ("-mavx2", "-mfma", "-mf16c")
V4 = (*V3, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
LEVELS: dict[str, tuple[tuple[str, ...], ...]] = {
    "x86_64": ((), V2, V3, V4),
    "aarch64": ((), ("-march=armv8.2-a+dotprod",)),
}
"""The builds for a kind of processor, each for newer ones; the first runs everywhere, and tells which others can."""


def platform_tag() -> str:
    """Of the machine that is built for: not of many, since who compiles here does not know what others have."""
    return next(tag for tag in platform_tags() if "manylinux" not in tag and "musllinux" not in tag)


def compiled(root: Path) -> list[Path]:
    """What was made, relative to `root`; `OSError` or `ValueError` where nothing could be."""
    compiler = shlex.split(os.environ.get("CC") or "cc")
    folder = root / SOURCE.parent
    old = set(folder.glob("_kernel_*.so"))
    flags = [*FLAGS, f"-DKAMMIL_SOURCE={crc32((root / SOURCE).read_bytes())}u"]
    machine = next((name for name in LEVELS if platform_tag().endswith(name)), "")
    levels = LEVELS.get(machine, ((),)) if sys.platform != "win32" else ((),)  # there GCC misaligns wide registers
    made: list[Path] = []
    try:
        _compile(root, compiler, flags, levels, made)
    finally:
        for path in old - {root / path for path in made}:
            path.unlink()  # of another source, maybe
    return made


def _compile(
    root: Path, compiler: Sequence[str], flags: Sequence[str], levels: Sequence[Sequence[str]], made: list[Path]
) -> None:
    """Make a build for each level, and name those that could be made; `OSError` if the first could not."""
    folder = root / SOURCE.parent
    for level, more in enumerate(levels):
        path = SOURCE.with_name(f"_kernel_{level}.so")
        with tempfile.TemporaryDirectory(dir=folder) as made_in:
            new = Path(made_in) / path.name
            command = [*compiler, *flags, *more, str(root / SOURCE), "-o", str(new), "-lm"]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)  # no shell
            if done.returncode == 0:
                new.replace(root / path)  # whole, for a process that runs the one before
                made.append(path)
            elif level == 0:
                raise OSError((done.stderr.strip().splitlines() or ["the C compiler failed"])[-1])


class KernelHook(BuildHookInterface[Any]):
    """Makes a wheel for one kind of machine where it holds compiled code, else one for all."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name what was made."""
        del version
        try:
            made = compiled(Path(self.root))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.app.display_warning(f"kernel.c was not compiled, so blends and GRUs will be slower: {error}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"
        build_data["artifacts"] += [str(path) for path in made]
