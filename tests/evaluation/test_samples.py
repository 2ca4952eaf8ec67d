"""Samples: a text, its truth, and what the model writes."""

from __future__ import annotations

import json

import pytest

from kammil.completion.completer import Completer
from kammil.data.bloom import BloomFilter
from kammil.evaluation.metrics import TARGET
from kammil.evaluation.samples import TEMPERATURES, samples


def test_a_sample_is_a_text_cut_in_the_middle(model: Completer, texts: list[str]) -> None:
    for sample in samples(model, texts[240:], 5):
        (text,) = [t for t in texts if model.normalise(t).startswith(sample.input + sample.truth)][:1]
        normalised = model.normalise(text).rstrip()
        assert sample.input == normalised[: len(normalised) // 2]
        assert sample.truth == normalised[len(normalised) // 2 :][:TARGET]


def test_what_is_written_is_what_the_model_completes(model: Completer, texts: list[str]) -> None:
    assert model.model is not None
    seen = BloomFilter(model.model.seen)
    for sample in samples(model, texts[240:], 3, seed=7):
        assert [written.temperature for written in sample.written] == [0, 0.5, 1, 1.5] == list(TEMPERATURES)
        for written in sample.written:
            completion = model.complete(sample.input, length=TARGET, temperature=written.temperature, seed=7)
            assert written.text == completion.text
            assert written.novelty == seen.novelty(written.text, sample.input)
        json.dumps(sample.to_dict())


@pytest.mark.parametrize("n", [-1, 0, 1, 3, 7, 50])
def test_texts_are_spread_evenly_and_none_comes_twice(model: Completer, n: int) -> None:
    texts = [f"{letter} شو حلو" for letter in "ابتثجحخ"]
    initials = [sample.input[0] for sample in samples(model, texts, n)]
    assert initials == sorted(set(initials))
    assert len(initials) == min(max(n, 0), len(texts))
    if n == 3:
        assert initials == ["ا", "ت", "ج"]


def test_texts_without_a_character_are_left_out(model: Completer) -> None:
    assert samples(model, ["", "\u200b", "  "], 3) == []
    assert samples(model, [], 3) == []
    assert samples(model, ["شو حلو"], 3, min_length=7) == []
    (short,) = samples(model, ["شو حلو", "شو"], 3, target=2, min_length=6)
    assert (short.input, short.truth) == ("شو ", "حل") and max(len(w.text) for w in short.written) == 2
    (only,) = samples(model, ["", "شو", "\n"], 3)
    assert (only.input, only.truth) == ("ش", "و")


def test_the_seed_decides(model: Completer) -> None:
    first = samples(model, ["شو حلو الشعور"], 1, seed=1)
    assert first == samples(model, ["شو حلو الشعور"], 1, seed=1)
    variants = {samples(model, ["شو حلو الشعور"], 1, seed=seed)[0].written[3].text for seed in range(5)}
    assert len(variants) > 1


def test_without_a_folder_nothing_is_known_to_be_seen(model: Completer) -> None:
    alone = Completer(model.language_model, model.vocabulary, model.rules)
    (sample,) = samples(alone, ["شو حلو الشعور"], 1)
    assert {written.novelty for written in sample.written} == {"new"}
