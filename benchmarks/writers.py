"""Measure what learning a writer's texts is worth: each message is predicted before it is learnt.

usage: writers.py [--model NAME] [--json FILE] FILE...   (messages of one writer in each file, in the order sent)

Without files, those of `benchmarks/writers`. Bits and keys are what `kammil profile report` says of the last hundred;
own words are the uses, from the third on, of those that the model hardly expected; listed, if suggested after at most
two letters. Half a minute a writer.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import kammil
from kammil.completion.completer import Completer
from kammil.evaluation.prequential import SPAN, Effect, learning_report

HERE = Path(__file__).with_suffix("")
STRANGERS, REPEATED = 100, 30  # messages that are learnt before another writer's; that are sent once more
LEARNT = 2  # uses of a word, after which it should be suggested


def bits(model: Completer, messages: list[str]) -> list[tuple[float, ...]]:
    """Return the bits of each character of each message."""
    return [model.score(message).bits for message in messages]


def mean(rows: list[tuple[float, ...]]) -> float:
    """Return the mean bits of a character."""
    return sum(map(sum, rows)) / sum(map(len, rows))


def repeated(model: Completer, messages: list[str]) -> float:
    """Return the bits of messages that were learnt the moment before, once each."""
    found: list[tuple[float, ...]] = []
    for message in messages:
        model.learn(message)
        found.append(model.score(message).bits)
    return mean(found)


def values(effect: Effect, scale: float = 1) -> dict[str, float]:
    """Return a measure without and with learning."""
    return {"plain": scale * effect.without.value, "learning": scale * effect.learnt.value}


def measure(name: str, files: list[Path]) -> dict[str, Any]:
    """Measure all writers, each with the next one as a stranger."""
    model = kammil.load(name)
    texts = {
        file: [model.normalise(line) for line in file.read_text("utf-8").splitlines() if line.strip()] for file in files
    }
    found: dict[str, Any] = {}
    for file, other in zip(files, [*files[1:], files[0]], strict=True):
        messages, stranger = texts[file], model.fork()
        for message in texts[other][:STRANGERS]:
            stranger.learn(message)
        report, last = learning_report(model, messages), messages[-SPAN:]
        found[file.stem] = {
            "bits": values(report.last.bits),
            "strangers": mean(bits(stranger, last)) - mean(bits(model, last)),
            "repeated": repeated(model.fork(), messages[:REPEATED]),
            "saved": values(report.last.keystrokes, 100),
            "own_words": sum(max(0, word.used - LEARNT) for word in report.words),
            "own_words_listed": sum(use > LEARNT for word in report.words for use in word.offered),
        }
        print(file.stem, json.dumps(found[file.stem]), flush=True)
    return found


def main() -> None:
    """Print and save the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=sorted(HERE.glob("*.txt")))
    parser.add_argument("--model", default="levantine")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments.model, arguments.files)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
