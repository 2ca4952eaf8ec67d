"""Check whether an n-gram model, which is trained in seconds, predicts validation texts better than a trained model.

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
_MAX_CHARACTERS = 2_000_000
"""Most training characters to count: more would take minutes, and a run on so many was not meant to be short."""


@dataclass(frozen=True)
class BetterCounter:
    """An n-gram model that predicts the validation texts better."""

    settings: Settings
    artifacts: Artifacts
    bits: float
    """Its bits per character and end of text on the validation texts."""
    model_bits: float
    """Bits of the model that it was compared with."""


def better_counter(
    model: LanguageModel, vocabulary: CharacterVocabulary, train: Sequence[Ids], validation: Sequence[str]
) -> BetterCounter | None:
    """Train an n-gram model; return it if it needs fewer bits for the validation texts than `model` does, else None."""
    if sum(map(len, train)) > _MAX_CHARACTERS:
        return None
    encoded = [vocabulary.encode(text) for text in validation]
    settings, artifacts = ngram_counting.fit(train, encoded, vocabulary.size, ngram_model.NGramSettings())
    counter_bits = bits(ngram_model.NGramModel(settings, artifacts.weights), vocabulary, validation)
    model_bits = bits(model, vocabulary, validation)
    return BetterCounter(settings, artifacts, counter_bits, model_bits) if counter_bits < model_bits else None


def bits(model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> float:
    """Return the bits per character and end of text that a model needs, with the cost of naming unknown characters."""
    scores = score_in_batches(model, vocabulary, texts)
    return sum(float(score.bits.sum()) for score in scores) / sum(len(score.bits) for score in scores)
