"""Tell how long the figures of a model will take on this machine, so that training ends in time for them."""

from __future__ import annotations

from collections.abc import Sequence

from kammil.evaluation.metrics import TARGET, predict
from kammil.language_model import LanguageModel
from kammil.training.clock import Clock
from kammil.vocabulary import CharacterVocabulary

_SIZES = (1, 4, 16, 64)
"""Numbers of texts that are timed one after the other, while each takes a short time."""
_SHARE = 0.02
"""Largest share of the minutes for one of them."""


def figures_seconds(
    models: Sequence[LanguageModel], vocabulary: CharacterVocabulary, texts: Sequence[str], clock: Clock
) -> float:
    """Return about how many seconds `evaluate` takes for the models on the texts; 0 where no minutes are set."""
    if clock.seconds is None:
        return 0.0
    seconds = 0.0
    for size in _SIZES:
        number = min(size, len(texts))
        sample = [texts[i * len(texts) // number] for i in range(number)]  # at even distances
        began = clock.now()
        for model in models:
            predict(model, vocabulary, sample, TARGET)
        took = clock.now() - began
        seconds = took * max(len(texts) / number, sum(map(len, texts)) / sum(map(len, sample)))
        if number == len(texts) or took > _SHARE * clock.seconds:
            break
    return seconds
