"""The fixed benchmark: counter and GRU on the leak-free lev30 split of arsentd-lev, raw tweets.

Trains on train + train_other, chooses on validation, reads test once. lev30.split.json names the rows of the data set.
Run: `python benchmarks/lev30.py` (needs arsentd-lev; about 6 minutes on 2 cores). Writes lev30.json.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import kammil
from kammil.corpus import sources
from kammil.evaluation.metrics import Figures

RUNS: dict[str, dict[str, Any]] = {"ngram": {}, "gru": {"minutes": 5}}


def main() -> None:
    """Train each family once and print one line for each."""
    split = json.loads(Path(__file__).with_suffix(".split.json").read_text("utf-8"))
    rows = sources.rows(split["dataset"]).texts
    parts = {name: [rows[i] for i in split[name]] for name in ("train", "train_other", "validation", "test")}
    results: dict[str, Any] = {"cores": os.cpu_count(), "texts": {name: len(part) for name, part in parts.items()}}
    for name, options in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / name
            started = time.monotonic()
            trained = kammil.train(
                parts["train"] + parts["train_other"],
                validation=parts["validation"],
                out=out,
                model=name,
                raw=True,
                **options,
            )
            took = time.monotonic() - started
            model = kammil.load(out)
            assert model.model is not None
            evaluation = kammil.evaluate(model, parts["test"])
            results[name] = {
                "settings": model.model.description.settings,
                "training_seconds": model.model.metrics["training_seconds"],
                "whole_seconds": round(took, 1),
                "epochs": len(trained.history),
                "bytes": sum(f.stat().st_size for f in out.iterdir()),
                "validation": _flat(trained.evaluation.model),
                "test": _flat(evaluation.model),
            }
            results["baselines"] = {k: _flat(v) for k, v in evaluation.baselines.items()}
            figures, seconds = results[name]["test"], results[name]["training_seconds"]
            bits, right = figures["target_bits_per_character"][0], 100 * figures["target_top1"][0]
            whole = figures["bits_per_character_with_end"][0]
            print(
                f"{name}: {bits:.3f} bits a target character, {right:.1f} % right, {whole:.3f} whole, {seconds:.1f} s"
            )
    Path(__file__).with_suffix(".json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def _flat(figures: Figures) -> dict[str, tuple[float, float, float]]:
    """Value and interval of each figure, rounded to what is known."""
    return {
        name: (round(figure.value, 4), round(figure.low, 4), round(figure.high, 4))
        for name, figure in vars(figures).items()
        if figure is not None
    }


if __name__ == "__main__":
    main()
