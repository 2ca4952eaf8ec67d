"""Compiles `kernel.c` to WebAssembly with zig; imports nothing of ours, since `hatch_build.py` runs it as a file.

A wheel carries the builds. A clone has none until its first export, which makes them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

SOURCE = Path(__file__).parents[2] / "engine" / "kernel.c"
BUILDS = {"kammil.wasm": ("-Os",), "kammil-simd.wasm": ("-msimd128",)}  # the first is no slower for being small
"""File of a site -> its flags. The second takes an eighth of the time, in browsers since 2021 (Safari: 2023)."""
_FLAGS = (
    *("-target", "wasm32-wasi", "-std=gnu11", "-O3", "-fvisibility=default"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffp-contract=off", "-ffinite-math-only"),
)
_EXPORTS = ("malloc", "free", *(f"kammil_{name}" for name in ("forward", "layout", "sample", "search", "search_bytes")))
_LINK = ("-mexec-model=reactor", "-s", *(f"-Wl,--export={name}" for name in _EXPORTS))
ZIG = "ZIG"
"""Environment variable with zig's command, where it is no package of this Python; empty for none."""


def zig() -> list[str] | None:
    """Return zig's command; None where there is none."""
    if (named := os.environ.get(ZIG)) is not None:
        return shlex.split(named) or None
    if find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang"]
    return [found] if (found := shutil.which("zig")) else None


def place(name: str) -> Path:
    """Return the file of a build in the package; its name tells the source that it was made of."""
    return Path(__file__).with_name(f"{crc32(SOURCE.read_bytes()):08x}-{name}")


def compile_builds(command: list[str]) -> dict[str, Path]:
    """Return the files of all builds, made where they are missing; `OSError` where zig fails."""
    crc = f"-DKAMMIL_SOURCE={crc32(SOURCE.read_bytes())}u"
    for name, flags in BUILDS.items():
        if place(name).is_file():
            continue
        with tempfile.TemporaryDirectory(dir=place(name).parent) as folder:
            part, new = Path(folder) / "kernel.o", Path(folder) / name
            for arguments in (
                [*_FLAGS, *flags, crc, "-c", str(SOURCE), "-o", str(part)],
                [*_FLAGS[:2], str(part), "-o", str(new), *_LINK],
            ):
                done = subprocess.run([*command, "cc", *arguments], check=False, capture_output=True, text=True)
                if done.returncode != 0:
                    raise OSError((done.stderr.strip().splitlines() or ["zig failed"])[-1])
            for old in {*Path(__file__).parent.glob(f"????????-{name}")} - {place(name)}:
                old.unlink(missing_ok=True)  # another process may be here too
            new.chmod(0o644)
            new.replace(place(name))
    return {name: place(name) for name in BUILDS}
