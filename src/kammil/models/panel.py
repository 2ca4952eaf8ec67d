"""The experts of a blend while it runs: what they look up, and the gate that weighs them.

Shapes: K experts, G width of the gate, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kammil.models.contexts import Contexts
from kammil.models.counts import Index
from kammil.models.evidence import CLUES, FEATURES, Floats
from kammil.models.learnt import Learnt
from kammil.models.ledger import Ledger

_ABSENT = 3
"""Which clue says that a context was never seen."""


@dataclass(frozen=True)
class Gate:
    """Whom to believe: what it hears from the networks is read from their states as scores are."""

    heard: Floats
    """(CLUES * K, G): of the clues, all of a kind together, as `evidence` gives them."""
    trust: Floats
    """(G, K * FEATURES): what comes of the hidden layer, the features of an expert together."""
    bias: Floats
    """(K * FEATURES,)."""

    @property
    def experts(self) -> int:
        """K."""
        return len(self.bias) // FEATURES


@dataclass(frozen=True)
class Panel:
    """All that the experts know. Those of the tables come first, then those who look into the text itself."""

    contexts: Contexts
    """How what was read is hashed."""
    ledger: Ledger
    """The tables."""
    learnt: Learnt
    """Texts laid over the first table."""
    columns: Index
    """Of the kinds of context, those that are looked up in the text itself."""
    gate: Gate


def present(bias: Floats, gate: Gate, size: int) -> tuple[Floats, Floats]:
    """The bias of scores and gate, (V + G,), and the weights of clues by expert, (K, CLUES, G), so that those of one
    stand together: an expert that knows nothing says one thing, always, which goes into the bias, and is taken back by
    the clue of one that knows something."""
    heard = gate.heard.reshape(CLUES, gate.experts, -1).swapaxes(0, 1)
    bias = np.concatenate([bias[:size], bias[size:] + heard[:, _ABSENT].sum(axis=0)])
    return bias, heard * np.where(np.arange(CLUES) == _ABSENT, np.float32(-1), np.float32(1))[:, None]
