"""Words of a writer's own: used more than once, and hardly expected before."""

from __future__ import annotations

import kammil
from kammil.completion.own_words import NAMED, learnt_words, told


def test_words_that_were_hardly_expected_are_counted() -> None:
    model = kammil.load().fork()
    assert learnt_words(model) == {}
    for text in ("رودي جاي بكرا عالغدا", "حكيت مع رودي مبارح", "  ", "وين رودي؟ 778 778", "رح شوف سندس بكرا"):
        if text.strip():
            model.learn(text)
    assert learnt_words(model) == {"رودي": 3}  # not a known word, a number, or one that was used once
    model.learn("سندس وصلت")
    assert list(learnt_words(model).items()) == [("رودي", 3), ("سندس", 2)]
    model.forget("رح شوف سندس بكرا")
    assert learnt_words(model) == {"رودي": 3}


def test_the_line_names_the_most_used_ones() -> None:
    assert "1 word " in told({"رودي": 3}) and told({"رودي": 3}).endswith(": رودي 3")
    line = told({f"w{n}\u202e": 100 - n for n in range(NAMED + 2)})
    assert "w0\N{REPLACEMENT CHARACTER} 100" in line and line.endswith("2 more") and f"w{NAMED}" not in line
