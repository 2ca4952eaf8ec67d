"""Whether a counter, which is had in seconds, knows validation texts better than the model that took minutes.

A network that had little time for many different characters can be behind. Who asked for no family gets the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kammil.evaluation.metrics import score_sides
from kammil.language_model import Artifacts, Ids, LanguageModel, Settings
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.vocabulary import CharacterVocabulary

FAMILY = "ngram"
_CHARACTERS = 2_000_000
"""Of training texts, at most: more are not counted in seconds, and a run that long was not meant to be short."""


@dataclass(frozen=True)
class BetterCounter:
    """A counter that is ahead."""

    settings: Settings
    artifacts: Artifacts
    bits: float
    """On the validation texts, per character and end of text."""
    behind: float
    """Those of the model that it was compared with."""


def better_counter(
    runner: LanguageModel, vocabulary: CharacterVocabulary, train: Sequence[Ids], validation: Sequence[str]
) -> BetterCounter | None:
    """The counter of these texts, if it needs fewer bits for the validation texts than the running side does."""
    if sum(map(len, train)) > _CHARACTERS:
        return None
    encoded = [vocabulary.encode(text) for text in validation]
    settings, artifacts = ngram_counting.fit(train, encoded, vocabulary.size, ngram_model.NGramSettings())
    theirs = _bits(ngram_model.NGramModel(settings, artifacts.weights), vocabulary, validation)
    ours = _bits(runner, vocabulary, validation)
    return BetterCounter(settings, artifacts, theirs, ours) if theirs < ours else None


def _bits(runner: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> float:
    """Per character and end of text, unknown characters charged in full."""
    traces = score_sides(runner, vocabulary, texts)
    return sum(float(trace.bits.sum()) for trace in traces) / sum(len(trace.bits) for trace in traces)
