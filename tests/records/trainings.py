"""What small models become that are trained by `kammil.train`: their figures, and what they say of texts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

from tests.records.store import Entry, outcome

import kammil

FIXTURES = Path(__file__).parents[1] / "fixtures"
TEXTS = ("شو صار معك بالمقابلة طمنيني", "بليز ابعتلي اللوكيشن", "jibli ma3ak khobez ☕ Ж", "")
_QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 16, "device": "cpu", "threads": 1, "precision": "float32"}
_NETWORK: dict[str, Any] = {**_QUICK, "embedding": 8, "hidden": 16}
_BLEND: dict[str, Any] = {**_NETWORK, "gate": 8, "kinds": ["o1", "o2", "o3", "w", "w1"], "history": ["o1", "o2", "w"]}
RUNS: dict[str, dict[str, Any]] = {
    "ngram": {"model": "ngram"},
    "ngram of order 2, raw": {"model": "ngram", "order": 2, "raw": True},
    "gru": {"model": "gru", **_NETWORK},
    "gru with muon": {"model": "gru", "optimizer": "muon", "dropout": 0.2, **_NETWORK},
    "gru for completions": {"model": "gru", "objective": "completion", "seed": 3, **_NETWORK},
    "gru in pieces": {"model": "gru", "block": 16, "epoch_steps": 3, **_NETWORK},
    "gru from a base": {"model": "gru", "base": str(FIXTURES / "folders" / "gru"), **_QUICK},
    "words": {"model": "words", **_NETWORK},
    "subwords": {"model": "subwords", "subwords": 200, **_NETWORK},
    "attention": {"model": "attention", "attention": 8, **_NETWORK},
    "transformer": {"model": "transformer", "width": 16, "layers": 2, "heads": 2, **_QUICK},
    "blend": {"model": "blend", **_BLEND},
    "blend of two": {"model": "blend", "networks": 2, **_BLEND},
    "blend, packed": {"model": "blend", "megabytes": 0.02, "min_count": 2, "most": 8, **_BLEND},
    "blend without repeats": {"model": "blend", "unique": True, "least": 2, "rules": {"numbers": True}, **_BLEND},
    "blend from a base": {"model": "blend", "base": {"source": "base.txt", **_BLEND}, **_BLEND},
    "blend from the bundled one": {"model": "blend", "base": "levantine", **_QUICK, "epochs": 1},
    "blend of members": {"model": "blend", "members": [{"seed": 1}, {"seed": 2}], **_BLEND},
    "blend of weighted sources": {"model": "blend", "column": "text", "weights": {"a": 3.0}, **_BLEND},
    "blend without what is held out": {"model": "blend", "exclude": ["texts.txt"], **_BLEND},
    "members of two sizes": {"model": "blend", "members": [{"seed": 1}, {"hidden": 8}], **_BLEND},
    "unknown option": {"model": "gru", "hiden": 3},
    "unknown family": {"model": "nothing"},
    "size out of range": {"model": "gru", "hidden": 0},
    "base of another family": {"model": "ngram", "base": str(FIXTURES / "folders" / "gru")},
}


def entries() -> Iterator[Entry]:
    """Train each of `RUNS` on the embedded corpus, or a part of it."""
    from kammil.data import sources

    texts = sources.texts("sample")
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path("base.txt").write_text("\n".join(texts[300:500]), "utf-8")
        Path("texts.txt").write_text("\n".join(texts[:40]), "utf-8")
        rows = (f"{text}\t{'ab'[i % 2]}" for i, text in enumerate(texts[:300]) if "\t" not in text and '"' not in text)
        Path("table.tsv").write_text("text\tsource\n" + "\n".join(rows), "utf-8")
        for name, options in RUNS.items():
            source = "table.tsv" if "column" in options else texts[:300]
            yield Entry(name, {k: v for k, v in options.items() if k != "base"}, outcome(_trained, source, options))


def _trained(source: Any, options: dict[str, Any]) -> dict[str, Any]:
    out = f"model-{abs(hash(str(options)))}"
    kammil.train(source, out=out, report=False, **options)
    model = kammil.load(out)
    files = sorted(path.name for path in Path(out).iterdir())
    assert model.model is not None
    validation = model.model.metrics["validation"]["model"]
    figures = {name: _figure(value["value"]) for name, value in validation.items() if isinstance(value, dict)}
    return {
        "files": files,
        "figures": figures,
        "bits": [_figure(sum(model.score(text).bits)) for text in TEXTS],
        "greedy": model.complete("شو ", length=15, temperature=0).text,
        "suggestions": [[each.added, _figure(each.probability)] for each in model.suggest("شو", k=2, threshold=0)],
    }


def _figure(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
