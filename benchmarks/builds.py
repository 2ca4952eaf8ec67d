"""What a step and 30 characters of the bundled model take in every build of `kernel.c` that this machine can run.

On x86-64 build 0 multiplies with SSE2, 1 with SSSE3 and SSE4.1, 2 with AVX2, 3 with AVX-512 VNNI. The plain loop, which
stands for processors that the code has no instructions for, is compiled for this run. All of them and the portable
engine take turns on one core, in one run, so that a busy machine is busy for all. A text is sampled after a prefix that
has been read already.

Run: `taskset -c 1 python benchmarks/builds.py` (needs the extra `dev`; a minute). Writes builds.json.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np

import kammil
from kammil.completion.completer import Completer
from kammil.engine import build as engine_build
from kammil.models.blend import model as blend_model
from latency import in_turn, kammil_sample

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
import hatch_build  # noqa: E402

LENGTH = 30
RUNS = 200


def main() -> None:
    """Measure, print, write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    best = engine_build.open_build(engine_build.build_path(0)).kammil_best_level()
    codes: dict[str, ctypes.CDLL | None] = {
        f"build {level}": engine_build.open_build(engine_build.build_path(level))
        for level in range(best + 1)
        if engine_build.build_path(level).is_file()
    }
    with tempfile.TemporaryDirectory() as folder:
        codes["plain loop"] = plain(Path(folder))
    codes["portable"] = None
    calls: dict[str, Callable[[int], object]] = {}
    for name, code in codes.items():
        with patch.object(blend_model, "load_native", lambda code=code: code):
            model = kammil.load()
        calls[f"{name}: step"], calls[f"{name}: {LENGTH} characters"] = asked(model)
    load, measured = os.getloadavg()[0], in_turn(calls, RUNS, block=20)
    result = {"how": "taskset -c 1 python benchmarks/builds.py", "load_average": load, "milliseconds": measured}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    for name, row in measured.items():
        print(f"{name:26} {row['cpu_median']:7.3f} ms of processor time, median of {row['runs']}")


def plain(folder: Path) -> ctypes.CDLL:
    """The first build without chosen instructions."""
    checksum = engine_build.crc32(engine_build.SOURCE.read_bytes())
    flags = [*hatch_build.FLAGS, "-shared", "-DKAMMIL_PLAIN", f"-DKAMMIL_SOURCE={checksum}u"]
    command = ["cc", *flags, str(engine_build.SOURCE), "-o", str(folder / "plain.so"), "-lm"]
    subprocess.run(command, check=True)
    return engine_build.open_build(folder / "plain.so")


def asked(model: Completer) -> tuple[Callable[[int], object], Callable[[int], object]]:
    """One step of one text, and a completion in a session; False for one that ends before its time."""
    prompt = max(kammil_sample(), key=len)[:70]
    session, (_, state), ids = model.session(), model.after(prompt), model.vocabulary.encode("ع")
    session.update(prompt)

    def step(_: int) -> None:
        model.language_model.step(np.array(ids), state)

    def complete(i: int) -> bool:
        return len(session.complete(length=LENGTH, seed=i).text) == LENGTH

    return step, complete


if __name__ == "__main__":
    main()
