"""Ways of decoding, measured: the choice behind the presets of `kammil.decoding`.

The bundled model completes the first halves of the 64 tweets of lev30/validation by 30 characters; ways that draw do
so 8 times for each. What is measured of the completions:

- right: characters that stand where the true ones do, %; chrF against the truth; first: the word at the seam is
  finished exactly, %;
- real: whole words that somebody wrote in one of 105,000 texts (shami, atsad, arsarcasm-v2, lev30/train), %: what
  sampling too far from the model loses first;
- distinct: different pairs of words among all pairs, over one completion of each tweet, %; loops: characters that end a
  run of 6 which the completion held before, %;
- seen: completions that stand in the training texts, %; bits: a character's mean cost under the model.

The truth itself stands in the first row. Eta sampling is measured here and not offered (`RIVALS`).
Times are those of the processor, the least of several calls, taken turn by turn.
Run: `python benchmarks/decoding.py [WAY ...]` (needs the data sets named; 15 minutes on one core). What is named is
measured anew, the rest of decoding.json stays.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np

import kammil
from kammil.completion.completer import Completer, Completion
from kammil.data import sources
from kammil.data.bloom import BloomFilter
from kammil.decoding.filters import LogWeights, log_softmax
from kammil.decoding.options import PRESETS, DecodingOptions, Options
from kammil.evaluation import text_overlap
from kammil.evaluation.bootstrap import Statistic, estimates, quotient
from kammil.evaluation.metrics import TARGET, half

DRAWS = 8
RUN = 6
COLUMNS = ("right", "chrf", "first", "real", "distinct", "loops", "seen", "bits")


def eta(epsilon: float) -> Callable[[LogWeights], LogWeights]:
    """Eta sampling (Hewitt et al. 2022): no id below a bound that falls with the entropy."""

    def apply(rows: LogWeights) -> LogWeights:
        log_p = log_softmax(rows)
        entropy = -(np.exp(log_p) * np.where(np.isfinite(log_p), log_p, 0)).sum(-1, keepdims=True)
        bound = np.minimum(epsilon, np.sqrt(epsilon) * np.exp(-entropy))
        return np.where((np.exp(log_p) >= bound) | (rows == rows.max(-1, keepdims=True)), rows, -np.inf)

    return apply


RIVALS: dict[str, Callable[[LogWeights], LogWeights]] = {
    **{f"eta {epsilon}": eta(epsilon) for epsilon in (0.003, 0.01, 0.03, 0.1)},
}
"""Filters that take the place of all others, at temperature 1."""

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    **{f"best of {n}, t {t}": {"best_of": n, "temperature": t} for t in (0.5, 0.7) for n in (4, 16)},
    **{f"t {t}": {"temperature": t} for t in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)},
    **{f"top-p {p}": {"temperature": 1, "top_p": p} for p in (0.5, 0.7, 0.8, 0.9, 0.95)},
    **{f"min-p {p}": {"temperature": 1, "min_p": p} for p in (0.02, 0.05, 0.1, 0.2, 0.3)},
    **{f"top-k {k}": {"temperature": 1, "top_k": k} for k in (3, 5, 10)},
    **{f"t {t}, min-p {p}": {"temperature": t, "min_p": p} for t in (0.7, 0.85) for p in (0.05, 0.1)},
    **{f"t {t}, top-p {p}": {"temperature": t, "top_p": p} for t in (0.7, 0.85) for p in (0.9,)},
    **{f"greedy, repetition {r}": {"temperature": 0, "repetition_penalty": r} for r in (1.05, 1.2, 1.5)},
    **{f"greedy, frequency {f}": {"temperature": 0, "frequency_penalty": f} for f in (0.1, 0.3)},
    **{f"greedy, presence {f}": {"temperature": 0, "presence_penalty": f} for f in (0.2, 0.5, 0.7, 1.0)},
    **{
        f"t {t}, frequency {f}": {"temperature": t, "frequency_penalty": f}
        for t, f in ((0.7, 0.1), (0.7, 0.3), (0.8, 0.3), (0.8, 0.6), (0.9, 0.3))
    },
    **{
        f"t {t}, presence {f}": {"temperature": t, "presence_penalty": f}
        for t, f in ((0.7, 0.2), (0.7, 0.5), (0.8, 0.5))
    },
    **{f"typical {p}": {"temperature": 1, "typical_p": p} for p in (0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)},
    **{f"t {t}, typical {p}": {"temperature": t, "typical_p": p} for t in (0.7, 0.85) for p in (0.2, 0.5)},
    **{f"greedy, no copy {k}": {"temperature": 0, "no_copy": k} for k in (12, 16, 20)},
}


RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Measure what is named, print one line for each."""
    ways = {**WAYS, **{f"preset {name}": {"preset": name} for name in PRESETS}}
    every = ["truth", *ways, *RIVALS, "times"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ways", nargs="*", choices=[*every, []], metavar="WAY")
    named = parser.parse_args().ways or every
    results: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {"ways": {}}
    model = kammil.load()
    texts = [text for text in (model.normalise(t).rstrip() for t in sources.texts("lev30/validation")) if text]
    results |= {"texts": len(texts), "draws": DRAWS}
    print(f"{'':<24}" + "".join(f"{name:>9}" for name in COLUMNS))
    for name in named:
        if name == "times":
            results["milliseconds"] = _times(model, [text[: half(text)] for text in texts[::4]])
            print(results["milliseconds"])
        else:
            if name == "truth":
                made = [[_truth(model, text)] for text in texts]
            else:
                made = _written(model, texts, name, ways.get(name, {"temperature": 1}))
            results["ways"][name] = row = _figures(model, texts, made)
            print(f"{name:<24}" + "".join(f"{row[c][0]:>9.2f}" for c in COLUMNS), flush=True)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _written(model: Completer, texts: Sequence[str], name: str, asked: dict[str, Any]) -> list[list[Completion]]:
    """The completions of each text."""
    options = cast(Options, {"length": TARGET, **asked})
    decoding = DecodingOptions.of(**options)
    draws = 1 if decoding.temperature == 0 or decoding.best_of > 1 else DRAWS
    rival = patch("kammil.decoding.sampling.filters", _instead(RIVALS[name])) if name in RIVALS else None
    with rival or contextlib.nullcontext():
        return [model.samples(text[: half(text)], draws, **options) for text in texts]


def _instead(
    rival: Callable[[LogWeights], LogWeights],
) -> Callable[[DecodingOptions], list[Callable[[LogWeights], LogWeights]]]:
    return lambda options: [rival]  # noqa: ARG005


def _times(model: Completer, prompts: Sequence[str]) -> dict[str, float]:
    """Milliseconds of one completion, the prompt read before: the median over prompts of the least of 5 calls.

    The processor's time, which other programs lengthen less than the clock's.
    """
    named = ("greedy", "t 0.7", "best of 4, t 0.7", "greedy, no copy 16")
    chosen: dict[str, dict[str, Any]] = {name: WAYS[name] for name in named}
    chosen |= {f"preset {name}": {"preset": name} for name in PRESETS}
    least = {name: [float("inf")] * len(prompts) for name in chosen}
    for i, prompt in enumerate(prompts):
        for _ in range(5):
            for name in chosen:
                fresh = model.with_own_cache()  # what was written would be found again
                fresh.after(prompt)
                began = time.process_time()
                fresh.complete(prompt, **cast(Options, {"length": TARGET, **chosen[name]}))
                least[name][i] = min(least[name][i], time.process_time() - began)
    return {name: round(1000 * statistics.median(seconds), 1) for name, seconds in least.items()}


def _truth(model: Completer, text: str) -> Completion:
    prompt = text[: half(text)]
    score = model.score(text[half(text) :], prompt)
    return Completion(prompt, text[half(text) :][:TARGET], "length", score.bits[:TARGET])


def _figures(model: Completer, texts: Sequence[str], made: Sequence[Sequence[Completion]]) -> dict[str, Any]:
    """Figure and 95 % interval over texts, by name."""
    assert model.model is not None
    seen, known = BloomFilter(model.model.seen), _words()
    pairs: dict[str, list[list[float]]] = {name: [] for name in COLUMNS if name not in {"chrf", "distinct"}}
    grams: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    for text, drafts in zip(texts, made, strict=True):
        truth = text[half(text) :][:TARGET]
        whole = [_whole_words(one) for one in drafts]
        for name, above, below in (
            (
                "right",
                sum(a == b for d in drafts for a, b in zip(d.text, truth, strict=False)),
                len(truth) * len(drafts),
            ),
            ("first", sum(_first(d.text) == _first(truth) for d in drafts), len(drafts)),
            ("real", sum(word in known for words in whole for word in words), sum(map(len, whole))),
            ("loops", sum(_loops(d.text) for d in drafts), sum(len(d.text) for d in drafts)),
            ("seen", sum(seen.novelty(d.text, d.prompt) == "seen" for d in drafts), len(drafts)),
            ("bits", sum(sum(d.bits) for d in drafts), sum(len(d.text) for d in drafts)),
        ):
            pairs[name].append([above, below])
        grams.append(text_overlap.chrf_columns([d.text for d in drafts], [truth] * len(drafts)).sum(0))
    columns = [Statistic(np.array(rows, np.float64), quotient) for rows in pairs.values()]
    chrf = Statistic(np.array(grams), text_overlap.chrf)
    figures: dict[str, Any] = {}
    for name, estimate in zip([*pairs, "chrf"], estimates([*columns, chrf]), strict=True):
        figure, scale = estimate.interval(), 1 if name in {"chrf", "bits"} else 100
        if figure is not None:
            figures[name] = [
                None if value is None else round(scale * value, 3) for value in (figure.value, figure.low, figure.high)
            ]
    figures["distinct"] = [
        round(100 * statistics.mean(_distinct([d[i].text for d in made]) for i in range(len(made[0]))), 3)
    ]
    return figures


def _first(text: str) -> str:
    """Up to the first space, and whether there is one: what finishes the word at the seam."""
    return "".join(text.partition(" ")[:2])


def _whole_words(one: Completion) -> list[str]:
    """The words that the completion writes or finishes, without one that the length cuts."""
    begin = one.prompt.rfind(" ") + 1
    words = (one.prompt[begin:] + one.text).split(" ")
    return [word for word in (words[:-1] if one.finish_reason == "length" else words) if word.isalpha()]


def _loops(text: str) -> int:
    """Places that end a run of 6 characters which stood before."""
    return sum(text.find(text[i : i + RUN]) < i for i in range(len(text) - RUN + 1))


def _distinct(texts: Sequence[str]) -> float:
    pairs = [pair for words in map(str.split, texts) for pair in itertools.pairwise(words)]
    return len(set(pairs)) / max(1, len(pairs))


_KNOWN: set[str] = set()


def _words() -> set[str]:
    """Every word that stands in the corpora."""
    if not _KNOWN:
        for name in ("shami", "atsad", "arsarcasm-v2", "lev30/train", "lev30/train_other"):
            for text in sources.texts(name):
                _KNOWN.update(text.split())
    return _KNOWN


if __name__ == "__main__":
    main()
