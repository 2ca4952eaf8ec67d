"""A trained folder becomes a bundled model: checked for what it repeats, and described.

Run: `python recipes/bundle.py FOLDER NAME TABLE ...` after the trainings that recipes/NAME.toml describes. The tables
are those of `recipes/gather.py` that the model has learnt from. The script writes 1,000 samples, looks for the longest
piece that any of them shares with the training texts and for anything that looks like an address or a number of a
person, puts the model in its place, and writes its card.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import regex

import kammil
from corpora import described
from kammil import model_folder as folders
from kammil import storage
from kammil.data import bloom, datasets, sources
from kammil.data.blocklist import is_offensive
from kammil.evaluation.metrics import half

ROOT = Path(__file__).parent.parent
PLACES = {
    "levantine": ROOT / "src" / "kammil" / "pretrained" / "levantine",
    "levantine-all": ROOT / "models" / "levantine-all" / "kammil_levantine_all",
}
SAMPLES = 1000
LENGTH = 60
RUN = 16
"""Shorter pieces in common are phrases that everybody uses."""
ADVICE = {
    "levantine": "Take it, and ship it if you like: the terms of all its texts are open, and in messages it saves the\n"
    "most keystrokes. In reviews, comments and tweets `levantine-all` saves more.",
    "levantine-all": "Take it for reviews, comments and tweets of your own or for research: nothing is stated of the\n"
    "terms of many of its texts, so ship `levantine` instead, which saves more keystrokes in messages.",
}
"""Which of the models to take."""
PERSONAL = {
    "handle": r"[@＠]\w+",
    "web address": r"(?:https?://|www\.)\S+|\b[\w-]+\.(?:com|net|org|ly|gl|me)\b",
    "e-mail address": r"[\w.+-]+@[\w-]+\.\w+",
    "phone number": r"\+?(?:\d[\s-]?){7,}",
}


def main() -> None:
    """Check, copy, describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", choices=list(PLACES))
    parser.add_argument("tables", type=Path, nargs="+")
    given = parser.parse_args()
    rows = list(dict.fromkeys(row for table in given.tables for row in read(table)))
    checked = memorised(kammil.load(given.folder), [text for _, text in rows])
    print(json.dumps(checked, ensure_ascii=False, indent=2))
    here = PLACES[given.name]
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(given.folder, here, ignore=shutil.ignore_patterns("*.png", folders.EVENTS))
    terms = sorted({described(source).terms for source, _ in rows})
    metrics = json.loads((here / folders.METRICS).read_text("utf-8"))
    metrics |= {
        folders.STOCK_PHRASES: True,
        "memorisation": checked,
        "licence": f"texts of {', '.join(terms)} terms, listed in its README.md",
    }
    folders.write_metrics(here, metrics)
    folders.write_arrays(here / folders.SEEN, bloom.build([text for _, text in rows]))  # smaller than with the base's
    storage.write_atomic(here / folders.CARD, card(here, checked, rows, ADVICE[given.name]).encode())
    print(f"{sum(f.stat().st_size for f in here.iterdir()) / 1e6:.2f} MB in {here.relative_to(ROOT)}")


def read(table: Path) -> list[tuple[str, str]]:
    """Return source and text of each row of a table."""
    with table.open(encoding="utf-8", newline="") as file:
        return [(row["source"], row["text"]) for row in csv.DictReader(file, delimiter="\t")]


def memorised(model: kammil.Completer, texts: list[str]) -> dict[str, Any]:
    """Measure what 1,000 samples share with the training texts, and what looks personal in them."""
    halves = [text[: half(text)] for text in sources.texts("lev30/validation")]
    prompts = [halves[i % len(halves)] if i % 2 else "" for i in range(SAMPLES)]
    written = [
        model.complete(prompt, length=LENGTH, temperature=0.7 if prompt else 1.0, seed=i).text
        for i, prompt in enumerate(prompts)
    ]
    corpus = "\n".join(texts)
    known = np.unique(hashed(corpus))
    longest = [copied(text, corpus, known) for text in written]
    found = {name: sum(bool(regex.search(pattern, text)) for text in written) for name, pattern in PERSONAL.items()}
    lengths = np.array([len(piece) for piece in longest])
    return {
        "samples": SAMPLES,
        "characters_at_most": LENGTH,
        "longest_copy": int(lengths.max()),
        "longest_copies": sorted(set(longest), key=len)[-3:],
        "median_copy": float(np.median(lengths)),
        "copies_of_30_or_more": int((lengths >= 30).sum()),
        "personal": found,
    }


