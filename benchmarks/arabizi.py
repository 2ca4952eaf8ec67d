"""Measure Arabic words for what is typed in Latin letters (`kammil.completion.transliteration`), on pairs kept for it.

Texts of `recipes/arabizi.tsv` are typed in Latin letters, word by word, with a list of three. A list is right where it
holds the Arabic word of the pair, in any spelling that `fold_spelling` makes equal. For each number of letters typed,
and for the whole word: the share of the words whose list is right. A word costs its letters up to the first list that
is right and one key that takes it, else all its letters and a space; *keys saved* is relative to all letters and
spaces, with a 95 % interval over texts. The words before are Arabic, as who takes each word has them, or Latin, as who
takes none. *Article apart*: the same words before in Latin letters, and each article with a space behind it ("el kheir"
for elkheir), of words that have one. *Next words*: the list before the first letter, at all words but the first.

*English*: the sentences of `benchmarks/english.txt`, letter by letter: lists with an Arabic word, behind any letter and
behind whole words.

What it costs: Latin words of texts, typed as they are, whose lists hold them before their last letter, with readings
and without, and how many suggestions a list has; lists behind the space after them that hold the next word, and those
that would replace what stands there; and the time of a key, where Latin is typed and where Arabic is.

Printed and written to arabizi.json.
Run: `python benchmarks/arabizi.py [FILE ...] [--model FOLDER] [--part test]`: FILEs hold texts with Latin words, such
as lev30/validation (two minutes of one core).
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import regex

import kammil
from kammil.completion.begun_word import WordReader
from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.data import sources
from kammil.evaluation.bootstrap import Statistic, estimates, quotient
from kammil.text import fold_spelling

PAIRS = Path(__file__).parent.parent / "recipes" / "arabizi.tsv"
ENGLISH = Path(__file__).parent / "english.txt"
WIDTH = 3
_LATIN = regex.compile(r"(?<![\w@#])\p{Latin}{2,}(?!\w)")
_ARABIC = regex.compile(r"\p{Arabic}")
_WITH_ARTICLE = regex.compile(r"(?:[وفبكعه]?ال|و?لل)(?!ل?[هي]\b)\w{2}")
_ARTICLE = regex.compile(r"(?:[wfbk3hl]?[aei])?l(?=\w{2})")
_NEXT = regex.compile(r" (\w+)")
_FOREIGN_ENDING = regex.compile(r"[\p{Latin}\d]*\p{Latin}[\p{Latin}\d]*")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--model", default="levantine")
    parser.add_argument("--part", default="test")
    options = parser.parse_args()
    model, texts = kammil.load(options.model), pairs(options.part)
    result: dict[str, Any] = {"texts": len(texts), "words": sum(len(text) for text in texts)}
    for context in ("Arabic", "Latin"):
        result[f"{context} before"] = figures = typed(model, texts, arabic_before=context == "Arabic")
        print(f"{context} before:", json.dumps(figures, ensure_ascii=False), flush=True)
    parted = [[(arabic, apart(arabic, latin)) for arabic, latin in text] for text in texts]
    result["article apart"] = figures = typed(model, parted, arabic_before=False, only=lambda latin: " " in latin)
    print("article apart:", json.dumps(figures), flush=True)
    for name, one, before in (
        ("Arabic before", model, True),
        ("Latin before", model, False),
        ("Latin before, without readings", with_readings(model, False), False),
    ):
        result[f"next words, {name}"] = figures = next_words(one, texts, arabic_before=before)
        print(f"next words, {name}:", json.dumps(figures), flush=True)
    result["English"] = figures = english(model, ENGLISH.read_text("utf-8").splitlines())
    print("English:", json.dumps(figures), flush=True)
    if options.files:
        latin = [(text, match) for file in options.files for text, match in latin_words(model, file)]
        result["Latin words"] = len(latin)
        for name, reads in (("with readings", True), ("without", False)):
            one = with_readings(model, reads)
            result[f"Latin words {name}"] = figures = kept(one, latin) | behind(one, latin)
            print(f"Latin words {name}:", json.dumps(figures), flush=True)
    result["milliseconds of a key"] = times = milliseconds(model, texts)
    print(json.dumps(times, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")


def pairs(part: str) -> list[list[tuple[str, str]]]:
    """Return the texts of a part, each as the pairs of its words: Arabic, and as it is typed."""
    with PAIRS.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["part"] == part]
    return [list(zip(row["arabic"].split(), row["arabizi"].split(), strict=True)) for row in rows]


def with_readings(model: Completer, reads: bool) -> Completer:
    """Return the model with Latin letters read as Arabic too, or not."""
    model = model.with_own_cache()
    foreign = model.character_classes.foreign if reads else None
    model.__dict__["word_reader"] = WordReader(Channel.of(model.vocabulary, foreign=foreign), model.character_classes)
    return model


def apart(arabic: str, latin: str) -> str:
    """Return a typed word with a space behind its article, if it has one."""
    found = _ARTICLE.match(latin) if _WITH_ARTICLE.match(arabic) else None
    return latin if found is None else f"{found[0]} {latin[found.end() :]}"


def typed(
    model: Completer,
    texts: Sequence[list[tuple[str, str]]],
    *,
    arabic_before: bool,
    only: Callable[[str], bool] = lambda _latin: True,
) -> dict[str, Any]:
    """Type all texts; return shares of right lists and of the keys saved, of `only` some words."""
    right_after: defaultdict[str, list[bool]] = defaultdict(list)
    keys: list[tuple[int, int]] = []
    for text in texts:
        before, used, alone = "", 0, 0
        for arabic, latin in text:
            before, context = before + (arabic if arabic_before else latin) + " ", before
            if not only(latin):
                continue
            right = [_is_right(model, context, latin[:end], arabic) for end in range(1, len(latin) + 1)]
            for end in range(1, 5):
                right_after[str(end)] += [right[min(end, len(latin)) - 1]]
            right_after["all"].append(right[-1])
            used += right.index(True) + 2 if any(right) else len(latin) + 1
            alone += len(latin) + 1
        keys.append((alone - used, alone))
    (saved,) = estimates([Statistic(np.array(keys, np.float64), quotient)])
    interval = saved.interval()
    return {
        "words": len(right_after["all"]),
        "right after so many letters": {end: float(np.mean(flags)) for end, flags in right_after.items()},
        "keys saved": None if interval is None else asdict(interval),
    }


def next_words(model: Completer, texts: Sequence[list[tuple[str, str]]], *, arabic_before: bool) -> dict[str, float]:
    """Return the share of words that stand in the list before their first letter, and how many such a list holds."""
    right, shown = list[bool](), list[int]()
    for text in texts:
        before = ""
        for i, (arabic, latin) in enumerate(text):
            if i:
                right.append(_is_right(model, before, "", arabic))
                shown.append(len(model.suggest(before, WIDTH)))
            before += (arabic if arabic_before else latin) + " "
    return {"right": float(np.mean(right)), "suggestions": float(np.mean(shown)), "words": len(right)}


def _is_right(model: Completer, before: str, typed: str, wanted: str) -> bool:
    """Whether a list holds a word, whatever stands before it then."""
    found = model.suggest(before + typed, WIDTH)
    return any(fold_spelling(one.appended_to(before + typed).split()[-1]) == fold_spelling(wanted) for one in found)


def english(model: Completer, texts: Sequence[str]) -> dict[str, int]:
    """Type English texts; return numbers of lists, and of those with an Arabic word."""
    figures: dict[str, int] = dict.fromkeys(("lists", "with Arabic", "behind words", "behind words, with Arabic"), 0)
    for text in texts:
        session = model.session()
        for end in range(1, len(text) + 1):
            session.update(text[:end])
            is_arabic = any(_ARABIC.search(one.added) for one in session.suggest(WIDTH))
            behind = end == len(text) or text[end - 1] == " "
            for name, counts in zip(figures, (True, is_arabic, behind, behind and is_arabic), strict=True):
                figures[name] += counts
    return figures


def latin_words(model: Completer, file: str) -> Iterable[tuple[str, regex.Match[str]]]:
    """Yield the Latin words of the texts of a file, each with its text."""
    column = {"column": "text"} if file.endswith((".tsv", ".csv")) else {}
    for text in map(model.normalise, sources.texts(file, **column)):
        for match in _LATIN.finditer(text):
            yield text, match


def kept(model: Completer, latin: Sequence[tuple[str, regex.Match[str]]]) -> dict[str, float]:
    """Return the share of Latin words that a list holds before their last letter, and what the lists hold at all."""
    right, shown, foreign, lists = 0, 0, 0, 0
    for text, match in latin:
        word, before = match[0], text[: match.start()]
        hit = False
        for end in range(1, len(word)):
            found = model.suggest(before + word[:end], WIDTH)
            hit |= any(one.appended_to(before + word[:end]) == before + word for one in found)
            shown += len(found)
            foreign += sum(bool(_FOREIGN_ENDING.fullmatch(one.text)) for one in found)
            lists += 1
        right += hit
    return {"right": right / len(latin), "suggestions": shown / lists, "of them Latin": foreign / lists}


def behind(model: Completer, latin: Sequence[tuple[str, regex.Match[str]]]) -> dict[str, float]:
    """Return how many of the lists behind Latin words and a space hold the next word, and how many would replace."""
    right, replacing, followed = 0, 0, 0
    for text, match in latin:
        if (following := _NEXT.match(text, match.end())) is None:
            continue
        found = model.suggest(text[: match.end()] + " ", WIDTH)
        right += any(one.appended_to("").split()[-1] == following[1] for one in found if one.added)
        replacing += any(one.replaces for one in found)
        followed += 1
    return {"followed": followed, "next word right": right / followed, "replacing": replacing / followed}


def milliseconds(model: Completer, texts: Sequence[list[tuple[str, str]]]) -> dict[str, dict[str, float]]:
    """Median and 99th percentile of a key of either script with three suggestions, with readings and without."""
    both = {"with": with_readings(model, True), "without": with_readings(model, False)}
    taken: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for text in [texts[0], *texts]:
        for script, words in (("Arabic", [a for a, _ in text]), ("Latin", [latin for _, latin in text])):
            line = " ".join(words)
            for name, one in both.items():
                session = one.session()
                for end in range(1, len(line) + 1):
                    began, used = time.perf_counter(), time.thread_time()
                    session.update(line[:end])
                    session.suggest(WIDTH)
                    taken[script, name].append(
                        (1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - used))
                    )
    result: dict[str, dict[str, float]] = {}
    for (script, name), measured in taken.items():
        wall, cpu = np.array(measured).T
        result[f"{script} typed, {name} readings"] = {
            "median": float(np.median(wall)),
            "p99": float(np.quantile(wall, 0.99)),
            "cpu_median": float(np.median(cpu)),
            "cpu_p99": float(np.quantile(cpu, 0.99)),
            "keys": len(wall),
        }
    return result


if __name__ == "__main__":
    main()
