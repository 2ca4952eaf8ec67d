"""What a user waits for and what the disk pays: cold start of the commands, size of the base installation.

Builds a fresh virtual environment with nothing but `pip install kammil` and times whole processes in it. Run:
`python benchmarks/startup.py` (needs the package index; 2 minutes). Writes startup.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = 9


def main() -> None:
    """Measure, print, write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
        python = place / "venv" / "bin" / "python"
        empty = _size(place / "venv")
        subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
        size = _size(place / "venv")
        kammil = str(place / "venv" / "bin" / "kammil")
        texts = str(ROOT / "src" / "kammil" / "data" / "sample.txt")
        subprocess.run([kammil, "train", texts, "--model", "ngram", "--out", place / "ngram"], check=True)
        # The GRU is trained with this script's own environment, which has PyTorch, and run in the bare one.
        train = [sys.executable, "-m", "kammil", "train", texts, "--model", "gru", "--epochs", "1"]
        subprocess.run([*train, "--out", place / "gru"], check=True)
        complete = [kammil, "complete", "شو رأيكم نطلع", "--model"]
        results = {
            "base_install_mb": round((size - empty) / 1e6, 1),
            "environment_mb": round(size / 1e6, 1),
            "help_seconds": _median([kammil, "--help"]),
            "complete_gru_seconds": _median([*complete, str(place / "gru")]),
            "complete_ngram_seconds": _median([*complete, str(place / "ngram")]),
        }
    Path(__file__).with_suffix(".json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    for name, value in results.items():
        print(f"{name:<24} {value}")


def _median(command: list[str]) -> float:
    """Median wall seconds of a whole process, after one run to warm the disk cache."""
    seconds: list[float] = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds[1:]), 3)


def _size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


if __name__ == "__main__":
    main()
