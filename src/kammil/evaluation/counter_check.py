"""An n-gram model of a run's texts, counted in seconds, to compare the trained model with.

If the user chose no family, it is published unless the other model is ahead beyond chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kammil.completion.scoring import score_in_batches
from kammil.evaluation.bootstrap import Array
from kammil.language_model import Artifacts, Ids, LanguageModel, Settings
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.vocabulary import CharacterVocabulary

FAMILY = "ngram"
_SECONDS, _A_MINUTE = 2_000_000, 500_000
"""Characters counted in seconds, and those that a network reads in a minute."""
_ERRORS = 2.0


@dataclass(frozen=True)
class Counter:
    """An n-gram model of the training texts."""

    settings: Settings
    artifacts: Artifacts
    costs: Array
    """See `costs`, of the validation texts."""

    @property
    def bits(self) -> float:
        """Return bits per character and end on the validation texts."""
        return bits(self.costs)


def worth_counting(characters: int, minutes: float | None) -> bool:
    """Return whether a run may end worse than a counter of its training characters."""
    return characters <= _SECONDS or (minutes is not None and characters > _A_MINUTE * minutes)


def count(vocabulary: CharacterVocabulary, train: Sequence[Ids], validation: Sequence[str]) -> Counter:
    """Count training texts, with the order that is best on the validation texts."""
    encoded = [vocabulary.encode(text) for text in validation]
    settings, artifacts = ngram_counting.fit(train, encoded, vocabulary.size, ngram_model.NGramSettings())
    model = ngram_model.NGramModel(settings, artifacts.weights)
    return Counter(settings, artifacts, costs(model, vocabulary, validation))


def costs(model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> Array:
    """Return the bits of each text, and its number of characters and end, (N, 2)."""
    return np.array([[score.bits.sum(), len(score.bits)] for score in score_in_batches(model, vocabulary, texts)])


def bits(costs: Array) -> float:
    """Return bits per character and end of text."""
    total, number = costs.sum(axis=0)
    return float(total / number)


def shown_ahead(model: Array, counter: Array) -> bool:
    """Return whether a model is ahead of a counter by more than `_ERRORS` standard errors over texts."""
    difference, number = model[:, 0] - counter[:, 0], counter[:, 1]
    mean = difference.sum() / number.sum()
    error = np.sqrt(((difference - mean * number) ** 2).sum()) / number.sum()
    return bool(mean + _ERRORS * error < 0)
