"""Time and peak memory of `kammil train` on 10,000, 100,000 and 1,000,000 texts, phase by phase.

Run: `python benchmarks/scale.py [SIZE ...]` with KAMMIL_DATA_DIR, whose folders levantine and arabic hold a text a line
(all sizes take an hour on one core). Writes scale.json and scale.png.

Each run has a process of its own. Networks take `STEPS` steps in place of a pass; the seconds of a pass are those of a
step times their number. The peak is that of the process until the phase has ended.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import kammil
from kammil.progress import PhaseProgress
from kammil.training.events import Event, TrainingProgress

SIZES = (10_000, 100_000, 1_000_000)
FAMILIES = ("ngram", "gru", "blend")
STEPS, BATCH = 100, 32
VALIDATION = 500
HERE = Path(__file__).parent


def main() -> None:
    """Measure, print, write."""
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    rows: list[dict[str, Any]] = []
    for size in sizes:
        for family in FAMILIES:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                rows.append(pool.apply(measure, (family, size)))
            row = rows[-1]
            print(f"{family:>6} {row['texts']:>9,} texts {row['seconds']:>7} s {row['peak_mb']:>6} MB  {row['phases']}")
    (HERE / "scale.json").write_text(json.dumps({"cores": os.cpu_count(), "steps": STEPS, "rows": rows}, indent=1))
    plot(rows)


def measure(family: str, size: int) -> dict[str, Any]:
    """Train a model of a family on so many texts; return the seconds of each phase and the peak memory."""
    texts = read(size + VALIDATION)
    phases: dict[str, float] = {}
    peaks: dict[str, int] = {}
    steps: list[float] = []
    passes = 0

    def listen(event: Event) -> None:
        nonlocal passes
        if isinstance(event, PhaseProgress):
            phases[event.phase] = round(event.elapsed, 1)
            peaks[event.phase] = peak_mb()
        if isinstance(event, TrainingProgress):
            steps.append(event.elapsed)
            peaks["learning"] = peak_mb()

    options: dict[str, Any] = {} if family == "ngram" else {"epochs": 1, "epoch_steps": STEPS, "batch_size": BATCH}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        kammil.train(
            texts[VALIDATION:],
            out=Path(folder) / "model",
            validation=texts[:VALIDATION],
            listen=listen,
            model=family,  # pyright: ignore[reportArgumentType]
            **options,
        )
        written = sum(file.stat().st_size for file in (Path(folder) / "model").iterdir())
    seconds = time.monotonic() - began
    if steps:
        half = len(steps) // 2
        step = (steps[-1] - steps[half]) / (len(steps) - 1 - half)
        phases["a pass"] = round(step * (len(texts) - VALIDATION) / BATCH, 1)
    return {
        "family": family,
        "texts": len(texts) - VALIDATION,
        "characters": sum(map(len, texts[VALIDATION:])),
        "seconds": round(seconds, 1),
        "peak_mb": peak_mb(),
        "folder_mb": round(written / 1e6, 1),
        "phases": phases,
        "peaks_mb": peaks,
    }


def read(number: int) -> list[str]:
    """Read so many texts, in turn from all files, so that every size holds the same mixture."""
    root = Path(os.environ["KAMMIL_DATA_DIR"])
    files = sorted(path for folder in ("levantine", "arabic") for path in (root / folder).glob("*.txt"))
    lines = [path.read_text("utf-8").splitlines() for path in files]
    whole = sum(map(len, lines))
    return [text for of_file in lines for text in of_file[: -(-len(of_file) * number // whole)]][:number]


def peak_mb() -> int:
    """Return the largest resident size of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


def plot(rows: list[dict[str, Any]]) -> None:
    """Draw peak memory and seconds without a pass by the number of characters."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, axis, unit in (("peak_mb", axes[0], "peak memory, MB"), ("seconds", axes[1], f"seconds, {STEPS} steps")):
        for family in FAMILIES:
            points = [(row["characters"], row[name]) for row in rows if row["family"] == family]
            axis.plot(*zip(*points, strict=True), marker="o", label=family)
        axis.set(xscale="log", yscale="log", xlabel="characters", ylabel=unit)
    axes[0].legend()
    figure.savefig(HERE / "scale.png", dpi=120)


if __name__ == "__main__":
    main()
