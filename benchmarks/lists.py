"""Contents of lists of three, letter by letter: the wanted word, or function words alone.

Texts are drawn from each file and typed by the simulation of `kammil evaluate --typing`, which corrects nothing.
Counted at each word, before its first letter and after one, two and three, where letters are left to type: lists whose
first word is the wanted one, to the letter, lists that hold it, and lists of function words alone
(`kammil.completion.unsolicited.is_function_word`).

Printed and written to lists.json by model and file: numbers of places, and shares in per cent with 95 % intervals.
Run: `python benchmarks/lists.py FILE [FILE ...]`: texts, or tables with a column `text`, such as everyday/validation
and recipes/messages/held-out/test.txt (two minutes of one core for both models).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import kammil
from kammil.completion.completer import Completer
from kammil.completion.unsolicited import is_function_word
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.data import sources
from kammil.evaluation.bootstrap import Interval, Statistic, estimates, quotient
from kammil.evaluation.suggestion_hits import suggestion_hits
from kammil.text import open_word, words

LETTERS = (0, 1, 2, 3)
WIDTH = 3
SHARES = ("first", "in three", "function words")
RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Count for every model and file; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--model", nargs="+", metavar="NAME", default=["levantine", "levantine-all"])
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    named = parser.parse_args()
    results: dict[str, Any] = {"texts": named.texts, "seed": named.seed}
    print(f"{'model':<16}{'file':<18}{'letters':>8}{'places':>8}" + "".join(f"{title:>18}" for title in SHARES))
    for name in named.model:
        model = kammil.load(name)
        for file in named.files:
            column = "text" if Path(file).suffix in (".tsv", ".csv") else None
            every = [text for text in (model.normalise(t).rstrip() for t in sources.texts(file, column=column)) if text]
            drawn = Random(named.seed).sample(every, min(named.texts, len(every)))
            rows = figures(model, drawn)
            results.setdefault(Path(name).name, {})[Path(file).name] = rows
            for row in rows:
                shown = "".join(f"{' '.join(map(str, row[title].values())):>18}" for title in SHARES)
                print(f"{Path(name).name:<16}{Path(file).name:<18}{row['letters']:>8}{row['places']:>8}{shown}")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def figures(model: Completer, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the shares at each number of letters typed, and the number of places."""
    lists: defaultdict[str, set[str]] = defaultdict(set)

    def note(prefix: str, added: str) -> bool:
        lists[prefix].add(open_word(prefix + added))
        return True

    hits = suggestion_hits(
        model.language_model,
        model.vocabulary,
        texts,
        WIDTH,
        MIN_PROBABILITY,
        refusals=model.refusals(),
        openings=model.openings,
        keep=note,
    ).texts
    counts = np.zeros((len(LETTERS), len(texts), 4))  # of SHARES, and places
    for i, (text, hit) in enumerate(zip(texts, hits, strict=True)):
        for begin, end in words(text):
            for n in LETTERS[: end - begin]:
                right, shown = hit.right[begin + n], lists[text[: begin + n]]
                alone = bool(shown) and all(map(is_function_word, shown))
                counts[n, i] += right[0], right.any(), alone, 1
    statistics = [Statistic(of_texts[:, [j, 3]], quotient) for of_texts in counts for j in range(len(SHARES))]
    found = iter([estimate.interval() for estimate in estimates(statistics)])
    return [
        {"letters": n, "places": int(of_texts[:, 3].sum())} | {title: _percent(next(found)) for title in SHARES}
        for n, of_texts in zip(LETTERS, counts, strict=True)
    ]


def _percent(share: Interval | None) -> dict[str, float]:
    return {name: round(100 * value, 1) for name, value in vars(share).items() if value is not None} if share else {}


if __name__ == "__main__":
    main()
