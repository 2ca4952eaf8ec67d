"""Keystrokes that a keyboard with a word list saves, against the model that the list was exported from.

A simulated writer (`kammil.evaluation.keystrokes`) types texts with lists of one, three and five words: those of the
model as it shows them, those of the model with nothing corrected, and those of a *list keyboard*, which ranks the words
of a `words.combined` that begin as typed by their frequency, or by that behind the word before, where the file has it.
Covered: share of the texts' words that are among the first 10,000, 30,000 and 100,000 of the file.

Printed and written to words.json: shares in per cent with 95 % intervals.
Run: `kammil export levantine --format words`, then `python benchmarks/words.py levantine-words/words.combined FILE`:
texts, such as recipes/messages/held-out/talk.txt, or tables with a column `text` (a minute of one core for 200 texts).
`--model ""` types with the list alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import kammil
from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.data import sources
from kammil.evaluation.bootstrap import Statistic, estimates, quotient
from kammil.evaluation.keystrokes import WIDTHS, Help, keystrokes_saved, type_texts
from kammil.evaluation.suggestion_hits import SuggestionHits, suggestion_hits
from kammil.text import TextRules, keys_saved, open_word, words

SIZES = (10_000, 30_000, 100_000)
RESULTS = Path(__file__).with_suffix(".json")
MOST = max(WIDTHS)


class ListKeyboard:
    """The words of a `.combined` file, offensive ones left out."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.frequencies: dict[str, int] = {}
        self.bigrams: dict[str, dict[str, int]] = {}
        word = ""
        for line in lines[1:]:
            fields = dict(field.strip().split("=", 1) for field in line.strip().split(","))
            if "bigram" in fields:
                self.bigrams.setdefault(word, {})[fields["bigram"]] = int(fields["f"])
            elif fields.get("possibly_offensive") != "true":
                word = fields["word"]
                self.frequencies[word] = int(fields["f"])
        self._best: dict[str, list[str]] = {}
        for word in sorted(self.frequencies, key=lambda word: -self.frequencies[word]):
            for end in range(len(word)):
                best = self._best.setdefault(word[:end], [])
                if len(best) < MOST:
                    best.append(word)

    def suggest(self, before: str, begun: str) -> list[str]:
        """Return up to `MOST` words that go on from what is begun, best first."""
        ranks = {word: self.frequencies[word] for word in self._best.get(begun, ())}
        behind = self.bigrams.get(before, {})
        ranks |= {word: f for word, f in behind.items() if word.startswith(begun) and word != begun}
        return sorted(ranks, key=lambda word: -ranks[word])[:MOST]

    def hits(self, text: str) -> SuggestionHits:
        """Return what it shows at each position of a text."""
        hits, ends, shown = SuggestionHits(len(text) + 1, MOST), {end for _, end in words(text)}, dict[str, int]()
        for t in range(len(text) + 1):
            begun = open_word(text[:t])
            spans = words(text[: t - len(begun)])
            before = text[slice(*spans[-1])] if spans and text[spans[-1][1] : t - len(begun)] == " " else ""
            suggested = [word[len(begun) :] for word in self.suggest(before, begun)]
            for j, added in enumerate(suggested):
                hits.probabilities[t, j], hits.ends[t, j] = 1.0, t + len(added)
                hits.right[t, j] = t < len(text) and text.startswith(added, t) and t + len(added) in ends
                hits.lengths[t, j], hits.saved[t, j] = len(added), keys_saved(added)
                hits.earlier[t, j] = shown.get(text[:t] + added, MOST)
            shown = {text[:t] + added: j for j, added in enumerate(suggested)}
        return hits


def main() -> None:
    """Type, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("list", type=Path, help="a file words.combined")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--model", default="levantine")
    parser.add_argument("--texts", type=int, default=200, help="texts of each file, evenly spread")
    named = parser.parse_args()
    keyboard = ListKeyboard(named.list.read_text("utf-8").splitlines())
    model = kammil.load(named.model) if named.model else None
    results = {"texts": named.texts, "words": len(keyboard.frequencies)}
    for file in named.files:
        column = "text" if Path(file).suffix in (".tsv", ".csv") else None
        rules = TextRules() if model is None else model.rules
        every = [text for text in map(rules.normalise, sources.texts(file, column=column)) if text]
        results[Path(file).name] = found = figures(keyboard, model, every, named.texts)
        print(Path(file).name, json.dumps(found, indent=1))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def figures(keyboard: ListKeyboard, model: Completer | None, texts: Sequence[str], most: int) -> dict[str, Any]:
    """Return the shares of words covered, and of keys saved by each list."""
    wanted = [text[begin:end] for text in texts for begin, end in words(text) if text[begin:end].isalpha()]
    by_rank = sorted(keyboard.frequencies, key=lambda word: -keyboard.frequencies[word])
    covered = {str(size): round(100 * float(np.isin(wanted, by_rank[:size]).mean()), 1) for size in SIZES}
    drawn = [texts[i * len(texts) // most] for i in range(most)] if most < len(texts) else list(texts)
    shown = {"word list": [keyboard.hits(text) for text in drawn]}
    if model is not None:
        for name, channel in (("model, nothing corrected", None), ("model", Channel.of(model.vocabulary))):
            shown[name] = suggestion_hits(
                model.language_model,
                model.vocabulary,
                drawn,
                MOST,
                MIN_PROBABILITY,
                channel=channel,
                refusals=model.refusals(),
                openings=model.openings,
            ).texts
    return {"covered": covered} | {name: saved(drawn, hits) for name, hits in shown.items()}


def saved(texts: Sequence[str], hits: Sequence[SuggestionHits]) -> Mapping[str, Sequence[float]]:
    """Return the share of keys saved by lists of each width: value, low, high."""
    columns = [keystrokes_saved(type_texts(texts, [Help.lists(each, width) for each in hits])) for width in WIDTHS]
    found = [each.interval() for each in estimates([Statistic(column, quotient) for column in columns])]
    return {
        str(width): [round(100 * share, 1) for share in (one.value, one.low, one.high) if share is not None]
        for width, one in zip(WIDTHS, found, strict=True)
        if one is not None
    }


if __name__ == "__main__":
    main()
