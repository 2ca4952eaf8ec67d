"""When ghost text is shown: the choice behind the steps of its dial (`kammil.completion.ghost_text.GHOST_RULES`).

The first word of ghost text is searched once at every place of validation texts; then every pair of a least probability
and a charge (the keys that a word must save on the average) is tried on what was found, on a phone and on a desktop
(`kammil.evaluation.typing_report`). From all texts together a step is proposed for

- quiet: the most words a minute on a phone, where 75 % of the ghosts are right;
- balanced: the most keys saved, where in every file by itself 75 % are right and a phone is faster than without help,
  the interval clear of it;
- eager: the most words a minute on a desktop.

What is shown at one step is also shown at the next.

Printed and written to ghost.json for each pair: places where a ghost is shown, %; of those, right to the letter, %; the
words that have a ghost while they are typed, %; keys saved and ghosts taken by a writer who accepts what is right, %;
words a minute, with their intervals in the file.
Run: `python benchmarks/ghost.py FILE [FILE ...] [--model FOLDER]`: texts, or tables with a column `text`, such as
lev30/validation (40 seconds of one core for 900 texts).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import kammil
from kammil.completion.ghost_text import GHOST_RULES, GhostRule
from kammil.data import sources
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient
from kammil.evaluation.keystrokes import Help, first_ghost_words, keystrokes_saved, precision, type_texts
from kammil.evaluation.suggestion_hits import SuggestionHits
from kammil.evaluation.typing_report import DEVICES, reading_charge, words_and_minutes
from kammil.text import words

THRESHOLDS = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9)
CHARGES = (0.0, *sorted({round(reading_charge(device), 2) for device in DEVICES.values()} | {0.8, 0.9, 0.95, 1.0, 1.5}))
RIGHT = 0.75
RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Try every rule on the texts of every file, and on all together; print the tables and what is proposed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--model", metavar="FOLDER", default="levantine")
    named = parser.parse_args()
    model = kammil.load(named.model)
    texts: list[str] = []
    hits: list[SuggestionHits] = []
    parts: dict[str, slice] = {}
    for file in named.files:
        column = "text" if Path(file).suffix in (".tsv", ".csv") else None
        read = [text for text in (model.normalise(t).rstrip() for t in sources.texts(file, column=column)) if text]
        found = first_ghost_words(
            model.language_model, model.vocabulary, read, min(THRESHOLDS), refusals=model.refusals()
        ).texts
        parts[Path(file).name if column else file] = slice(len(texts), len(texts) + len(read))
        texts, hits = texts + read, hits + found
    if len(parts) > 1:
        parts["all"] = slice(0, len(texts))
    grid = [GhostRule(threshold, charge) for charge in CHARGES for threshold in THRESHOLDS]
    rules = {rule: _columns(texts, hits, rule) for rule in dict.fromkeys([*grid, *GHOST_RULES.values()])}
    results: dict[str, Any] = {"model": named.model, "without_help": {n: d.words_a_minute for n, d in DEVICES.items()}}
    for name, part in parts.items():
        results[name] = {"texts": part.stop - part.start, "rules": _figures(rules, part)}
        print(f"\n{name}: {part.stop - part.start} texts")
        _print(results[name]["rules"])
    last = results[[*parts][-1]]["rules"]  # of all texts
    in_grid = len(grid)  # the rows of the steps as they are come behind them
    results["proposed"] = proposed = _proposed([results[name]["rules"][:in_grid] for name in parts])
    for step, row in proposed.items():
        print(f"\n{step}, proposed:" + (" none" if row is None else ""))
        _print([row] if row else [])
        print(f"{step}, as it is:")
        _print([each for each in last if GhostRule(**each["rule"]) == GHOST_RULES[step]])
    RESULTS.write_text(json.dumps(results) + "\n", "utf-8")


def _columns(texts: Sequence[str], hits: Sequence[SuggestionHits], rule: GhostRule) -> dict[str, Array]:
    """Return the sums of each text, (N, 2), of which each figure is a quotient."""
    helps = [Help.ghost(each, rule) for each in hits]
    shown = [(each.shown > 0) & ~np.equal(np.arange(len(each.shown)), len(each.shown) - 1) for each in helps]
    places = np.array([[each.right.sum(), s.sum(), len(s) - 1] for each, s in zip(helps, shown, strict=True)])
    with_ghost = [
        [sum(bool(s[begin:end].any()) for begin, end in words(text)), len(words(text))]
        for text, s in zip(texts, shown, strict=True)
    ]
    writing = type_texts(texts, helps)
    return {
        "shown": places[:, [1, 2]].astype(float),
        "right": places[:, [0, 1]].astype(float),
        "words with a ghost": np.array(with_ghost, float),
        "keys saved": keystrokes_saved(writing),
        "taken": precision(writing),
        **{name: words_and_minutes(writing, device, ghost=True) for name, device in DEVICES.items()},
    }


def _figures(rules: dict[GhostRule, dict[str, Array]], part: slice) -> list[dict[str, Any]]:
    """Return the figures of each rule with their intervals, over the texts of one part."""
    statistics = [Statistic(c[part], quotient) for columns in rules.values() for c in columns.values()]
    intervals = iter([estimate.interval() for estimate in estimates(statistics)])
    rows: list[dict[str, Any]] = []
    for rule, columns in rules.items():
        figures = {name: next(intervals) for name in columns}
        rows.append({"rule": asdict(rule), **{name: _rounded(interval) for name, interval in figures.items()}})
    return rows


def _rounded(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None:
        return None
    return {name: None if value is None else round(value, 5) for name, value in asdict(interval).items()}


def _proposed(parts: Sequence[Sequence[dict[str, Any]]]) -> dict[str, dict[str, Any] | None]:
    """Choose the row of each step; None where no row is good enough.

    `parts` are the rows of each file, in the same order, and last those of all texts.
    """

    def is_right(row: dict[str, Any]) -> bool:
        return bool(row["right"]) and row["right"]["value"] >= RIGHT

    def is_faster(row: dict[str, Any]) -> bool:
        return (row["phone"]["low"] or 0) > DEVICES["phone"].words_a_minute

    rows = parts[-1]
    sure = [rows[i] for i in range(len(rows)) if all(is_right(part[i]) and is_faster(part[i]) for part in parts)]
    balanced = max(sure, key=lambda row: row["keys saved"]["value"], default=None)
    quieter = [row for row in rows if is_right(row) and (balanced is None or _asks_more(row, balanced))]
    more = [row for row in rows if balanced is None or _asks_more(balanced, row)]
    return {
        "quiet": max(quieter, key=lambda row: row["phone"]["value"], default=None),
        "balanced": balanced,
        "eager": max(more, key=lambda row: row["desktop"]["value"]),
    }


def _asks_more(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether what one rule shows the other shows, too: a step of a dial takes nothing away that it adds."""
    return all(one["rule"][name] >= other["rule"][name] for name in one["rule"])


def _print(rows: Sequence[dict[str, Any]]) -> None:
    titles = ("shown", "right", "words with a ghost", "keys saved", "taken")
    print(
        f"{'least p':>8}{'charge':>8}" + "".join(f"{t[:10]:>11}" for t in titles) + "".join(f"{d:>20}" for d in DEVICES)
    )
    for row in rows:
        shares = "".join(f"{100 * row[t]['value']:>11.1f}" if row[t] else f"{'':>11}" for t in titles)
        rates = "".join(f"{row[d]['value']:>8.2f}" + _bounds(row[d]) for d in DEVICES)
        print(f"{row['rule']['threshold']:>8.2f}{row['rule']['charge']:>8.2f}{shares}{rates}")


def _bounds(interval: dict[str, Any]) -> str:
    return f" ({interval['low']:.2f}-{interval['high']:.2f})" if interval["low"] else ""


if __name__ == "__main__":
    main()
