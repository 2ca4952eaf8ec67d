"""A trained folder becomes the bundled model: checked for what it repeats, and described.

Run: `python recipes/bundle.py FOLDER` after `kammil train ... --config recipes/levantine.toml`, with its data sets. It
writes 1,000 samples, looks for the longest piece that any of them shares with the training texts and for anything that
looks like an address or a number of a person, puts the model into src/kammil/pretrained, and writes its card.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import regex

import kammil
from kammil import files
from kammil import model_folder as folders
from kammil.data import datasets, sources
from kammil.evaluation.metrics import half
from kammil.training.recipe import Recipe
from kammil.training.texts import prepare

ROOT = Path(__file__).parent.parent
HERE = ROOT / "src" / "kammil" / "pretrained" / "levantine"
SAMPLES = 1000
LENGTH = 60
RUN = 16
"""Shorter pieces in common are phrases that everybody uses."""
TEXTS = ("arsentd-lev", "shami", "arsarcasm-v2", "atsad")
"""Data sets that the model has learnt from."""
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
    trained: Path = parser.parse_args().folder
    tweets, base = learnt()
    checked = memorised(kammil.load(trained), tweets + base)
    print(json.dumps(checked, ensure_ascii=False, indent=2))
    HERE.parent.mkdir(exist_ok=True)
    shutil.rmtree(HERE, ignore_errors=True)
    shutil.copytree(trained, HERE, ignore=shutil.ignore_patterns("*.png"))
    metrics = json.loads((HERE / folders.METRICS).read_text("utf-8"))
    metrics |= {"memorisation": checked, "licence": "; ".join(f"{datasets.CATALOG[n].licence} ({n})" for n in TEXTS)}
    folders.write_metrics(HERE, metrics)
    files.write_atomic(HERE / folders.CARD, card(HERE, checked, len(base)).encode())
    print(f"{sum(f.stat().st_size for f in HERE.iterdir()) / 1e6:.2f} MB in {HERE.relative_to(ROOT)}")


def learnt() -> tuple[list[str], list[str]]:
    """The tweets of the last stage, and the texts of the stages before, as the model sees them."""
    options = tomllib.loads((ROOT / "recipes" / "levantine.toml").read_text("utf-8"))
    base = dict(options.pop("members")[0]["base"])  # all members read the same texts
    source, validation = base.pop("source"), base.pop("validation")
    parts = prepare(Recipe.of(options), "lev30/train+lev30/train_other", "lev30/validation")
    return list(parts.train), list(prepare(Recipe.of(base), source, validation).train)


def memorised(model: kammil.Completer, texts: list[str]) -> dict[str, Any]:
    """What 1,000 samples share with the training texts, and what looks personal in them."""
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
    """The longest piece of a text that stands in the corpus; at least `RUN` characters, or nothing."""
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
    """A hash of each run of `RUN` characters."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
    value = np.zeros(max(0, len(codes) - RUN + 1), np.uint64)
    for i in range(RUN if len(value) else 0):
        value = (value ^ codes[i : i + len(value)]) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    return value


def card(folder: Path, checked: dict[str, Any], base: int) -> str:
    """The card that training wrote, and what a stranger must know beside it."""
    written = (folder / folders.CARD).read_text("utf-8")
    personal = ", ".join(f"{n} of {checked['samples']:,} held a {name}" for name, n in checked["personal"].items())
    lines = [f"- `{name}`: {datasets.CATALOG[name].licence}. {datasets.CATALOG[name].citation}." for name in TEXTS]
    tried, length = f"{checked['samples']:,}", checked["characters_at_most"]
    longest, median, long = checked["longest_copy"], checked["median_copy"], checked["copies_of_30_or_more"]
    return f"""{written.rstrip()}

## Where its texts come from

{chr(10).join(lines)}

Of the last three, {base:,} texts: one of each group of near-duplicates, and none that shares 30 % of its 15-letter runs
with any text of `arsentd-lev`. A wider rule, which came after this training, finds 32 more that resemble one in another
spelling or wording, three of them one of `lev30/test`. Validation chose the epoch and what the tables leave out.

## Intended use

Suggesting how short Levantine Arabic posts go on, in a compose box or a keyboard, and as a baseline for research. Not
for writing in somebody's name, not for facts, not for deciding about people.

## Known faults

It was raised on tweets about politics, sport and daily anger: it can be rude, partisan and wrong, and it prefers what
is frequent there. Much of what the base read is in other dialects or in standard Arabic; other languages it hardly
knows. It writes text as it was normalised: 🔗 stands for an address and 👤 for a handle.

## What it repeats

{tried} samples of up to {length} characters, half after the first halves of validation texts (temperature 0.7), half
after nothing (1.0): the longest piece that stands in a training text has {longest} characters, the median {median:.0f}
(pieces below {RUN} are not counted); {long} samples hold one of 30 or more. Of things that look personal: {personal}.
"""


if __name__ == "__main__":
    main()
