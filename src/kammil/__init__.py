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
    from kammil.completion import Completer as Completer
    from kammil.completion import Completion as Completion
    from kammil.completion import Score as Score
    from kammil.completion import load as load
    from kammil.errors import KammilError as KammilError
    from kammil.evaluation.metrics import evaluate as evaluate
    from kammil.explanation import Explanation as Explanation
    from kammil.explanation import explain as explain
    from kammil.exporting import Export as Export
    from kammil.exporting import export as export
    from kammil.phrases import Phrase as Phrase
    from kammil.plots import plot as plot
    from kammil.profile import Profile as Profile
    from kammil.publishing import Trained as Trained
    from kammil.session import Session as Session
    from kammil.suggestion import Suggestion as Suggestion
    from kammil.workshop import train as train

    __version__: str

_PUBLIC = {
    "Completer": "kammil.completion",
    "Completion": "kammil.completion",
    "Explanation": "kammil.explanation",
    "Export": "kammil.exporting",
    "Phrase": "kammil.phrases",
    "Profile": "kammil.profile",
    "Score": "kammil.completion",
    "Session": "kammil.session",
    "load": "kammil.completion",
    "KammilError": "kammil.errors",
    "evaluate": "kammil.evaluation.metrics",
    "explain": "kammil.explanation",
    "plot": "kammil.plots",
    "export": "kammil.exporting",
    "Suggestion": "kammil.suggestion",
    "Trained": "kammil.publishing",
    "train": "kammil.workshop",
}

__all__ = [
    "Completer",
    "Completion",
    "Explanation",
    "Export",
    "KammilError",
    "Phrase",
    "Profile",
    "Score",
    "Session",
    "Suggestion",
    "Trained",
    "__version__",
    "evaluate",
    "explain",
    "export",
    "load",
    "plot",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that importing kammil stays instant."""
    if name == "__version__":
        from importlib.metadata import version  # reads files, and imports a mail parser for it

        return version("kammil")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'kammil' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """The public names: what `dir(kammil)` lists, and what completes after `kammil.`."""
    return sorted(__all__)
