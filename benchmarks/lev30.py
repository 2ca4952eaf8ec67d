"""The fixed benchmark: every family on the leak-free lev30 split of arsentd-lev.

First track, raw tweets: trained on lev30/train + lev30/train_other alone, chosen on validation, test read once for each
model that is published. Second track: a finished model, such as the bundled one, on the tweets as it normalises them;
what that is worth says a blend that was trained and tested on normalised tweets.
Run: `python benchmarks/lev30.py [NAME ...] [--model FOLDER]` (needs arsentd-lev; 5 to 10 minutes a network, 2 cores).
What is named is measured anew, the rest of lev30.json stays.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import kammil
from kammil.completion.scoring import TokenScores, score_texts
from kammil.data import sources
from kammil.evaluation.metrics import TARGET, Metrics, estimated, metric_columns, normalised_texts
from kammil.language_model import AdaptiveModel

RUNS: dict[str, dict[str, Any]] = {
    "ngram": {"model": "ngram", "raw": True},
    "gru": {"model": "gru", "raw": True, "minutes": 5},
    "words": {"model": "words", "raw": True, "minutes": 5},
    "subwords": {"model": "subwords", "raw": True, "minutes": 5},
    "attention": {"model": "attention", "raw": True, "minutes": 5},
    "transformer": {"model": "transformer", "raw": True, "minutes": 5},
    "blend": {"model": "blend", "raw": True, "minutes": 10},
    "blend-1": {"model": "blend", "raw": True, "minutes": 10, "networks": 1},
    "blend-normalised": {"model": "blend", "minutes": 10, "networks": 1},
}
"""Options of `kammil.train`, by name: what a user gets who gives the same and nothing else. The minutes of a blend buy
members, as many as there are cores for: two on one core, four on two (`kammil.models.blend.model`)."""
RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Measure what is named, and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*RUNS, []], metavar="NAME", help=", ".join(RUNS))
    parser.add_argument("--model", type=Path, help="a model folder, for the second track")
    named = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    results["cores"] = len(os.sched_getaffinity(0))
    results["texts"] = {part: len(sources.texts(f"lev30/{part}")) for part in sources.PARTS}
    if named.model is not None:
        results["finished"] = results.get("finished", {}) | {named.model.name: _finished(named.model)}
    for name in named.names or ([] if named.model is not None else RUNS):
        results[name] = _trained(name, results)
        _say(name, results[name])
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def _trained(name: str, results: dict[str, Any]) -> dict[str, Any]:
    """A model of the first track."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / name
        started = time.monotonic()
        trained = kammil.train(
            "lev30/train+lev30/train_other",
            validation="lev30/validation",
            out=out,
            **RUNS[name],
        )
        took = time.monotonic() - started
        model = kammil.load(out)
        assert model.model is not None
        evaluation = kammil.evaluate(model, sources.texts("lev30/test"))
        online = (
            {"online": _online(model, sources.texts("lev30/test"))}
            if isinstance(model.language_model, AdaptiveModel)
            else {}
        )
        if RUNS[name].get("raw"):
            results["baselines"] = {which: _flat(figures) for which, figures in evaluation.baselines.items()}
        return {
            "settings": model.model.description.settings,
            "training_seconds": model.model.metrics["training_seconds"],
            "whole_seconds": round(took, 1),
            "epochs": len(trained.history),
            "history": [[round(e["elapsed"], 1), round(e["validation_bits"], 4)] for e in trained.history],
            "bytes": sum(f.stat().st_size for f in out.iterdir()),
            "validation": _flat(trained.evaluation.model),
            "test": _flat(evaluation.model),
        } | online


def _online(model: kammil.Completer, texts: list[str]) -> dict[str, tuple[float, float, float]]:
    """The test texts in the order of the file, each learnt once it has been predicted, as a compressor does."""
    seen = normalised_texts(model, texts)
    traces: list[TokenScores] = []
    for text in seen:
        traces += score_texts(model.language_model, model.vocabulary, [text])
        model.learn(text)
    for text in seen:
        model.forget(text)
    nothing = [np.zeros(0, np.int64)] * len(seen)  # no completion is written here
    figures = _flat(estimated(metric_columns(traces, nothing, model.vocabulary, seen, TARGET)))
    completed = ("free_running", "first_word", "whole_target", "right_prefix", "chrf", "bleu")
    return {name: figure for name, figure in figures.items() if name not in completed}


def _finished(folder: Path) -> dict[str, Any]:
    """A finished model on the second track."""
    model = kammil.load(folder)
    evaluation = kammil.evaluate(model, sources.texts("lev30/test"))
    result = {
        "bytes": sum(f.stat().st_size for f in folder.iterdir()),
        "seen_texts": evaluation.seen_texts,
        "validation": _flat(kammil.evaluate(model, sources.texts("lev30/validation")).model),
        "test": _flat(evaluation.model),
        "online": _online(model, sources.texts("lev30/test")),
    }
    _say(folder.name, result)
    return result


def _say(name: str, result: dict[str, Any]) -> None:
    """One line."""
    test = result["test"]
    bits, right, whole = (
        test[key][0] for key in ("target_bits_per_character", "target_top1", "bits_per_character_with_end")
    )
    seconds = f", {result['training_seconds']:.1f} s" if "training_seconds" in result else ""
    online = f", online {result['online']['bits_per_character_with_end'][0]:.3f}" if "online" in result else ""
    print(f"{name}: {bits:.3f} bits a target character, {100 * right:.1f} % right, {whole:.3f} whole{online}{seconds}")


def _flat(figures: Metrics) -> dict[str, tuple[float, float, float]]:
    """Value and interval of each figure, rounded to what is known."""
    return {
        name: (round(figure.value, 4), round(figure.low, 4), round(figure.high, 4))
        for name, figure in vars(figures).items()
        if figure is not None
    }


if __name__ == "__main__":
    main()
