"""Kammil (كمّل, "go on, finish it"): text completion from your own short texts, on a laptop CPU.

```python
import kammil
kammil.train("tweets.tsv", column="Tweet", out="my-model")
model = kammil.load("my-model")
model.complete("شو حلو", length=30, temperature=0.7, seed=1).text
model.suggest("شو حل", k=3)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kammil.completion.completer import Completer, Completion, Score, Session, load
    from kammil.completion.explain import Explanation, explain
    from kammil.completion.ghost_text import Phrase
    from kammil.completion.learning import Profile
    from kammil.completion.suggestions import Suggestion
    from kammil.errors import KammilError as KammilError
    from kammil.evaluation.evaluate import evaluate as evaluate
    from kammil.evaluation.prequential import LearningReport, learning_report
    from kammil.evaluation.ranking import LearningCurve as LearningCurve
    from kammil.exporting import Export as Export
    from kammil.exporting import export as export
    from kammil.training.publish import TrainResult, plot
    from kammil.training.suite import curve
    from kammil.training.train import train
    from kammil.training.verify import Verification, verify

    __version__: str

_NAMES = {
    "kammil.completion.completer": ("Completer", "Completion", "Score", "Session", "load"),
    "kammil.completion.explain": ("Explanation", "explain"),
    "kammil.completion.ghost_text": ("Phrase",),
    "kammil.completion.learning": ("Profile",),
    "kammil.completion.suggestions": ("Suggestion",),
    "kammil.errors": ("KammilError",),
    "kammil.evaluation.evaluate": ("evaluate",),
    "kammil.evaluation.prequential": ("LearningReport", "learning_report"),
    "kammil.evaluation.ranking": ("LearningCurve",),
    "kammil.exporting": ("Export", "export"),
    "kammil.training.publish": ("TrainResult", "plot"),
    "kammil.training.suite": ("curve",),
    "kammil.training.train": ("train",),
    "kammil.training.verify": ("Verification", "verify"),
}
_PUBLIC = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Completer",
    "Completion",
    "Explanation",
    "Export",
    "KammilError",
    "LearningCurve",
    "LearningReport",
    "Phrase",
    "Profile",
    "Score",
    "Session",
    "Suggestion",
    "TrainResult",
    "Verification",
    "__version__",
    "curve",
    "evaluate",
    "explain",
    "export",
    "learning_report",
    "load",
    "plot",
    "train",
    "verify",
]


def __getattr__(name: str) -> object:
    """Import a public name at its first use, so that importing kammil stays instant."""
    if name == "__version__":
        from importlib.metadata import version  # reads files, and imports a mail parser for it

        return version("kammil")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'kammil' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_PUBLIC[name]), name)
    if _PUBLIC[name].startswith("kammil.completion."):
        import_module("kammil.views.notebook")  # gives models and explanations their HTML
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
