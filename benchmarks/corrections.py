"""Measure what corrections of slips and spellings bring and cost (`kammil.completion.channel`).

A simulated writer types texts with a list of three, as they are and with 3 % slips (`with_slips`), where begun words
are corrected and where they are not. For each file: keys saved, %, and the quotient of the two, with 95 %
intervals over texts. Then the texts are typed key by key in sessions, and the time of a key with three suggestions is
measured, both ways in turns; offensive words are blocked.

*Words typed wrongly*, for one list of three each: those where a hamza stands for ق, as Beirut and Damascus pronounce it
and write it in play, and those with a key too many. The constants were chosen with those of `development`.

Printed and written to corrections.json.
Run: `python benchmarks/corrections.py FILE [FILE ...] [--model FOLDER] [--texts N]`: texts, or tables with a column
`text`, such as lev30/validation (three minutes of one core for 100 texts of each of two files).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import kammil
from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.data import sources
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient
from kammil.evaluation.keystrokes import Help, keystrokes_saved, type_texts
from kammil.evaluation.suggestion_hits import suggestion_hits, with_slips
from kammil.text import fold_spelling

SLIPS, WIDTH = 0.03, 3
TYPED = 20
"""Texts that are typed key by key."""
MISTYPED = {
    "hamza for qaf, development": """
شو ئصتك>قصتك|ما بئدر>بقدر|ما معي وئت>وقت|بيتنا أريب>قريب|ؤلي>قلي|صدئني>صدقني|جيب معك ورء>ورق""",
    "a key too many, development": """
المطبثخ>المطبخ|كهرنبا>كهربا|دكتوزر>دكتور|الاسبموع>الاسبوع|امتحغان>امتحان|بحبثك>بحبك|اصحاضبي>اصحابي""",
    "hamza for qaf": """
بعد شوي بئلك>بقلك|معئول>معقول|ئبل>قبل|اشتأتلك>اشتقتلك|معك الحئ>الحق|شو عم تؤولي>تقولي|ناطرتك أدام>قدام""",
    "a key too many": """
مستشكفى>مستشفى|الموبذايل>الموبايل|صبطاح>صباح|جيراحننا>جيراننا|الحمدعلله>الحمدلله|بندوهرة>بندورة|مشوشار>مشوار""",
}
"""What is typed, and the word that is wanted in its place."""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--model", default="levantine")
    parser.add_argument("--texts", type=int, default=100, help="texts of each file, evenly spread")
    options = parser.parse_args()
    model, result = kammil.load(options.model), dict[str, Any]()
    every: list[str] = []
    for file in options.files:
        column = {"column": "text"} if file.endswith((".tsv", ".csv")) else {}
        texts = [model.normalise(text) for text in sources.texts(file, **column)]
        texts = [texts[i * len(texts) // options.texts] for i in range(min(options.texts, len(texts)))]
        every += texts[: TYPED // len(options.files)]
        name = "/".join(Path(file).with_suffix("").parts[-2:])
        result[name] = {"texts": len(texts)}
        for slips in (0.0, SLIPS):
            without, corrected = (keys(model, texts, slips, correct=correct) for correct in (False, True))
            statistics = [Statistic(columns, quotient) for columns in (without, corrected)]
            statistics.append(Statistic(np.stack([corrected[:, 0], without[:, 0]], axis=1), quotient))
            figures = [estimate.interval() for estimate in estimates(statistics)]
            kinds = ("without", "corrected", "times")
            result[name][str(slips)] = {n: asdict(i) for n, i in zip(kinds, figures, strict=True) if i is not None}
            print(f"{name}, slips {slips}:", ", ".join(map(_shown, kinds, figures)), flush=True)
    result["words typed wrongly"] = words = {kind: mistyped(model, kind) for kind in MISTYPED}
    print(json.dumps(words, indent=1))
    result["milliseconds of a key"] = times = milliseconds(model, every)
    print(json.dumps(times, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _shown(name: str, figure: Interval | None) -> str:
    return name if figure is None else f"{name} {figure.value:.4f} ({figure.low:.4f}-{figure.high:.4f})"


def keys(model: Completer, texts: Sequence[str], slips: float, *, correct: bool) -> Array:
    """Keys saved and keys without help for each text, (N, 2)."""
    hits = suggestion_hits(
        model.language_model,
        model.vocabulary,
        texts,
        WIDTH,
        MIN_PROBABILITY,
        typed=with_slips(texts, slips),
        channel=Channel.of(model.vocabulary) if correct else None,
        refusals=model.refusals(),
        openings=model.openings,
    )
    return keystrokes_saved(type_texts(texts, [Help.lists(each, WIDTH) for each in hits.texts]))


def mistyped(model: Completer, kind: str) -> dict[str, int]:
    """Return how many words of a kind are the first of a list, and in it, in any spelling."""
    pairs = [pair.split(">") for pair in MISTYPED[kind].strip().split("|")]
    first = listed = 0
    for typed, wanted in pairs:
        found = [fold_spelling(one.appended_to(typed).split()[-1]) for one in model.suggest(typed, WIDTH)]
        first += found[:1] == [fold_spelling(wanted)]
        listed += fold_spelling(wanted) in found
    return {"words": len(pairs), "first": first, "in the list": listed}


def milliseconds(model: Completer, texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Median and 99th percentile of a key with three suggestions, by the clock and by the processor's own time."""
    taken: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for text in [texts[0], *texts]:
        for correct, measured in taken.items():
            session = model.session()
            for end in range(1, len(text) + 1):
                began, used = time.perf_counter(), time.thread_time()
                session.update(text[:end])
                session.suggest(WIDTH, correct=correct)
                measured.append((1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - used)))
    result: dict[str, dict[str, float]] = {}
    for correct, measured in taken.items():
        wall, cpu = np.array(measured[len(texts[0]) :]).T  # without the first text, which warms up
        quantiles = {"median": 0.5, "p99": 0.99}
        result["corrected" if correct else "without"] = {
            **{name: float(np.quantile(wall, q)) for name, q in quantiles.items()},
            **{f"cpu_{name}": float(np.quantile(cpu, q)) for name, q in quantiles.items()},
            "keys": len(wall),
        }
    return result


if __name__ == "__main__":
    main()
