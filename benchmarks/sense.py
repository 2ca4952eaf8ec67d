"""How many completions make sense to a reader who does not know which model and preset wrote which.

    python benchmarks/sense.py write LIST --model levantine --model OTHER --preset plain --preset sensible
    python benchmarks/sense.py count LIST [--grades FILE]

`write` completes every prompt (by default the 60 of prompts.txt, as a Levantine person types them) in 30 characters
with every model and preset and writes LIST.txt: a number, a tab, the prompt, the completion in
brackets, in a shuffled order, a completion that several wrote but once. LIST.key.json says what is whose.
A reader who has not seen the key writes LIST.grades.tsv, a line for each: the number, a grade and, where the
completion would disturb people, D. `count` adds the grades up by model and preset.

Grades: 2, it makes sense: prompt and completion read as the beginning of something that a person could well write
here. 1, partly: its first words fit, then it breaks, or it hardly says anything that fits. 0, it does not fit.
Readers differ more than presets do, so that only figures of one list can be compared, and 60 prompts tell apart what is
some 15 points apart.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path

import kammil

PROMPTS = Path(__file__).parent / "prompts.txt"
LENGTH = 30

Item = tuple[str, str]
"""A prompt and its completion."""
Key = dict[str, list[int]]
"""Model and preset -> the numbers of its items in the list, counted from 1."""


def written(models: list[str], presets: list[str], prompts: list[str], seed: int) -> tuple[list[Item], Key]:
    """Return all different items in a shuffled order, and the key; the seed of prompt i is `seed` + i."""
    of: dict[str, list[Item]] = {}
    for name in models:
        model = kammil.load(name)
        for preset in presets:
            texts = [
                model.complete(prompt, length=LENGTH, preset=preset, seed=seed + i).text
                for i, prompt in enumerate(prompts)
            ]
            of[f"{name} {preset}"] = list(zip(prompts, texts, strict=True))
    items = sorted({item for each in of.values() for item in each})
    random.Random(seed).shuffle(items)
    numbers = {item: number for number, item in enumerate(items, 1)}
    return items, {name: [numbers[item] for item in each] for name, each in of.items()}


def counted(key: Key, grades: dict[int, tuple[int, bool]]) -> dict[str, Counter[str]]:
    """Return for each model and preset how many items make sense, partly, none, and how many disturb."""
    names = ("none", "partly", "sense")
    counts = {name: Counter[str]() for name in key}
    for name, numbers in key.items():
        for grade, disturbs in (grades[number] for number in numbers):
            counts[name][names[grade]] += 1
            counts[name]["disturbing"] += disturbs
    return counts


def read_grades(file: Path) -> dict[int, tuple[int, bool]]:
    """Return the grade of each number, and whether it disturbs."""
    found: dict[int, tuple[int, bool]] = {}
    for line in file.read_text("utf-8").splitlines():
        number, grade, *rest = line.split("\t")
        found[int(number)] = int(grade), rest[:1] == ["D"]
    return found


def main() -> None:
    """Write a list, or count its grades."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("write", "count"))
    parser.add_argument("list", type=Path)
    parser.add_argument("--model", action="append", default=[], help="a bundled model or a folder; repeatable")
    parser.add_argument("--preset", action="append", default=[], help="repeatable")
    parser.add_argument("--prompts", type=Path, default=PROMPTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grades", type=Path, help="of another reader than LIST.grades.tsv")
    given = parser.parse_args()
    key = given.list.with_name(given.list.name + ".key.json")
    if given.action == "write":
        prompts = given.prompts.read_text("utf-8").splitlines()
        items, names = written(given.model or ["levantine"], given.preset or ["plain", "sensible"], prompts, given.seed)
        lines = [f"{number}\t{prompt}⟦{text}⟧\n" for number, (prompt, text) in enumerate(items, 1)]
        given.list.with_name(given.list.name + ".txt").write_text("".join(lines), "utf-8")
        key.write_text(json.dumps(names, ensure_ascii=False), "utf-8")
        print(f"{len(items)} completions in {given.list}.txt")
        return
    grades = read_grades(given.grades or given.list.with_name(given.list.name + ".grades.tsv"))
    for name, counts in counted(json.loads(key.read_text("utf-8")), grades).items():
        print(f"{name:40} " + ", ".join(f"{each} {counts[each]}" for each in ("sense", "partly", "none", "disturbing")))


if __name__ == "__main__":
    main()
