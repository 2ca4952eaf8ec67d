"""How many completions make sense to readers who do not know which model wrote which, and how.

    python benchmarks/sense.py write LIST --model levantine --model OTHER --arm uncut --arm sensible
    python benchmarks/sense.py count LIST --grades FIRST --grades SECOND

`write` completes every prompt (by default the 60 of prompts.txt, as a Levantine person types them) in at most 30
characters with every model and arm and writes LIST.txt: a number, a tab, the prompt, the completion in brackets, in a
shuffled order, a completion that several wrote but once. Marks at the end are hidden, so that nobody sees by them how
it was made. LIST.key.json says what is whose, and how sure the model was of it. An arm is a preset; `uncut`, which is
`sensible` without its `clause`; `cut`, the same text up to its first clause with a whole new word; or `message`, the
end of the message of recipes/messages whose beginning is nearest; its "bits" are the share of the prompt that it lacks.

Two readers who have not seen the key write a file each, a line for each completion: the number, a grade and, where the
completion would disturb people, D. `count` adds them up by model and arm: *sense* is the highest grade by both readers.
It prints how far the readers agree (Cohen's kappa), and how many of the surest texts of each arm make sense; with
`--json` it also writes the figures of all texts (`sense.json` is that of `sense/phrases`).

Grades: 2, it makes sense: prompt and completion read as the beginning of something that a person could well write
here. 1, partly: its first words fit, then it breaks, or it hardly says anything that fits. 0, it does not fit.
Readers differ more than arms do, so that only figures of one list can be compared, and 60 prompts tell apart what is
some 15 points apart.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import regex

import kammil
from kammil.completion.completer import Completer
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.options import DecodingOptions, Options

PROMPTS = Path(__file__).parent / "prompts.txt"
LENGTH = 30
SHARES = (0.25, 0.4, 0.5, 0.6, 1.0)
"""Shares of the texts of an arm, the surest first, of which the sense is reported."""
_MARKS = regex.compile(r"[\p{Terminal_Punctuation}\s]+\Z")

Item = tuple[str, str]
"""A prompt and its completion, without marks at the end."""
Grades = dict[int, tuple[int, bool]]
"""Number of an item -> its grade, and whether it disturbs."""


class Text(NamedTuple):
    """A completion of an arm."""

    number: int
    """Number of its item in the list, from 1."""
    mean_bits: float
    """Bits per character: the fewer, the surer."""
    characters: int


Key = dict[str, list[Text]]
"""Model and arm -> what it wrote, by prompt."""


def completed(model: Completer, arm: str, prompt: str, seed: int) -> tuple[str, float]:
    """Complete a prompt; returns the text, empty for none, and its bits per character."""
    if arm == "offered":
        ghost = model.phrase(prompt)
        return (ghost.added, -math.log2(ghost.probability) / len(ghost.added)) if ghost.stock else ("", 0.0)
    if arm not in ("uncut", "cut"):
        options: Options = {"preset": arm} if arm != "rule" else {"preset": "sensible", "stock_phrases": False}
        made = model.complete(prompt, **{**options, "length": LENGTH, "seed": seed})
        return made.text, made.mean_bits
    made = model.complete(prompt, length=LENGTH, preset="sensible", clause=False, stock_phrases=False, seed=seed)
    if arm == "uncut":
        return made.text, made.mean_bits
    text = Hypothesis(DecodingOptions.of(clause=True, length=LENGTH), model.normalise(prompt))
    for character, bits in zip(made.text, made.bits, strict=True):
        if text.reason is None:
            text.add(character, bits)
    return text.text, text.mean_bits


def written(models: list[str], arms: list[str], prompts: list[str], seed: int) -> tuple[list[Item], Key]:
    """Return all different items in a shuffled order, and the key; the seed of prompt i is `seed` + i."""
    of: dict[str, list[tuple[Item, float, int]]] = {}
    for name in models:
        model = kammil.load(name)
        for arm in arms:
            texts = [completed(model, arm, prompt, seed + i) for i, prompt in enumerate(prompts)]
            of[f"{name} {arm}"] = [
                ((prompt, _MARKS.sub("", text)), round(bits, 4), len(text))
                for prompt, (text, bits) in zip(prompts, texts, strict=True)
                if text
            ]
    items = sorted({item for each in of.values() for item, _, _ in each})
    random.Random(seed).shuffle(items)
    numbers = {item: number for number, item in enumerate(items, 1)}
    return items, {
        name: [Text(numbers[item], bits, length) for item, bits, length in each] for name, each in of.items()
    }


def counted(texts: Sequence[Text], readers: Sequence[Grades], share: float = 1.0) -> dict[str, float]:
    """Return the percentages of the surest texts that make sense and that fit nowhere, by all readers, and that disturb
    one of them; and their number and median length."""
    chosen = sorted(texts, key=lambda text: text.mean_bits)[: round(share * len(texts))]
    grades = [[reader[text.number] for reader in readers] for text in chosen]
    return {
        "texts": len(chosen),
        "sense": 100 * sum(all(grade == 2 for grade, _ in each) for each in grades) / len(chosen),
        "none": 100 * sum(all(grade == 0 for grade, _ in each) for each in grades) / len(chosen),
        "disturbing": 100 * sum(any(disturbs for _, disturbs in each) for each in grades) / len(chosen),
        "characters": sorted(text.characters for text in chosen)[len(chosen) // 2],
        "bits": max(text.mean_bits for text in chosen),
    }


def kappa(first: Grades, second: Grades) -> float:
    """Return Cohen's kappa of two readers on whether completions make sense."""
    pairs = [(first[number][0] == 2, second[number][0] == 2) for number in first.keys() & second.keys()]
    agreed = sum(one == other for one, other in pairs) / len(pairs)
    shares = [sum(column) / len(pairs) for column in zip(*pairs, strict=True)]
    by_chance = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1])
    return (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else 1.0


def read_grades(file: Path) -> Grades:
    """Return the grade of each number, and whether it disturbs."""
    found: Grades = {}
    for line in file.read_text("utf-8").splitlines():
        number, grade, *rest = line.split("\t")
        found[int(number)] = int(grade), rest[:1] == ["D"]
    return found


def read_key(file: Path) -> Key:
    """Return a key; those of older lists know no bits and no lengths."""
    found = json.loads(file.read_text("utf-8"))
    return {
        name: [Text(*text) if isinstance(text, list) else Text(text, 0.0, 0) for text in texts]
        for name, texts in found.items()
    }


def main() -> None:
    """Write a list, or count its grades."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("write", "count"))
    parser.add_argument("list", type=Path)
    parser.add_argument("--model", action="append", default=[], help="a bundled model or a folder; repeatable")
    parser.add_argument("--arm", action="append", default=[], help="a preset, uncut, cut, rule, offered; repeatable")
    parser.add_argument("--prompts", type=Path, default=PROMPTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grades", type=Path, action="append", default=[], help="of a reader; repeatable")
    parser.add_argument("--json", type=Path, help="with count: write the figures of all texts to this file")
    given = parser.parse_args()
    key = given.list.with_name(given.list.name + ".key.json")
    if given.action == "write":
        prompts = given.prompts.read_text("utf-8").splitlines()
        items, names = written(given.model or ["levantine"], given.arm or ["uncut", "sensible"], prompts, given.seed)
        lines = [f"{number}\t{prompt}⟦{text}⟧\n" for number, (prompt, text) in enumerate(items, 1)]
        given.list.with_name(given.list.name + ".txt").write_text("".join(lines), "utf-8")
        key.write_text(json.dumps(names, ensure_ascii=False), "utf-8")
        print(f"{len(items)} completions in {given.list}.txt")
        return
    readers = [read_grades(file) for file in given.grades or [given.list.with_name(given.list.name + ".grades.tsv")]]
    agreed = kappa(*readers) if len(readers) == 2 else None
    if agreed is not None:
        print(f"kappa of the readers: {agreed:.2f}")
    arms = read_key(key)
    if given.json:
        figures = {"kappa": agreed, "arms": {name: counted(texts, readers) for name, texts in arms.items()}}
        given.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    for name, texts in arms.items():
        for share in SHARES if texts[0].mean_bits else (1.0,):
            figures = counted(texts, readers, share)
            print(f"{name:32} {share:4.0%}  " + "  ".join(f"{each} {value:.4g}" for each, value in figures.items()))


if __name__ == "__main__":
    main()
