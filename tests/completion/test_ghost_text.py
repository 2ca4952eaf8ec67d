"""When ghost text is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from tests.completion.test_suggestions import counter

import kammil
from kammil.completion.ghost_text import GHOST_RULES, GhostLevel, GhostRule
from kammil.engine import build
from kammil.engine.native import NativeEngine
from kammil.engine.reference import ReferenceEngine
from kammil.errors import OptionError
from kammil.evaluation.typing_report import DEVICES, reading_charge


@pytest.mark.parametrize(
    ("probability", "letters", "complete", "shown"),
    [
        (0.5, 4, 0.0, True),
        (0.49, 4, 0.0, False),  # not sure enough
        (0.5, 1, 0.0, False),  # saves half a key on the average
        (1.0, 1, 0.0, True),
        (0.5, 4, 0.6, False),  # the word is more probably complete
        (0.5, 4, 0.4, True),
    ],
)
def test_a_word_is_shown_if_it_helps(probability: float, letters: int, complete: float, shown: bool) -> None:
    assert GhostRule(0.5, 1.0).shows(probability, letters, complete) == shown


def test_the_steps_of_the_dial() -> None:
    assert tuple(GHOST_RULES) == get_args(GhostLevel)
    thresholds = [rule.threshold for rule in GHOST_RULES.values()]
    assert thresholds == sorted(thresholds, reverse=True)
    charges = [rule.charge for rule in GHOST_RULES.values()]
    assert charges == sorted(charges, reverse=True)
    # No step shows what costs more to read than it saves: the quiet one on a phone, all of them on a desktop.
    assert charges[0] >= reading_charge(DEVICES["phone"])
    assert charges[-1] >= reading_charge(DEVICES["desktop"])


def test_a_step_that_does_not_exist() -> None:
    with pytest.raises(OptionError, match=r"^ghost is 'loud', but it must be one of: quiet, balanced, eager\.$"):
        counter(["ab"]).phrase("a", ghost="loud")  # pyright: ignore[reportArgumentType]


def test_a_whole_word_has_no_ghost_and_a_begun_one_has() -> None:
    model = counter(["حلوين شو حلو كتير حلو كتير حلو كتير"] * 5, order=6)
    assert model.phrase("شو ح", ghost="eager").added.startswith("لو")
    assert model.phrase("شو حلو", ghost="eager").added == ""
    assert model.phrase("شو حلو", threshold=0.0).added == ""
    assert model.phrase("شو حلو ", ghost="eager").added.startswith("كتير")


def test_the_quieter_the_less() -> None:
    model = counter(["شو حلو الشعور", "شو حلو الطقس", "شو حلو الشارع", "شو هالحكي"], order=6)
    shown = {
        level: sum(bool(model.phrase("شو حلو الشعور"[:i], ghost=level).added) for i in range(14))
        for level in get_args(GhostLevel)
    }
    assert 0 < shown["quiet"] <= shown["balanced"] <= shown["eager"]


@pytest.mark.parametrize("text", ["شو حلو اليوم و كتير", "你好嗎朋友你好嗎朋友", "شو 你好嗎 حلو"])
def test_no_letter_is_shown_alone(text: str) -> None:
    model = counter([text] * 9, order=6)
    for level in get_args(GhostLevel):
        shown = [len(model.phrase(text[:i], words=1, ghost=level).added.strip()) for i in range(len(text))]
        assert max(shown) > 1 and 1 not in shown
    assert model.phrase(text[:-1], words=1, threshold=0.3).added[0] == text[-1]  # whatever it saves


def test_a_name_is_not_brought_up() -> None:
    model = counter(["مبارح حكى بوتين كتير"] * 9, order=8)
    assert [s.text for s in model.suggest("مبارح حكى ", 1)] == ["بوتين"]  # a list has it
    assert model.phrase("مبارح حكى ").added == ""
    assert model.phrase("مبارح ح").added == "كى"
    assert model.phrase("مبارح حكى بوت").added == ""  # nor is it finished
    assert model.phrase("مبارح حكى بوتين ").added == "كتير"
    assert model.phrase("مبارح ").probability > 0.5


def test_ghost_text_spells_as_the_text_does() -> None:
    knows = counter(["فنجان قهوه طيبه"] * 6 + ["فنجان قهوة طيبة"] * 4 + ["مدرسة"] * 3, 4)
    assert knows.phrase("فنجان قه", threshold=0.5).added.startswith("وه")
    assert knows.phrase("مدرسة فنجان قه", threshold=0.5).added.startswith("وة")


def test_no_word_comes_twice() -> None:
    model = counter(["يا يا يا يا يا يا"] * 5, order=3)
    assert [one.text for one in model.suggest("يا ", 1)] == ["يا"]
    assert model.phrase("", words=4, threshold=0.0).added.split() == ["يا"]


def test_of_a_text_that_stays_ghost_text_is_that_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = kammil.load(), 0
    session = model.session()

    def counting(name: str) -> Callable[..., Any]:
        original = getattr(NativeEngine if build.load_native() else ReferenceEngine, name)

        def counted(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            return original(*args)

        return counted

    for engine, names in ((NativeEngine, ("forward", "search")), (ReferenceEngine, ("forward",))):
        for name in names:
            monkeypatch.setattr(engine, name, counting(name))

    def number(text: str, **options: Any) -> int:
        nonlocal calls
        calls = 0
        session.update(text)
        found = session.phrase(**options)
        made = calls
        assert found == model.with_own_cache().phrase(text, **options)
        return made

    options: list[dict[str, Any]] = [{}, {"words": 2}, {"ghost": "eager"}, {"threshold": 0.1}, {"forbid": ("ا",)}]
    for asked in options:
        for text in ("شو حل", "كيف ", ""):
            assert number(text, **asked) > 0
            assert number(text, **asked) == 0
    number("شو حلو هال")
    assert number("شو حل", **options[-1]) == 0  # also after another one
    model.learn("شو حلوين هالكلمات")
    assert number("شو حل", **options[-1]) > 0


def test_ghost_text_of_one_text_is_not_shown_after_another_of_the_same_ids() -> None:
    """Unknown letters are one id, and what is refused may tell them apart: one of these is folded to self-harm."""
    model, silent, other = kammil.load(), "ان\U0001ee15حر ان شاء ", "ان漢حر ان شاء "
    assert model.refusals().silent(silent) and not model.refusals().silent(other)
    assert [bool(model.phrase(text, ghost="eager").added) for text in (silent, other, silent)] == [False, True, False]