def copied(text: str, corpus: str, known: np.ndarray) -> str:
    """Return the longest piece of a text that stands in the corpus; at least `RUN` characters, or nothing."""
    runs = hashed(text)
    hits = known[np.searchsorted(known, runs).clip(max=len(known) - 1)] == runs
    best = ""
    begin = 0
    for i, hit in enumerate([*hits.tolist(), False]):
        if hit:
            continue
        piece = text[begin : i + RUN - 1]
        while len(piece) >= RUN and len(piece) > len(best):
            if piece in corpus:
                best = piece
            piece = piece[:-1]
        begin = i + 1
    return best


def hashed(text: str) -> np.ndarray:
    """Return a hash of each run of `RUN` characters."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
    value = np.zeros(max(0, len(codes) - RUN + 1), np.uint64)
    for i in range(RUN if len(value) else 0):
        value = (value ^ codes[i : i + len(value)]) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    return value


def origins(characters: Counter[str]) -> str:
    """Return the sources of a model as a table, by the number of their characters."""
    lines = [
        "| source | characters | dialect | terms | licence, as stated | repository on GitHub |",
        "|---|---|---|---|---|---|",
    ]
    for name, n in characters.most_common():
        source = described(name)
        place = source.repository + (f" @{source.commit[:12]}" if source.commit else "")
        lines.append(f"| {name} | {n:,} | {source.dialect} | {source.terms} | {source.licence} | {place} |")
    return "\n".join(lines)


def card(folder: Path, checked: dict[str, Any], rows: list[tuple[str, str]], advice: str) -> str:
    """Return the card that training wrote, and what a stranger must know beside it: `advice` says when to take it."""
    written = (folder / folders.CARD).read_text("utf-8")
    personal = ", ".join(
        f"{n} of {checked['samples']:,} held {'an' if name[0] in 'aeiou' else 'a'} {name}"
        for name, n in checked["personal"].items()
    )
    characters: Counter[str] = Counter()
    dialects: Counter[str] = Counter()
    for source, text in rows:
        characters[source] += len(text)
        dialects[described(source).dialect] += len(text)
    total = characters.total()
    cited = [f"- `{name}`: {d.licence}. {d.citation}." for name, d in datasets.CATALOG.items() if name in characters]
    shares = ", ".join(f"{name} {100 * n / total:.0f} %" for name, n in dialects.most_common())
    flagged = sum(is_offensive(text) for _, text in rows)
    tried, length = f"{checked['samples']:,}", checked["characters_at_most"]
    held = "sample holds" if checked["copies_of_30_or_more"] == 1 else "samples hold"
    longest, median, long = checked["longest_copy"], checked["median_copy"], checked["copies_of_30_or_more"]
    return f"""{written.rstrip()}

## Where its texts come from

{len(rows):,} texts, {total:,} characters: {shares}. Texts that resemble a validation or test text of the benchmarks,
near-duplicates (but for messages of frames, which have their halves in common), and texts with the commonest insults
were left out; {flagged:,} still hold a word of the list of offensive words. Where terms are unstated, the texts are
public for research and nothing is stated for the data itself;
none of the terms clears the rights of those who wrote the texts. `recipes/gather.py`
says what was taken of each repository; an empty cell: none is stated, or none was noted.

{origins(characters)}

{chr(10).join(cited)}

## Intended use

Suggesting how short Levantine Arabic posts go on, in a compose box or a keyboard, and as a baseline for research. Not
for writing in somebody's name, not for facts, not for deciding about people.

{advice}

## Known faults

It learnt from reviews, comments and tweets of 2010 to 2021 and from messages of daily life that language models
wrote for it: it can be rude, partisan and wrong, and it prefers what is frequent there. Much of what
it read is in other dialects or in standard Arabic, and it mixes them; other languages it hardly knows. A completion of
30 characters often loses its thread. It writes text as it was normalised: 🔗 stands for an address and 👤 for a handle.

## What it repeats

{tried} samples of up to {length} characters, half after the first halves of validation texts (temperature 0.7), half
after nothing (1.0): the longest piece that stands in a training text has {longest} characters, the median {median:.0f}
(pieces below {RUN} are not counted); {long} {held} one of 30 or more. Of things that look personal: {personal}.
"""


if __name__ == "__main__":
    main()
