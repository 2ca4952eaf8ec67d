"""Count the texts of a run with an n-gram model, which takes seconds, to compare the trained model with.

A network that had little time for many different characters can be worse. If the user chose no family, the better of
the two models is published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kammil.evaluation.metrics import score_in_batches
from kammil.language_model import Artifacts, Ids, LanguageModel, Settings
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.vocabulary import CharacterVocabulary

FAMILY = "ngram"
_SECONDS, _A_MINUTE = 2_000_000, 500_000
"""Training characters that are counted in seconds, and those that a network reads in a minute: of more texts than both
the counter is of use only where the network cannot read each once."""


@dataclass(frozen=True)
class Counter:
    """An n-gram model of the training texts."""

    settings: Settings
    artifacts: Artifacts
    bits: float
    """Its bits per character and end of text on the validation texts."""


def worth_counting(characters: int, minutes: float | None) -> bool:
    """Return whether a run on so many characters of text may end behind a counter of them."""
    return characters <= _SECONDS or (minutes is not None and characters > _A_MINUTE * minutes)


def count(vocabulary: CharacterVocabulary, train: Sequence[Ids], validation: Sequence[str]) -> Counter:
    """Count all training texts, with the order that is best on the validation texts."""
    encoded = [vocabulary.encode(text) for text in validation]
    settings, artifacts = ngram_counting.fit(train, encoded, vocabulary.size, ngram_model.NGramSettings())
    return Counter(
        settings, artifacts, bits(ngram_model.NGramModel(settings, artifacts.weights), vocabulary, validation)
    )


def bits(model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> float:
    """Return the bits per character and end of text that a model needs, with the cost of naming unknown characters."""
    scores = score_in_batches(model, vocabulary, texts)
    return sum(float(score.bits.sum()) for score in scores) / sum(len(score.bits) for score in scores)
