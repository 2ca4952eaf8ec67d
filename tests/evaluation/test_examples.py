"""The task by examples: pairs, and the vocabulary with its counts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.completion.completer import Completer
from kammil.data.bloom import BloomFilter
from kammil.decoding.options import nth_seed
from kammil.errors import DataError, OptionError
from kammil.evaluation.examples import TEMPERATURES, examples, pairs, samples
from kammil.evaluation.metrics import TARGET
from kammil.text import TextRules
from kammil.vocabulary import CharacterVocabulary


@given(st.lists(st.text(min_size=1, max_size=40)), st.integers(1, 30))
def test_a_prompt_and_its_target_follow_one_another(texts: list[str], target: int) -> None:
    for text, pair in zip(texts, pairs(texts, target=target), strict=True):
        assert text.startswith(pair.prompt + pair.target) and pair.length == len(text)
        assert len(pair.prompt) == len(text) // 2
        assert len(pair.target) == min(target, len(text) - len(text) // 2)


def test_the_vocabulary_is_that_of_a_model(texts: list[str], tmp_path: Path) -> None:
    found = examples(texts, 3)
    vocabulary = CharacterVocabulary("".join(entry.character for entry in found.vocabulary))
    normalised = [TextRules().normalise(text) for text in texts]
    counts = Counter("".join(normalised))
    assert {entry.character: entry.count for entry in found.vocabulary} == dict(counts)
    for entry in found.vocabulary:
        assert vocabulary.encode(entry.character).tolist() == [entry.id]
    assert (found.texts, found.short_texts, found.characters) == (len(texts), 0, counts.total())
    assert [pair.prompt for pair in found.pairs] == [
        normalised[i][: len(normalised[i]) // 2] for i in (0, len(texts) // 3, 2 * len(texts) // 3)
    ]
    (tmp_path / "texts.txt").write_text("\n".join(texts), "utf-8")
    assert examples(tmp_path / "texts.txt", 3) == found
    json.dumps(asdict(found))


def test_short_texts_are_left_out_and_rules_applied() -> None:
    found = examples(["  شـــو  حلو ", "شو", ""], 9, target=2, min_length=3)
    assert (found.texts, found.short_texts, found.characters) == (1, 1, 6)
    assert [(pair.prompt, pair.target) for pair in found.pairs] == [("شو ", "حل")]
    assert examples(["شـو"], raw=True).characters == 3
    assert [entry.name for entry in examples(["\x01"], raw=True).vocabulary] == ["U+0001"]
    assert examples(["شو"], 0).pairs == ()


def test_what_cannot_be_shown_is_said() -> None:
    with pytest.raises(DataError, match=r"2; .*--min-length"):
        examples(["شو"], min_length=60)
    with pytest.raises(OptionError, match="target is 0"):
        examples(["شو"], target=0)
    with pytest.raises(OptionError, match="n is -1"):
        examples(["شو"], -1)


def test_a_sample_is_a_text_cut_in_the_middle(model: Completer, texts: list[str]) -> None:
    for sample in samples(model, texts[240:], 5):
        (text,) = [t for t in texts if model.normalise(t).startswith(sample.input + sample.truth)][:1]
        normalised = model.normalise(text).rstrip()
        assert sample.input == normalised[: len(normalised) // 2]
        assert sample.truth == normalised[len(normalised) // 2 :][:TARGET]


def test_what_is_written_is_what_the_model_completes(model: Completer, texts: list[str]) -> None:
    assert model.model is not None
    seen = BloomFilter(model.model.seen)
    for number, sample in enumerate(samples(model, texts[240:], 3, seed=7)):
        assert [written.temperature for written in sample.written] == [0, 0.5, 1, 1.5] == list(TEMPERATURES)
        for written in sample.written:
            completion = model.complete(
                sample.input, length=TARGET, temperature=written.temperature, seed=nth_seed(7, number)
            )
            assert written.text == completion.text
            assert written.novelty == seen.novelty(written.text, sample.input)
        json.dumps(asdict(sample))


@pytest.mark.parametrize("n", [-1, 0, 1, 3, 7, 50])
def test_texts_are_spread_evenly_and_none_comes_twice(model: Completer, n: int) -> None:
    texts = [f"{letter} شو حلو" for letter in "ابتثجحخ"]
    initials = [sample.input[0] for sample in samples(model, texts, n)]
    assert initials == sorted(set(initials))
    assert len(initials) == min(max(n, 0), len(texts))
    if n == 3:
        assert initials == ["ا", "ت", "ج"]


def test_a_sample_follows_the_texts_before_it() -> None:
    levantine, talk = kammil.load(), ["رودي رجع من السفر مبارح", "بدنا نعزم رودي عالعشا", "حكيت مع رودي مبارح"]
    *_, last = samples(levantine, talk, 3, context=2)
    greedy = levantine.complete(last.input, context=talk[:2], length=TARGET, temperature=0).text
    assert last.written[0].text == greedy


def test_no_prompt_comes_twice(model: Completer) -> None:
    texts = ["شو حلو", "شو حلو", "شو كبر", "يلا نطلع"]
    assert [sample.input for sample in samples(model, texts, 3)] == ["شو ", "يلا "]


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
