"""Compiles `kernel.c` while the package is built. Without a C compiler the package runs too, but slower.

The compiler is `$CC`, else `cc`. The code includes nothing of Python, so that one wheel serves all its versions.
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
    # Parts of -ffast-math. All of it would also change the arithmetic of the process that loads the library.
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math", "-ffinite-math-only"),
)
V2 = ("-mssse3", "-msse4.1")
V3 = ("-mavx2", "-mfma", "-mf16c")
V4 = (*V3, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
LEVELS: dict[str, tuple[tuple[str, ...], ...]] = {
    "x86_64": ((), V2, V3, V4),
    "aarch64": ((), ("-march=armv8.2-a+dotprod",)),
}
"""The flags of the builds for each architecture, the later ones for newer processors. The first build runs on all of
them, and tells which others can run. For any other architecture there is one build."""


def platform_tag() -> str:
    """The tag of this machine. No manylinux tag: whoever compiles here does not know what other machines have."""
    return next(tag for tag in platform_tags() if "manylinux" not in tag and "musllinux" not in tag)


def compile_builds(root: Path) -> list[Path]:
    """Compile all builds and return their paths relative to `root`; `OSError` or `ValueError` if the first one fails.

    Builds of before that are not replaced are deleted, since they may be of another source.
    """
    compiler = shlex.split(os.environ.get("CC") or "cc")
    folder = root / SOURCE.parent
    old = set(folder.glob("_kernel_*.so"))
    flags = [*FLAGS, f"-DKAMMIL_SOURCE={crc32((root / SOURCE).read_bytes())}u"]
    machine = next((name for name in LEVELS if platform_tag().endswith(name)), "")
    levels = LEVELS.get(machine, ((),)) if sys.platform != "win32" else ((),)  # there GCC misaligns wide registers
    builds: list[Path] = []
    try:
        for level, level_flags in enumerate(levels):
            path = SOURCE.with_name(f"_kernel_{level}.so")
            if error := _compile(root, path, [*compiler, *flags, *level_flags]):
                if level == 0:
                    raise OSError(error)
            else:
                builds.append(path)
    finally:
        for path in old - {root / path for path in builds}:
            path.unlink()
    return builds


def _compile(root: Path, path: Path, command: Sequence[str]) -> str | None:
    """Compile one build and put it in place at once, since a process may be running the old one. Returns an error."""
    with tempfile.TemporaryDirectory(dir=root / SOURCE.parent) as folder:
        new = Path(folder) / path.name
        command = [*command, str(root / SOURCE), "-o", str(new), "-lm"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)  # no shell
        if done.returncode != 0:
            return (done.stderr.strip().splitlines() or ["the C compiler failed"])[-1]
        new.replace(root / path)
    return None


class KernelHook(BuildHookInterface[Any]):
    """Makes a wheel for one kind of machine if there are builds, else one for all machines."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and add the builds to the wheel."""
        del version
        try:
            builds = compile_builds(Path(self.root))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.app.display_warning(f"kernel.c was not compiled, so blends and GRUs will be slower: {error}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"
        build_data["artifacts"] += [str(path) for path in builds]
