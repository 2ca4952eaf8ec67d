"""The counter that a trained model is compared with."""

from __future__ import annotations

import numpy as np
import pytest

from kammil.evaluation import counter_check
from kammil.evaluation.baselines import UnigramModel
from kammil.evaluation.metrics import compute_metrics
from kammil.models.ngram import model as ngram_model
from kammil.vocabulary import CharacterVocabulary

TEXTS = ["كيفك اليوم", "كيف الجو", "شو رأيك نطلع", "شو في اليوم", "يلا نطلع"] * 4


def test_a_counter_is_ahead_of_character_frequencies() -> None:
    vocabulary = CharacterVocabulary.from_texts(TEXTS)
    train = [vocabulary.encode(text) for text in TEXTS]
    frequencies = UnigramModel(np.bincount(np.concatenate(train), minlength=vocabulary.size))
    counter = counter_check.count(vocabulary, train, TEXTS[:5])
    bits = counter_check.bits(counter_check.costs(frequencies, vocabulary, TEXTS[:5]))
    measured = compute_metrics(frequencies, vocabulary, TEXTS[:5], 30).bits_per_character_with_end
    assert measured is not None and bits == pytest.approx(measured.value)
    settings = ngram_model.NGramSettings.model_validate(counter.settings.model_dump())
    itself = ngram_model.NGramModel(settings, counter.artifacts.weights)
    assert counter.bits == counter_check.bits(counter_check.costs(itself, vocabulary, TEXTS[:5])) < bits


def test_a_lead_of_one_text_is_chance() -> None:
    counter = np.array([[20.0, 10], [30, 10], [40, 20], [25, 10]])
    for gains, shown in (([1, 1, 2, 1], True), ([5, 0, 0, 0], False), ([0, 0, 0, 0], False), ([-1, -1, -2, -1], False)):
        model = counter - np.array([gains, [0] * 4]).T
        assert counter_check.shown_ahead(model, counter) == shown


@pytest.mark.parametrize(
    ("characters", "minutes", "worth"),
    [
        (2_000_000, None, True),
        (2_000_001, None, False),
        (2_000_000, 1000, True),
        (60_000_000, 1, True),  # the network cannot read each text once
        (60_000_000, 600, False),
    ],
)
def test_it_is_counted_where_it_takes_seconds_or_may_be_ahead(
    characters: int, minutes: float | None, worth: bool
) -> None:
    assert counter_check.worth_counting(characters, minutes) == worth
