"""Whether a counter is ahead."""

from __future__ import annotations

import numpy as np
import pytest

from kammil.evaluation import counter_check
from kammil.evaluation.baselines import UnigramModel
from kammil.evaluation.metrics import compute_metrics
from kammil.models.ngram import model as ngram_model
from kammil.vocabulary import CharacterVocabulary

TEXTS = ["كيفك اليوم", "كيف الجو", "شو رأيك نطلع", "شو في اليوم", "يلا نطلع"] * 4


def test_a_counter_is_ahead_of_character_frequencies_and_not_of_itself() -> None:
    vocabulary = CharacterVocabulary.from_texts(TEXTS)
    train = [vocabulary.encode(text) for text in TEXTS]
    frequencies = UnigramModel(np.bincount(np.concatenate(train), minlength=vocabulary.size))
    better = counter_check.better_counter(frequencies, vocabulary, train, TEXTS[:5])
    assert better is not None
    assert better.bits < better.model_bits
    measured = compute_metrics(frequencies, vocabulary, TEXTS[:5], 30).bits_per_character_with_end
    assert measured is not None and better.model_bits == pytest.approx(measured.value)
    itself = ngram_model.NGramModel(
        ngram_model.NGramSettings.model_validate(better.settings.model_dump()), better.artifacts.weights
    )
    assert counter_check.better_counter(itself, vocabulary, train, TEXTS[:5]) is None


def test_of_more_text_than_is_counted_in_seconds_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = CharacterVocabulary.from_texts(TEXTS)
    train = [vocabulary.encode(text) for text in TEXTS]
    frequencies = UnigramModel(np.bincount(np.concatenate(train), minlength=vocabulary.size))
    num_characters = sum(map(len, train))
    monkeypatch.setattr(counter_check, "_MAX_CHARACTERS", num_characters)
    assert counter_check.better_counter(frequencies, vocabulary, train, TEXTS[:5]) is not None
    monkeypatch.setattr(counter_check, "_MAX_CHARACTERS", num_characters - 1)
    assert counter_check.better_counter(frequencies, vocabulary, train, TEXTS[:5]) is None
