"""The first minute: `kammil train FILE --minutes 1`, as the README says it, beside `--model ngram`, which counts.

On the embedded sample, on lev30's training part, and on treebanks of Universal Dependencies in four languages; on an
idle machine, beside two busy programs, and at `nice -n 10` beside four. `kammil data split` divides each file; both
models learn one part and are measured on the other. Run: `python benchmarks/first_minute.py TREEBANKS` (40 minutes, two
cores that nothing else uses, KAMMIL_DATA_DIR). TREEBANKS is a folder of clones such as
https://github.com/UniversalDependencies/UD_Maltese-MUDT. Writes first_minute.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kammil
from kammil.evaluation.evaluate import evaluate

STATES = {"idle": 0, "beside two programs": 2, "at nice 10 beside four": 4}
"""Names of the states of the machine -> number of programs that keep a core busy."""
TREEBANKS = ("Maltese-MUDT", "Turkish-IMST", "Japanese-GSD", "Hebrew-HTB")
_BUSY = "while True: pass"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("treebanks", type=Path, help="folder of treebanks")
    parser.add_argument("--states", nargs="+", choices=list(STATES), default=list(STATES))
    arguments = parser.parse_args()
    file = Path(__file__).with_suffix(".json")
    results: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        parts = {name: _split(name, source, Path(folder)) for name, source in _sources(arguments.treebanks).items()}
        for name, place in parts.items():
            seconds, _ = _train(place, "counter", ["--model", "ngram"], nice=0)
            texts = len((place / "train.txt").read_text("utf-8").splitlines())
            row = {"texts": texts, "ngram": _bits(place, "counter"), "ngram_seconds": seconds}
            results[name] = results.get(name, {"states": {}}) | row
        for state, (name, place) in itertools.product(arguments.states, parts.items()):
            with _busy(STATES[state]):
                seconds, said = _train(place, "model", ["--minutes", "1"], nice=10 if STATES[state] == 4 else 0)
            model = kammil.load(place / "model").model
            assert model is not None
            data = model.description.training["data"]
            results[name]["states"][state] = {
                "bits": _bits(place, "model"),
                "family": model.description.family,
                "seconds": seconds,
                "texts": data["texts"] + data["validation_texts"],
                "ending": said,
            }
            print(name, results[name]["ngram"], state, results[name]["states"][state], flush=True)
            file.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _sources(treebanks: Path) -> dict[str, str | list[str]]:
    """Return the texts of each row: a data set by its name, or the sentences of a treebank."""
    found: dict[str, str | list[str]] = {}
    for name in TREEBANKS:
        files = sorted((treebanks / f"UD_{name}").glob("*.conllu"))
        lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
        found[name] = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
    found |= {"the sample": "sample", "lev30/train": "lev30/train"}
    return {name: texts for name, texts in found.items() if texts}


def _split(name: str, source: str | list[str], folder: Path) -> Path:
    """Divide texts into `train.txt` and `test.txt` of a new folder."""
    if isinstance(source, list):
        file = folder / f"{name}.txt"
        file.write_text("\n".join(source) + "\n", "utf-8")
        source = str(file)
    place = folder / f"parts of {name.replace('/', ' ')}"
    _kammil("data", "split", source, "--test", "0.1", "--out", str(place))
    return place


def _train(place: Path, out: str, options: list[str], *, nice: int) -> tuple[float, str]:
    """Train as a user would; return the seconds of the whole command and its last line."""
    began = time.monotonic()
    said = _kammil("train", str(place / "train.txt"), "--replace", "--out", str(place / out), *options, nice=nice)
    return round(time.monotonic() - began, 1), said.splitlines()[-1]


def _bits(place: Path, model: str) -> float:
    """Return the bits per character of the whole test texts."""
    interval = evaluate(kammil.load(place / model), str(place / "test.txt")).model.bits_per_character
    assert interval is not None
    return round(interval.value, 3)


def _kammil(*arguments: str, nice: int = 0) -> str:
    command = ["nice", "-n", str(nice), sys.executable, "-m", "kammil", *arguments]
    done = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", env=os.environ | {"TERM": "dumb"})
    return done.stderr


@contextmanager
def _busy(number: int) -> Generator[None]:
    """Keep so many programs running that do nothing but count."""
    programs = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(number)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


if __name__ == "__main__":
    main()
