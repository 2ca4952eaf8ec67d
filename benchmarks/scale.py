"""Time and peak memory of `kammil train` on 10,000, 100,000 and 1,000,000 texts, phase by phase; or what a size budget
costs a counter.

Run: `python benchmarks/scale.py [--size N ...] [--family NAME ...]` with KAMMIL_DATA_DIR, whose folders levantine and
arabic hold a text a line. All sizes take an hour of one core. What is named is measured anew, the rest of scale.json
stays. Writes docs/scale.png too.
Or: `python benchmarks/scale.py --budgets TRAIN VALIDATION [--megabytes MB ...]` (tables with a column text; a minute
each): half of the validation texts choose what is left out and the order, the other half give the bits.

Each run has a process of its own and one thread. Seconds are those of the processor, so that other programs do not
count. A counter is trained as anybody would, without its report. A network takes `STEPS` steps in place of a pass, and
is judged by `VALIDATION` texts; the seconds of a pass are those of a step times their number. The peak is that of the
process until the phase has ended, with the texts themselves.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import kammil
from kammil.language_model import Ids
from kammil.models.ngram import counting
from kammil.models.ngram.model import NGramModel, NGramSettings
from kammil.progress import Event, PhaseProgress, TrainingProgress, TrainingStarted
from kammil.vocabulary import BOS, EOS, CharacterVocabulary

SIZES = (10_000, 100_000, 1_000_000)
FAMILIES = ("ngram", "gru", "blend")
STEPS, WARM, BATCH = 64, 16, 32
"""Steps of a network, those before the clock starts, and texts of a step."""
VALIDATION = 500
BUDGETS = (20.0, 40.0, 80.0, None)
"""Megabytes of a counter; None keeps everything."""
LEAST = 20
"""Texts that a character stands in, else it is unknown, where budgets are compared."""
ROOT = Path(__file__).resolve().parent.parent
RESULT = Path(__file__).with_suffix(".json")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, nargs="+", default=SIZES)
    parser.add_argument("--family", choices=FAMILIES, nargs="+", default=FAMILIES)
    parser.add_argument("--budgets", type=Path, nargs=2, metavar=("TRAIN", "VALIDATION"))
    parser.add_argument("--megabytes", type=float, nargs="+", metavar="MB", help="budgets; 0 keeps everything")
    asked = parser.parse_args()
    result: dict[str, Any] = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {"rows": []}
    result |= {"cores": os.cpu_count(), "numpy": np.__version__, "steps": STEPS}
    if asked.budgets is not None:
        for megabytes in asked.megabytes or BUDGETS:
            row = alone(budget, *asked.budgets, megabytes or None)
            kept = [r for r in result.get("budgets", []) if r["megabytes"] != row["megabytes"]]
            result["budgets"] = sorted([*kept, row], key=lambda r: r["megabytes"] or float("inf"))
            write(result)
        return
    for size in asked.size:
        with tempfile.TemporaryDirectory() as folder:
            texts = read(size + VALIDATION)
            for name, part in (("texts", texts[VALIDATION:]), ("validation", texts[:VALIDATION])):
                (Path(folder) / f"{name}.txt").write_text("".join(f"{text}\n" for text in part), "utf-8")
            for family in asked.family:
                size_of = {"texts": size, "characters": sum(map(len, texts[VALIDATION:]))}
                row = alone(measure, family, Path(folder), size_of)
                kept = [r for r in result["rows"] if (r["family"], r["texts"]) != (family, size)]
                result["rows"] = sorted([*kept, row], key=lambda r: (r["texts"], FAMILIES.index(r["family"])))
                write(result)
    plot(result["rows"])


def alone(work: Any, *arguments: Any) -> dict[str, Any]:
    """Do work in a process of its own, so that no peak of memory hides another; print and return the result."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        row = pool.apply(work, arguments)
    print(row, flush=True)
    return row


