"""Measure what learning a writer's texts is worth: each message is predicted before it is learnt.

usage: writers.py [--model NAME] [--json FILE] FILE...   (messages of one writer in each file, in the order sent)

Without files, those of `benchmarks/writers`. Bits and keys are of the second half. About 20 seconds a writer.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import kammil
from kammil.completion.completer import Completer
from kammil.text import words

HERE = Path(__file__).with_suffix("")
STRANGERS, REPEATED = 100, 30  # messages that are learnt before another writer's; that are sent once more


def bits(model: Completer, messages: list[str], *, learn: bool) -> list[tuple[float, ...]]:
    """Return the bits of each character of each message."""
    found: list[tuple[float, ...]] = []
    for message in messages:
        found.append(model.score(message).bits)
        if learn:
            model.learn(message)
    return found


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


def keys(model: Completer, plain: Completer, messages: list[str]) -> dict[str, Any]:
    """Type the second half: an accepted word takes one key, its space included."""
    pressed, size, own, hits = {"plain": 0, "learning": 0}, 0, 0, 0
    used = Counter[str]()
    for place, message in enumerate(messages):
        for begin, end in words(message) if place >= len(messages) // 2 else ():
            text, word, full = message[:begin], message[begin:end], end - begin + (end < len(message))
            size, shown = size + full, dict[str, int]()
            for name, one in (("plain", plain), ("learning", model)):
                shown[name] = len(word)
                for typed in range(len(word)):
                    listed = [suggestion.text for suggestion in one.suggest(text + word[:typed])]
                    if word in listed:
                        shown[name] = typed
                        break
                pressed[name] += min(full, shown[name] + 1)
            if len(word) > 2 and used[word] > 1 and shown["plain"] > 2:
                own, hits = own + 1, hits + (shown["learning"] <= 2)
        used.update(message[begin:end] for begin, end in words(message))
        model.learn(message)
    saved = {name: 100 * (1 - number / size) for name, number in pressed.items()}
    return {"saved": saved, "own_words": own, "own_words_listed": hits}


def measure(name: str, files: list[Path]) -> dict[str, Any]:
    """Measure all writers, each with the next one as a stranger."""
    model = kammil.load(name)
    texts = {
        file: [model.normalise(line) for line in file.read_text("utf-8").splitlines() if line.strip()] for file in files
    }
    found: dict[str, Any] = {}
    for file, other in zip(files, [*files[1:], files[0]], strict=True):
        messages, half = texts[file], len(texts[file]) // 2
        plain = bits(model, messages, learn=False)
        learning = bits(model.fork(), messages, learn=True)
        stranger = model.fork()
        for message in texts[other][:STRANGERS]:
            stranger.learn(message)
        found[file.stem] = {
            "bits": {"plain": mean(plain[half:]), "learning": mean(learning[half:])},
            "strangers": mean(bits(stranger, messages[half:], learn=False)) - mean(plain[half:]),
            "repeated": repeated(model.fork(), messages[:REPEATED]),
            **keys(model.fork(), model, messages),
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
