"""Bits of the benchmark's validation texts, by the bundled models and by a small folder of each family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.records.store import Entry, outcome

import kammil

PART = "lev30/validation"
NAMED = ("levantine", "levantine-all")
FOLDERS = Path(__file__).parents[1] / "fixtures" / "folders"


def entries() -> Iterator[Entry]:
    """Score the texts, and evaluate the bundled models."""
    from kammil.data import sources

    texts = sources.texts(PART)
    for name in (*NAMED, *sorted(path.parent for path in FOLDERS.glob("*/model.json"))):
        model = Path(name).name
        yield Entry(f"bits-{model}", {"model": model, "part": PART}, outcome(_scored, name, texts))
    for name in NAMED:
        yield Entry(f"evaluate-{name}", {"model": name, "part": PART}, outcome(_evaluated, name))


def _scored(name: str | Path, texts: list[str]) -> dict[str, Any]:
    model = kammil.load(name)
    scores = [model.score(text) for text in texts]
    bits, characters = sum(sum(score.bits) for score in scores), sum(len(score.text) + 1 for score in scores)
    each = [round(sum(score.bits), 3) for score in scores]
    return {"bits_per_character_with_end": round(bits / characters, 6), "characters": characters, "each": each}


def _evaluated(name: str) -> Any:
    return kammil.evaluate(kammil.load(name), PART).to_dict()
