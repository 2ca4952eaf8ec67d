"""Compiles `kernel.c` while the package is built, where there is a C compiler; without one it runs too, but slower.

The compiler is `$CC`, else `cc`. Nothing of Python is compiled against, so that one build serves all its versions.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("src/kammil/models/kernel.c")
FLAGS = (
    *("-std=gnu11", "-O3", "-fPIC", "-shared", "-fvisibility=default"),
    # What -ffast-math allows, but for how it changes the arithmetic of the whole process that loads the result.
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math"),
    "-ffinite-math-only",
)
X86 = (("-march=x86-64",), ("-march=x86-64-v3",), ("-march=x86-64-v4", "-mavx512vnni"))
"""One build each; the first runs everywhere, and tells which others can."""


def compiled(root: Path) -> list[Path]:
    """What was made, relative to `root`: nothing without a compiler that knows its work."""
    compiler = shlex.split(os.environ.get("CC") or "cc")
    builds = X86 if platform.machine().lower() in {"x86_64", "amd64"} else ((),)
    made: list[Path] = []
    for old in (root / SOURCE.parent).glob("_kernel_*.so"):
        old.unlink()  # of another source, maybe
    for level, flags in enumerate(builds):
        path = SOURCE.with_name(f"_kernel_{level}.so")
        with tempfile.TemporaryDirectory(dir=root / SOURCE.parent) as folder:
            new = Path(folder) / path.name
            command = [*compiler, *FLAGS, *flags, str(root / SOURCE), "-o", str(new), "-lm"]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=300)  # a list, no shell
            except (OSError, subprocess.SubprocessError):
                if level == 0:
                    return []
                continue  # a compiler that has not heard of these processors
            new.replace(root / path)  # whole, for a process that runs the one before
        made.append(path)
    return made


class KernelHook(BuildHookInterface[Any]):
    """Makes a wheel for one kind of machine where it holds compiled code, else one for all."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name what was made."""
        del version
        made = compiled(Path(self.root))
        if not made:
            self.app.display_warning("No C compiler: the bundled model will run in its portable engine, slower.")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["artifacts"] += [str(path) for path in made]
