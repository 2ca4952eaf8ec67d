"""Which scripts are foreign to a model, and which words of them are suggested."""

from __future__ import annotations

import numpy as np
import pytest
from tests.completion.test_suggestions import counter

from kammil.completion.character_classes import MIN_SCRIPT, CharacterClasses, first_ids
from kammil.completion.completer import Completer
from kammil.completion.word_search import FOREIGN, MIN_FOREIGN
from kammil.vocabulary import BOS, SPECIALS, CharacterVocabulary


@pytest.mark.parametrize(("latin", "foreign"), [(MIN_SCRIPT / 2, "abz"), (MIN_SCRIPT * 2, ""), (0.97, "بت")])
def test_a_script_is_foreign_in_which_few_texts_begin(latin: float, foreign: str) -> None:
    vocabulary = CharacterVocabulary(" 1.abzبت")
    first = np.zeros(vocabulary.size, np.float32)
    first[vocabulary.encode("a1ب")] = latin * 0.8, 0.2, (1 - latin) * 0.8  # digits are of no script
    classes = CharacterClasses.of(vocabulary, first)
    assert vocabulary.decode(np.flatnonzero(classes.foreign)) == foreign
    assert not CharacterClasses.of(vocabulary).foreign.any()
    assert not classes.foreign[:SPECIALS].any()


def test_first_ids_are_those_that_begin_a_text() -> None:
    model = counter(["شو", "شي", "abc"], 3)
    p = first_ids(model.language_model)
    log_probabilities, _ = model.after("")
    assert p == pytest.approx(np.exp(log_probabilities[0]))
    assert p.argmax() == model.vocabulary.encode("ش")[0]
    assert p[BOS] == 0


@pytest.fixture(scope="module")
def mixed() -> Completer:
    return counter([*["شو اخبارك حلو"] * 40, "lima lima lima limb limes lilac", "lama", "lord"], 6)


def test_a_foreign_word_must_be_more_probable(mixed: Completer) -> None:
    def found(prefix: str, threshold: float) -> dict[str, float]:
        return {
            one.text: one.probability
            for one in mixed.suggest(prefix, 20, threshold=threshold, correct=False)
            if one.text.isascii()
        }

    for prefix in ("l", "li", "lim", "شو l"):
        everything = found(prefix, 0.0)
        for threshold in (0.001, 0.005, 0.05, 0.3):
            least = max(threshold, min(FOREIGN * threshold, MIN_FOREIGN))
            assert found(prefix, threshold) == {w: p for w, p in everything.items() if p >= least}
    assert "lima" in found("li", 0.01)
    assert "limb" in found("li", 0.0)
    assert "limb" not in found("li", 0.01)
