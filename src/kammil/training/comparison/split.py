"""The split of the texts that all rows of a comparison share."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kammil import __version__, storage
from kammil.data.splits import Leakage, leaks, split
from kammil.training import texts as training_texts
from kammil.training.recipe import Recipe
from kammil.training.record import sha256

TYPED = 150
"""Maximum number of test texts that are typed, drawn by the seed: a tweet takes 0.02 s of processor time with a GRU,
0.3 s with subwords, and no row should take a minute (docs/log.md#what-does-typing-cost-in-a-comparison)."""
_SURROGATE, _REPLACED = re.compile("[\ud800-\udfff]"), "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class ComparisonSplit:
    """The normalised texts of the three parts, the same for all rows."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    typed: tuple[str, ...]
    """Test texts that a simulated user types with a model's suggestions."""
    source: str
    test_source: str
    leaks: Leakage
    """How many test texts are near-duplicates of training texts."""
    least: int
    """Minimum number of training texts that hold a character of the vocabulary; others are unknown."""

    def key(self) -> dict[str, Any]:
        """Return what the figures of every row depend on: version and hashes of the texts."""
        parts = {"training": self.train, "validation": self.validation, "test": self.test, "typed": self.typed}
        sums = {f"SHA-256 of the {name} texts": sha256(texts)[:16] for name, texts in parts.items()}
        return {"Kammil": __version__, "least": self.least} | sums

    def to_dict(self) -> dict[str, Any]:
        """Describe the split for people: the sources, the sizes, and the near-duplicates across parts."""
        return {
            "source": self.source,
            "test": self.test_source,
            "training_texts": len(self.train),
            "training_characters": sum(map(len, self.train)),
            "validation_texts": len(self.validation),
            "test_texts": len(self.test),
            "test_characters": sum(map(len, self.test)),
            "typed_texts": len(self.typed),
            "typed_characters": sum(map(len, self.typed)),
            "test_exact_leaks": self.leaks.exact,
            "test_near_leaks": self.leaks.near,
        } | self.key()


@dataclass(frozen=True)
class Files:
    """The files of the split, on which each model is trained and may be trained again."""

    train: Path
    validation: Path
    test: Path


def write(parts: ComparisonSplit, folder: Path, *, train: str = "train") -> Files:
    """Write the split beside the models: one text per line, or .jsonl if a text has several lines.

    `train` names the file of the training texts. Files that are already right stay untouched. `FolderError` where they
    cannot be written.
    """
    texts = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    plain = not any(re.search("[\n\r]", text) for part in texts.values() for text in part)
    stems = {name: train if name == "train" else name for name in texts}
    paths = {name: folder / f"{stem}{'.txt' if plain else '.jsonl'}" for name, stem in stems.items()}
    for name, path in paths.items():
        lines = texts[name] if plain else [json.dumps({"text": text}, ensure_ascii=False) for text in texts[name]]
        content = "".join(f"{_SURROGATE.sub(_REPLACED, line)}\n" for line in lines).encode()
        if not path.exists() or path.read_bytes() != content:
            storage.write_atomic(path, content)
    return Files(**paths)


def gather(
    recipe: Recipe, source: str | Path, validation: str | Path | None = None, test: str | Path | None = None
) -> ComparisonSplit:
    """Read and normalise the texts, split them, and drop from training what resembles other parts or `exclude`.

    `DataError` if a part is empty.
    """
    loaded = training_texts.load_normalised(recipe, source)
    texts, name = loaded.texts, loaded.name
    given = {
        part: training_texts.load_normalised(recipe, file).texts
        for part, file in (("validation", validation), ("test", test))
        if file is not None
    }
    share = training_texts.held_out_share(len(texts))
    fractions = {name: share for name in ("validation", "test") if name not in given}
    held_out, remaining = dict(given), texts
    if fractions:
        drawn = split(texts, **({"validation": 0.0, "test": 0.0} | fractions), seed=recipe.training.seed)
        held_out |= {name: [texts[i] for i in getattr(drawn, name)] for name in fractions}
        remaining = [texts[i] for i in drawn.train]
    cleared = training_texts.prepare(recipe, remaining, held_out["validation"])
    test_texts = held_out["test"]
    typed = np.random.default_rng(recipe.training.seed).permutation(len(test_texts))[:TYPED]
    return ComparisonSplit(
        cleared.train,
        cleared.validation,
        tuple(test_texts),
        tuple(test_texts[i] for i in sorted(typed.tolist())),
        name,
        f"{len(test_texts)} texts of the same file" if test is None else training_texts.name_of(test),
        leaks(cleared.train, test_texts),
        recipe.least,
    )
