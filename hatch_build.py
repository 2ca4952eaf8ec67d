"""Compiles `kernel.c` while the package is built. Without a C compiler the package runs too, but slower.

The compiler is `$CC`, else `cc`. Where `KAMMIL_TARGET` is a platform tag of `TARGETS`, zig compiles for that platform,
with the oldest C library that the tag allows, and the builds stay out of the source. Where zig is at hand, it compiles
for browsers, too (`kammil export --format web`). The code includes nothing of
Python, so that one wheel serves all its versions. Run as a program, it prints the tags; `make wheels` asks it.

An index shows the README outside the repository, so that a link in it to a file gets the project's address, or goes.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.utils import get_reproducible_timestamp
from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.tags import platform_tags

ADDRESS = ""
"""Where the repository is, such as https://forge.example/kammil. Its owner sets it, and nothing is released without."""
SOURCE = Path("src/kammil/engine/kernel.c")
WEB = Path("src/kammil/exporting/web/build.py")
FLAGS = (
    *("-std=gnu11", "-O3", "-fPIC", "-fvisibility=default", "-Werror=incompatible-pointer-types"),
    # Parts of -ffast-math. All of it would also change the arithmetic of the process that loads the library.
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffp-contract=off", "-ffinite-math-only"),
)
V2 = ("-mssse3", "-msse4.1")
V3 = ("-mavx2", "-mfma", "-mf16c")
V4 = (*V3, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
Levels = tuple[tuple[str, ...], ...]
LEVELS: dict[str, Levels] = {
    "x86_64": ((), V2, V3, V4),
    "aarch64": ((), ("-march=armv8.2-a+dotprod",)),
}
"""The flags of the builds for each architecture, the later ones for newer processors. The first build runs on all of
them, and tells which others can run. For any other architecture there is one build."""
ARM: Levels = ((), ("-mcpu=generic+v8_2a+dotprod",))  # as zig spells it
TARGETS: dict[str, tuple[str, Levels]] = {
    "manylinux_2_17_x86_64": ("x86_64-linux-gnu.2.17", LEVELS["x86_64"]),
    "manylinux_2_17_aarch64": ("aarch64-linux-gnu.2.17", ARM),
    "musllinux_1_2_x86_64": ("x86_64-linux-musl", LEVELS["x86_64"]),
    "musllinux_1_2_aarch64": ("aarch64-linux-musl", ARM),
    "macosx_11_0_x86_64": ("x86_64-macos.11.0", LEVELS["x86_64"]),
    "macosx_11_0_arm64": ("aarch64-macos.11.0", (("-mcpu=apple_m1",),)),  # the oldest one has dot products
    "win_amd64": ("x86_64-windows-gnu", LEVELS["x86_64"]),
}
"""Platform tags -> zig's name of the target, and the flags of its builds."""


def platform_tag() -> str:
    """The tag of this machine. No manylinux tag: whoever compiles here does not know what other machines have."""
    return next(tag for tag in platform_tags() if "manylinux" not in tag and "musllinux" not in tag)


def compile_builds(root: Path) -> list[Path]:
    """Compile all builds for this machine into the source, and return them; `OSError` or `ValueError` if the first one
    fails.

    Builds of before that are not replaced are deleted, since they may be of another source.
    """
    machine = next((name for name in LEVELS if platform_tag().endswith(name)), "")
    levels = LEVELS.get(machine, ((),)) if sys.platform != "win32" else ((),)  # there GCC misaligns wide registers
    folder = root / SOURCE.parent
    old, builds = set(folder.glob("_kernel_*.so")), list[Path]()
    try:
        for level, flags in enumerate(levels):
            path = folder / f"_kernel_{level}.so"
            if error := _compile(root, path, shlex.split(os.environ.get("CC") or "cc"), flags):
                if level == 0:
                    raise OSError(error)
            else:
                builds.append(path)
    finally:
        for path in old - {*builds}:
            path.unlink()
    return builds


def cross_compile(root: Path, tag: str, folder: Path) -> list[Path]:
    """Compile all builds for a platform of `TARGETS` into a folder, and return them; `OSError` if one fails."""
    target, levels = TARGETS[tag]
    builds = [folder / f"_kernel_{level}.so" for level in range(len(levels))]
    for path, flags in zip(builds, levels, strict=True):
        if error := _compile(root, path, [sys.executable, "-m", "ziglang", "cc", "-target", target], flags):
            raise OSError(f"{path.name} for {tag}: {error}")
    return builds


def compile_for_browsers(root: Path) -> list[Path]:
    """Compile the builds for browsers, which serve every platform, into the source, and return them; none without
    zig."""
    web = runpy.run_path(str(root / WEB))
    command = web["zig"]()
    return [*web["compile_builds"](command).values()] if command else []


def _compile(root: Path, path: Path, compiler: Sequence[str], flags: Sequence[str]) -> str | None:
    """Compile one build and put it in place at once, since a process may be running the old one. Returns an error.

    It is linked apart, without `flags`: zig makes the libraries of a platform anew for every set of instructions. It is
    named in `folder`, and at a fixed time: a library of macOS has its path in it, one of Windows the time.
    """
    source = (root / SOURCE).resolve()
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(get_reproducible_timestamp())}
    crc = f"-DKAMMIL_SOURCE={crc32(source.read_bytes())}u"
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        for command in (
            [*compiler, *FLAGS, *flags, crc, "-c", str(source), "-o", "kernel.o"],
            [*compiler, "-shared", "-s", "kernel.o", "-o", path.name, "-lm"],
        ):
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=900, cwd=folder, env=environment
            )
            if done.returncode != 0:
                return (done.stderr.strip().splitlines() or ["the C compiler failed"])[-1]
        (Path(folder) / path.name).replace(path)
    return None


