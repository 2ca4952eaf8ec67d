"""The task by examples: pairs, and the vocabulary with its counts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.errors import DataError, OptionError
from kammil.evaluation.examples import examples, pairs
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
    json.dumps(found.to_dict())


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
