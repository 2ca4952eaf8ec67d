"""Bits a character that a model of one's own gains from a bundled one, on texts held back, ends of text included.

100 texts and more are learnt by a profile, by `kammil train --base MODEL` and by `kammil train` from nothing, which
both keep a tenth of them to choose by; the bundled model stands beside them as it is. Without a FILE the texts are the
training tweets of the benchmark, and those held back its validation tweets: `levantine` has learnt none of them.
Of a FILE a quarter, drawn by a seed, is held back, but for what resembles the rest; with --writer, whose FILE holds the
texts of one writer, oldest first, the last quarter, 200 at most, and those right before it are learnt.
Run: `python benchmarks/from_base.py [FILE ...] [--model NAME] [--writer]` (arsentd-lev if no FILE is named; three
minutes of one core for each). What is named is measured anew and written to from_base.json, with --writer
to from_base_writers.json.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kammil
from kammil.completion.completer import Completer
from kammil.data import sources
from kammil.data.near_duplicates import resembling
from kammil.progress import ignore

RESULTS = Path(__file__).with_suffix(".json")
RESULTS_OF_WRITERS = RESULTS.with_stem("from_base_writers")
NUMBERS = (100, 200, 400)
NUMBERS_OF_WRITERS = (50, 100, 150, 500, 1000, 2000)
MAX_LATER = 200  # of a writer's texts are held back
BENCHMARK = "lev30"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=[BENCHMARK], metavar="FILE")
    parser.add_argument("--model", default="levantine")
    parser.add_argument("--writer", action="store_true")
    options = parser.parse_args()
    file_of_results = RESULTS_OF_WRITERS if options.writer else RESULTS
    results: dict[str, Any] = json.loads(file_of_results.read_text("utf-8")) if file_of_results.exists() else {}
    for file in options.files:
        numbers = NUMBERS_OF_WRITERS if options.writer else NUMBERS
        train, held_back = parts(file, writer=options.writer)
        if len(train) < numbers[0]:
            raise SystemExit(
                f"{file} has {len(train)} texts to learn from, too few: give {numbers[0] * 4 // 3} at least."
            )
        if file == BENCHMARK and options.model == "levantine-all":
            raise SystemExit("levantine-all has learnt the benchmark's training tweets: name a FILE, or levantine.")
        name = BENCHMARK if file == BENCHMARK else "/".join(Path(file).resolve().with_suffix("").parts[-2:])
        sizes = [number for number in numbers if number <= len(train)]
        results[f"{name}, {Path(options.model).name}"] = measured(train, held_back, options.model, sizes)
        file_of_results.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def parts(file: str, *, writer: bool) -> tuple[list[str], list[str]]:
    """Return the texts to learn, in the order in which they are taken, and the texts held back."""
    if file == BENCHMARK:
        return sources.texts("lev30/train"), sources.texts("lev30/validation")
    texts = sources.texts(file)
    quarter = len(texts) // 4
    if writer:
        texts, quarter = texts[::-1], min(quarter, MAX_LATER)
    else:
        random.Random(0).shuffle(texts)
    train, held_back = texts[quarter:], texts[:quarter]
    return train, [text for text, known in zip(held_back, resembling(held_back, train), strict=True) if not known]


def measured(train: Sequence[str], held_back: Sequence[str], base: str, numbers: Sequence[int]) -> dict[str, Any]:
    """Measure the bundled model, then what learns more and more of the training texts."""
    result: dict[str, Any] = {
        "base": base,
        "held back": len(held_back),
        "base alone": bits(kammil.load(base), held_back),
    }
    print(json.dumps(result), flush=True)
    for number in numbers:
        texts, taught = train[:number], kammil.load(base)
        for text in texts:
            taught.learn(text)
        row = {
            "profile": bits(taught, held_back),
            "from the base": bits_learnt(texts, held_back, base),
            "from nothing": bits_learnt(texts, held_back, None),
        }
        result[str(number)] = row
        print(number, json.dumps(row), flush=True)
    return result


def bits_learnt(texts: Sequence[str], held_back: Sequence[str], base: str | None) -> float:
    """Train a model of the default family as `kammil train` does, and return its bits on the texts held back."""
    options: dict[str, Any] = {} if base is None else {"base": base}
    with tempfile.TemporaryDirectory() as place:
        file, out = Path(place) / "texts.txt", Path(place) / "model"
        file.write_text("".join(text.replace("\n", " ") + "\n" for text in texts), "utf-8")
        kammil.train(file, out=out, report=False, threads=1, listen=ignore, **options)
        return bits(kammil.load(out), held_back)


def bits(model: Completer, texts: Sequence[str]) -> float:
    """Return bits a character of the texts, ends of text included."""
    value = kammil.evaluate(model, texts).model.bits_per_character_with_end
    assert value is not None
    return round(value.value, 3)


if __name__ == "__main__":
    main()
