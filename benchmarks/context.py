"""Measure what earlier messages are worth: each message is predicted alone, and after those before it.

usage: context.py [--model NAME] [--last N] [--learn FILE] [--json FILE] FILE...   (a message a line, in order)

A line may name its writer before a colon and a space. Without files, the threads with even numbers of
`benchmarks/threads`. With --learn, the messages of a file are learnt before. About a minute for thirty threads.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

import kammil
from kammil.completion.completer import Completer
from kammil.text import words

HERE = Path(__file__).parent / "threads"
WRITER = re.compile(r"^[A-C]: ")
RESAMPLES = 2_000


def keys(model: Completer, message: str) -> int:
    """Type a message: an accepted word takes one key, its space included."""
    pressed = 0
    for begin, end in words(message):
        full, shown = end - begin + (end < len(message)), end - begin
        for typed in range(end - begin):
            if message[begin:end] in [suggestion.text for suggestion in model.suggest(message[: begin + typed])]:
                shown = typed
                break
        pressed += min(full, shown + 1)
    return pressed


def measure(model: Completer, conversation: list[str], last: int, learnt: Completer | None) -> list[list[float]]:
    """Return of each message but the first characters, keys without help, and bits and keys alone, in context."""
    rows: list[list[float]] = []
    for place in range(1, len(conversation)):
        message = conversation[place]
        row = [len(message), sum(end - begin + (end < len(message)) for begin, end in words(message))]
        for one in (model, (learnt or model).in_context(conversation[max(0, place - last) : place])):
            row += [sum(one.score(message).bits), keys(one, message)]
        rows.append(row)
    return rows


def main() -> None:
    """Print and save the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=sorted(HERE.glob("*[02468]-*.txt")))
    parser.add_argument("--model", default="levantine")
    parser.add_argument("--last", type=int, default=40, help="number of messages before")
    parser.add_argument("--begin", type=int, default=0, help="number of messages at the beginning that are not typed")
    parser.add_argument("--learn", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model, learnt = kammil.load(arguments.model), None
    if arguments.learn:
        learnt = model.fork()
        for line in arguments.learn.read_text("utf-8").splitlines():
            learnt.learn(line)
    rows: list[list[float]] = []
    for file in arguments.files:
        lines = [model.normalise(WRITER.sub("", line)) for line in file.read_text("utf-8").splitlines()]
        rows += measure(model, [line for line in lines if line], arguments.last, learnt)[arguments.begin :]
    table, random = np.array(rows), np.random.default_rng(0)

    def figures(rows: Any) -> Any:
        characters, plain, *alone_after = rows.sum(axis=-2).T
        bits, keys = np.array(alone_after[::2]) / characters, 100 - 100 * np.array(alone_after[1::2]) / plain
        return np.array([*bits, *keys])

    drawn = figures(table[random.integers(0, len(table), (RESAMPLES, len(table)))])
    gains = np.quantile([drawn[1] - drawn[0], drawn[3] - drawn[2]], [0.025, 0.975], axis=1).T.tolist()
    names = "bits alone", "bits in context", "keys alone", "keys in context"
    found: dict[str, Any] = dict(zip(names, figures(table).tolist(), strict=True))
    found |= {
        "messages": len(table),
        "bits, 95 % of the difference": gains[0],
        "keys, 95 % of the difference": gains[1],
    }
    print(json.dumps(found, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