def portable(text: str, address: str) -> str:
    """Return Markdown whose links and pictures of files are at `address`; without one, links are their words alone."""

    def place(match: re.Match[str]) -> str:
        image, words, target = match.groups()
        if address:
            return f"{image}[{words}]({address}/{'raw' if image else 'blob'}/main/{target})"
        return "" if image else words

    return re.sub(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#)([^)\s]+)\)", place, text)


class AddressHook(MetadataHookInterface):
    """Gives the package the README and the addresses of the project."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Add both."""
        text = (Path(self.root) / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": portable(text, ADDRESS)}
        metadata["urls"] = {"Source": ADDRESS, "Changelog": f"{ADDRESS}/blob/main/CHANGELOG.md"} if ADDRESS else {}


class KernelHook(BuildHookInterface[Any]):
    """Makes a wheel for one kind of machine if there are builds, else one for all machines."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and add the builds to the wheel."""
        del version
        root, tag = Path(self.root), os.environ.get("KAMMIL_TARGET")
        try:
            build_data["artifacts"] += [str(path.relative_to(root)) for path in compile_for_browsers(root)]
        except (OSError, ValueError) as error:
            if tag is not None:
                raise
            self.app.display_warning(f"kernel.c was not compiled for browsers: {error}")
        if tag is not None:
            if tag not in TARGETS:
                raise ValueError(f"KAMMIL_TARGET is {tag!r}, but it must be one of {', '.join(TARGETS)}.")
            self._folder = tempfile.TemporaryDirectory()  # until the wheel is written
            builds = cross_compile(root, tag, Path(self._folder.name))
            build_data["force_include"] = {str(path): f"kammil/engine/{path.name}" for path in builds}
        else:
            try:
                builds = compile_builds(root)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                self.app.display_warning(f"kernel.c was not compiled, so blends and GRUs will be slower: {error}")
                return
            build_data["artifacts"] += [str(path.relative_to(root)) for path in builds]
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag or platform_tag()}"


if __name__ == "__main__":
    sys.stdout.write(" ".join(TARGETS) + "\n")
