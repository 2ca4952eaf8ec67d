"""Near-duplicate groups: seconds and memory up to a million texts, and what MinHash with LSH finds in their place; and
what it costs to leave out of them what resembles a test (`near_duplicates.resembling`).

Run: `python benchmarks/duplicates.py` (needs the data sets, downloaded or in KAMMIL_DATA_DIR; 3 minutes on one core,
2 GB). The comparison needs `pip install datasketch` and is left out without it. Writes duplicates.json.

The first 100,000 texts are real: shami, atsad, arsarcasm-v2 and arsentd-lev, in random order. Those beyond are made
from them. As often as a real text repeats another one (`near_repeats`), a made one repeats an earlier text, real or
made, with what people change in a repost: an emoji, a link, a handle, a hashtag, the end cut off, a word swapped. So
repeats of repeats come about, and some groups grow large. All others are new: as long as a real text, strung
together from pairs of words that stand side by side in real texts. (Runs of three or four words share so many
shingles that 14 % and 33 % of 300,000 texts fell into one group; with pairs it is 3 %, and 2 % of the real ones.)
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from kammil.data import near_duplicates, sources

REAL = 100_000
SIZES = (1_000, 10_000, 30_000, REAL, 300_000, 1_000_000)
EXCLUDED = "lev30/test"
"""Texts whose like is left out."""
THRESHOLDS = (0.5, 0.3, 0.18)  # Jaccard; 0.18 is a containment of 0.3 between texts of one length
PERMUTATIONS = 128


def main() -> None:
    """Measure, print, write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    results: dict[str, Any] = {
        "cores": os.cpu_count(),
        "numpy": np.__version__,
        "curve": [],
        "left_out": [],
        "minhash_lsh": [],
    }
    print("     texts  seconds      cpu  us/text  MB before  MB peak   groups  largest")
    for size in SIZES:
        row = _alone(_measure, size)
        results["curve"].append(row)
        print(
            f"{size:>10,} {row['seconds']:>8} {row['cpu_seconds']:>8} {row['cpu_seconds'] / size * 1e6:>8.1f} "
            f"{row['mb_before']:>10} {row['mb_peak']:>8} {row['groups']:>8} {row['largest']:>8}"
        )
    print(f"\nwhat resembles {EXCLUDED}  cpu, direct pairs  found  cpu, all rules  found  MB peak")
    for size in SIZES:
        row = _alone(_exclude, size)
        results["left_out"].append(row)
        print(
            f"{size:>25,} {row['direct_cpu_seconds']:>18} {row['direct']:>6} {row['cpu_seconds']:>15} "
            f"{row['left_out']:>6} {row['mb_peak']:>8}"
        )
    if importlib.util.find_spec("datasketch") is None:
        print("datasketch is not installed: no comparison with MinHash LSH", file=sys.stderr)
    else:
        results["minhash_lsh"] = _alone(_compare, REAL)
        print("\nthe same texts                seconds   groups  joins found  candidates")
        for row in results["minhash_lsh"]:
            print(
                f"{row['method']:<28} {row['seconds']:>8} {row['groups']:>8} {row['joins_found']:>12.1%} "
                f"{row['candidates'] or '-':>11}"
            )
    Path(__file__).with_suffix(".json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def texts_of(size: int) -> list[str]:
    """That many texts, the same ones in every run: real ones first, made ones from `REAL` on."""
    random = np.random.default_rng(0)
    real = [text for name in ("shami", "atsad", "arsarcasm-v2", "arsentd-lev") for text in sources.texts(name)]
    texts = [real[i] for i in random.permutation(len(real))[:REAL].tolist()]
    if size <= len(texts):
        return texts[:size]
    repeated = 1 - (near_duplicates.groups(texts).max() + 1) / len(texts)
    runs = [" ".join(words[i : i + 2]) for words in map(str.split, texts) for i in range(0, len(words), 2)]
    while len(texts) < size:
        if random.random() < repeated:
            texts.append(_repost(texts[int(random.integers(len(texts)))], random))
        else:
            length = len(texts[int(random.integers(REAL))])
            text = ""
            while len(text) < length:
                text += " " + runs[int(random.integers(len(runs)))]
            texts.append(text[: length + 1].strip())
    return texts


def _repost(text: str, random: np.random.Generator) -> str:
    """The text with one of the changes that reposts show."""
    words = text.split()
    number = int(random.integers(1_000_000))
    swapped = [*words[: number % len(words)], "كمان", *words[number % len(words) + 1 :]]
    changed = (
        text,
        f"{text} {chr(0x1F600 + number % 70)}",
        f"{text} https://t.co/{number:x}",
        f"RT @user{number}: {text}",
        f"#وسم_{number % 100} {text}",
        text[: max(len(text) * 2 // 3, 1)] + "…",
        " ".join(swapped),
    )
    return changed[int(random.integers(len(changed)))]


def _alone(work: Any, size: int) -> Any:
    """The result of `work(size)` in a process of its own, so that no peak of memory hides another."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (size,))


def _megabytes() -> int:
    """Peak resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3))


def _measure(size: int) -> dict[str, Any]:
    """One point of the curve; `mb_before` is what the interpreter and the texts themselves take."""
    texts = texts_of(size)
    before = _megabytes()
    started, cpu = time.perf_counter(), time.process_time()
    group = near_duplicates.groups(texts)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {
        "texts": size,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "mb_before": before,
        "mb_peak": _megabytes(),
        "groups": int(group.max()) + 1,
        "largest": int(np.bincount(group).max()),
    }


def _exclude(size: int) -> dict[str, Any]:
    """Count the texts that direct pairs find by the rule of splits, and those that all rules find."""
    texts, among = texts_of(size), sources.texts(EXCLUDED)
    started = time.process_time()
    direct = near_duplicates.nearest_duplicates(texts, among) >= 0
    between = time.process_time()
    found = near_duplicates.resembling(texts, among)
    return {
        "texts": size,
        "direct_cpu_seconds": round(between - started, 2),
        "direct": int(direct.sum()),
        "cpu_seconds": round(time.process_time() - between, 2),
        "left_out": int(found.sum()),
        "mb_peak": _megabytes(),
    }


def _compare(size: int) -> list[dict[str, Any]]:
    """Kammil's groups beside those of LSH candidates checked by exact containment, one row a method.

    Both start from the different folds: copies need no search.
    """
    texts = texts_of(size)
    datasketch = importlib.import_module("datasketch")
    started = time.perf_counter()
    exact = near_duplicates.groups(texts)
    seconds = time.perf_counter() - started

    started = time.perf_counter()
    numbers: dict[str, int] = {}
    unit = np.array([numbers.setdefault(near_duplicates.key(text), len(numbers)) for text in texts])
    rows = [_row("kammil, exact", seconds, exact, exact, unit, None)]
    length = near_duplicates.SHINGLE
    shingles = [{key[i : i + length] for i in range(max(len(key) - length, 0) + 1)} for key in numbers]
    encoded = ([shingle.encode() for shingle in one] for one in shingles)
    hashes = list(datasketch.MinHash.generator(encoded, num_perm=PERMUTATIONS, seed=1))
    signing = time.perf_counter() - started
    for threshold in THRESHOLDS:
        started = time.perf_counter()
        lsh = datasketch.MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
        root = list(range(len(shingles)))
        candidates = 0
        for number, one in enumerate(hashes):
            for other in lsh.query(one):
                candidates += 1
                if len(shingles[number] & shingles[other]) >= near_duplicates.MIN_SHARE * min(
                    len(shingles[number]), len(shingles[other])
                ):
                    root[_find(root, number)] = _find(root, other)
            lsh.insert(number, one)
        group = np.array([_find(root, number) for number in range(len(root))])[unit]
        seconds = signing + time.perf_counter() - started
        rows.append(_row(f"MinHash LSH, Jaccard {threshold}", seconds, group, exact, unit, candidates))
    return rows


def _find(root: list[int], node: int) -> int:
    """The representative of a node, paths halved on the way."""
    while root[node] != node:
        root[node] = root[root[node]]
        node = root[node]
    return node


def _row(method: str, seconds: float, group: Any, exact: Any, unit: Any, candidates: int | None) -> dict[str, Any]:
    """`joins_found`: of the joins that make the exact groups out of different folds, the share that was made."""
    folds, groups = np.unique(unit).size, np.unique(group).size
    return {
        "method": method,
        "seconds": round(seconds, 1),
        "folds": folds,
        "groups": groups,
        "joins_found": round((folds - groups) / (folds - np.unique(exact).size), 4),
        "candidates": candidates,
    }


if __name__ == "__main__":
    main()