def write(result: dict[str, Any]) -> None:
    """Write what was measured so far."""
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def measure(family: str, texts: Path, size: dict[str, int]) -> dict[str, Any]:
    """Train a model of a family on the texts of a folder; return the seconds of each phase and the peak memory."""
    seconds: defaultdict[str, float] = defaultdict(float)
    peaks: dict[str, int] = {}
    steps: list[float] = []
    phase, began = "start", time.process_time()
    last = began

    def listen(event: Event) -> None:
        """Count the time since the last event for that event's phase, since events come before the work they name."""
        nonlocal phase, last
        now = time.process_time()
        seconds[phase] += now - last
        peaks[phase] = peak_mb()
        last = now
        if isinstance(event, PhaseProgress):
            phase = event.label.removesuffix(" texts.txt").removesuffix(" validation.txt")
        elif isinstance(event, TrainingStarted | TrainingProgress):
            phase = "learning"
        if isinstance(event, TrainingProgress):
            steps.append(now)

    options: dict[str, Any] = {"model": family}
    if family != "ngram":
        options |= {"epochs": 1, "epoch_steps": STEPS, "batch_size": BATCH, "threads": 1}
        options["validation"] = texts / "validation.txt"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        kammil.train(texts / "texts.txt", out=out, report=False, listen=listen, **options)
        written = sum(file.stat().st_size for file in out.iterdir())
    seconds[phase] += time.process_time() - last
    row: dict[str, Any] = {
        "family": family,
        **size,
        "seconds": round(time.process_time() - began, 1),
        "peak_mb": peak_mb(),
        "folder_mb": round(written / 1e6, 1),
        "phases": {name: round(value, 1) for name, value in seconds.items()},
        "peaks_mb": peaks,
    }
    if steps:
        step = (steps[-1] - steps[WARM]) / (len(steps) - 1 - WARM)
        row |= {"step": round(step, 4), "pass": round(step * size["texts"] / BATCH, 1)}
    return row


def read(number: int) -> list[str]:
    """Read so many texts, in turn from all files, so that every size holds the same mixture.

    Where there are not so many, the longest are cut in two at a space until there are.
    """
    folder = Path(os.environ["KAMMIL_DATA_DIR"])
    files = sorted(path for name in ("levantine", "arabic") for path in (folder / name).glob("*.txt"))
    lines = [path.read_text("utf-8").splitlines() for path in files]
    whole = sum(map(len, lines))
    wanted = min(number, whole)
    texts = [text for of_file in lines for text in of_file[: -(-len(of_file) * wanted // whole)]][:wanted]
    longest = [(-len(text), place, text) for place, text in enumerate(texts)]
    heapq.heapify(longest)
    while len(longest) < number:
        _, place, text = heapq.heappop(longest)
        middle = max(text.find(" ", len(text) // 2), len(text) // 2)
        for part in (text[:middle].strip(), text[middle:].strip()):
            heapq.heappush(longest, (-len(part), place, part))
    return [text for _, _, text in sorted(longest, key=lambda item: item[1])]


def budget(train: Path, validation: Path, megabytes: float | None) -> dict[str, Any]:
    """Count the texts of a table within so many megabytes; return what that takes and says."""
    texts, held_out = column(train), column(validation)
    vocabulary = CharacterVocabulary.from_texts(texts, least=LEAST)
    encoded, judged = ([vocabulary.encode(text) for text in part] for part in (texts, held_out))
    before, began = peak_mb(), time.process_time()
    settings, artifacts = counting.fit(encoded, judged[::2], vocabulary.size, NGramSettings(megabytes=megabytes))
    seconds = time.process_time() - began
    peak = peak_mb()
    model = NGramModel(settings, artifacts.weights)
    bits, positions = (sum(values) for values in zip(*(cost(model, ids) for ids in judged[1::2]), strict=True))
    return {
        "megabytes": megabytes,
        "texts": len(texts),
        "characters": sum(map(len, texts)),
        "order": settings.order,
        "stored_mb": round(sum(array.nbytes for array in artifacts.weights.values()) / 1e6, 1),
        "bits": round(bits / positions, 4),
        "seconds": round(seconds, 1),
        "mb_before": before,
        "peak_mb": peak,
    }


def column(table: Path) -> list[str]:
    """Return the column text of a table."""
    with table.open(encoding="utf-8", newline="") as rows:
        return [row["text"] for row in csv.DictReader(rows, delimiter="\t")]


def cost(model: NGramModel, ids: Ids) -> tuple[float, int]:
    """Return the bits of a text with its end, and how many positions these are."""
    inputs, targets = np.append(BOS, ids), np.append(ids, EOS)
    rows = model.forward(inputs[None], model.initial_state(1))[0][0]
    return -float(rows[np.arange(len(targets)), targets].sum()) / float(np.log(2)), len(targets)


def peak_mb() -> int:
    """Return the largest resident size of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


def plot(rows: list[dict[str, Any]]) -> None:
    """Draw peak memory and seconds without a pass by the number of characters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    drawn = (
        ("peak_mb", axes[0], "peak memory, MB", (300, 1000, 3000)),
        ("seconds", axes[1], "processor seconds, without a pass", (10, 30, 100, 300)),
    )
    for name, axis, unit, ticks in drawn:
        for family in FAMILIES:
            points = [(row["characters"], row[name]) for row in rows if row["family"] == family]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", label=family)
        axis.set(xscale="log", yscale="log", xlabel="characters", ylabel=unit)
        axis.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
        axis.set_yticks([], minor=True)
        axis.set_xticks((1e6, 1e7, 6e7), ("1 million", "10 million", "60 million"))
    axes[0].legend()
    figure.savefig(ROOT / "docs" / "scale.png", dpi=150)


if __name__ == "__main__":
    main()
