"""Keystrokes saved in scripts that are written without spaces, by a model that learnt for a minute.

The texts of each file are split at random into training and test texts, so that near-duplicates are never in both; a
model is trained on the first, and a simulated writer types some of the others with its help
(`kammil.evaluation.keystrokes`). Printed and written to unspaced.json, by the name of the file or folder: keys saved by
lists and by ghost text, %, with their intervals; the words, in scripts without spaces letters, that were accepted and
not typed; the keys saved if a Han letter took more than one; the ceiling; the share of the positions where something is
shown, and of those where it is right; model steps a list. The minutes are by the clock: where other programs have the
processor, less is learnt.
Run: `python benchmarks/unspaced.py PATH [PATH ...] [--minutes 1] [--texts 300]`. A path is a file that `kammil train`
reads, the NUS SMS corpus (https://github.com/kite1988/nus-sms-corpus, its XML or the ZIP file that holds it), or a
folder of compiled translations (.mo), as Django, Babel and Sphinx ship them. Named paths are measured anew, the rest of
unspaced.json stays.
"""

from __future__ import annotations

import argparse
import gettext
import io
import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import regex

import kammil
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.data import sources, splits
from kammil.evaluation.keystrokes import Help, type_texts
from kammil.evaluation.suggestion_hits import suggestion_hits
from kammil.evaluation.typing_report import Savings, TypingReport, simulate

TEST = 0.1
KEYS_OF_HAN = (1, 2, 3)
RESULTS = Path(__file__).with_suffix(".json")
_HAN = regex.compile(r"\p{Script=Han}")
_FORMATTING = regex.compile(r"[%{<&]")
"""Messages with placeholders or markup, which nobody types."""


def main() -> None:
    """Train, type, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", metavar="PATH", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--texts", type=int, default=300, help="most texts that are typed")
    parser.add_argument("--model", choices=("ngram", "gru", "blend"), help="family; without it as `kammil train`")
    named = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for path in named.paths:
        texts = read(path)
        split = splits.split(texts, validation=TEST)
        train, test = ([texts[i] for i in part] for part in (split.train, split.validation))
        options: dict[str, Any] = {"model": named.model} if named.model else {}
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "model"
            kammil.train(train, out=out, minutes=named.minutes, **options)
            model = kammil.load(out)
            report = simulate(model, test, max_texts=named.texts)
            chosen = [model.normalise(text) for text in test[:: max(1, len(test) // named.texts)]]
            spelled = with_input_method(model, [text for text in chosen if text])
            family = model.model.description.family if model.model else ""
        results[path.stem] = figures(report) | {
            "input method": spelled,
            "family": family,
            "minutes": named.minutes,
            "trained on": len(train),
        }
        print(path.stem, json.dumps(results[path.stem], indent=1))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def read(path: Path) -> list[str]:
    """Return the texts of a path."""
    if path.is_dir():
        return _catalogues(path)
    if path.suffix in (".xml", ".zip"):
        return _messages(path)
    return list(sources.texts(str(path)))


def _messages(path: Path) -> list[str]:
    """Return the messages of the NUS SMS corpus."""
    content = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(next(name for name in archive.namelist() if name.endswith(".xml")))
    messages = (message.findtext("text") or "" for message in ElementTree.fromstring(content).iter("message"))
    return [text for text in (message.strip() for message in messages) if text]


def _catalogues(folder: Path) -> list[str]:
    """Return the translations in all catalogues of a folder that no program fills in."""
    found: dict[str, None] = {}
    for file in sorted(folder.rglob("*.mo")):
        with file.open("rb") as opened:
            catalogue = gettext.GNUTranslations(opened)
        # The standard library has no public way to list what a catalogue holds.
        entries: dict[str | tuple[str, int], str] = catalogue._catalog  # pyright: ignore[reportAttributeAccessIssue]
        found |= {text: None for key, text in entries.items() if key and not _FORMATTING.search(text)}
    return [text for text in found if text.strip()]


def with_input_method(model: kammil.Completer, texts: Sequence[str]) -> dict[int, float]:
    """Return the keys saved by lists of five, %, if an input method spells each Han letter with one, two or three keys;
    the simulator itself counts one."""
    hits = suggestion_hits(model.language_model, model.vocabulary, texts, 5, MIN_PROBABILITY).texts
    spelled, saved = Counter[int](), dict.fromkeys(KEYS_OF_HAN, 0.0)
    for text, help in zip(texts, (Help.lists(each, 5) for each in hits), strict=True):
        (run,) = type_texts([text], [help])
        han = len(_HAN.findall(text))
        accepted = han * run[10] / max(1, run[4])  # as many of them as of all letters and words
        for keys in KEYS_OF_HAN:
            spelled[keys] += len(text) + (keys - 1) * han
            saved[keys] += len(text) - run[0] + (keys - 1) * accepted
    return {keys: round(100 * saved[keys] / max(1, spelled[keys]), 1) for keys in KEYS_OF_HAN}


def figures(report: TypingReport) -> dict[str, Any]:
    """Return what is printed and kept of a report."""

    def of(savings: Savings) -> dict[str, Any]:
        kept = {"keys": savings.keystrokes, "words": savings.words, "shown": savings.shown, "right": savings.right}
        return {
            name: [round(100 * x, 1) for x in (figure.value, figure.low, figure.high) if x is not None]
            for name, figure in kept.items()
            if figure is not None
        }

    return {
        "texts": report.texts,
        "characters": report.characters,
        "ceiling": round(100 * report.ceiling.value, 1) if report.ceiling else None,
        "lists": {width: of(savings) for width, savings in report.model.lists.items()},
        "ghosts": {level: of(savings) for level, savings in report.model.ghosts.items()},
        "steps": round(report.model.steps, 2),
        "proven": round(100 * report.model.proven, 1),
    }


if __name__ == "__main__":
    main()
