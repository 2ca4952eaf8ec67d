"""What a text begins with: counted openings, those of learnt texts, and no list of religious words alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.completion.test_suggestions import counter

import kammil
from kammil.completion.completer import Completer
from kammil.completion.learning import Profile
from kammil.completion.unsolicited import is_religious

NAMED = ("levantine", "levantine-all")


@pytest.fixture(scope="module", params=NAMED)
def bundled(request: pytest.FixtureRequest) -> Completer:
    return kammil.load(request.param)


def words(model: Completer, prefix: str = "", k: int = 3) -> list[str]:
    return [one.text for one in model.suggest(prefix, k)]


def test_a_bundled_model_opens_as_people_open_their_messages(bundled: Completer) -> None:
    found = bundled.suggest("", 32)
    assert [one.text for one in found[:2]] == ["شو", "بدي"] and not {"ما", "انا", "لا"} & {*words(bundled)}
    assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)
    assert sum(one.probability for one in found) <= 1
    assert bundled.suggest("", 3) == found[:3]
    assert words(bundled, "ش") == [one.text for one in bundled.fork().suggest("ش")]


def test_openings_that_were_taught_come_first_until_they_are_forgotten(tmp_path: Path) -> None:
    for model in (kammil.load().fork(), kammil.load(profile=tmp_path / "profile")):
        before, taught = words(model), ["الو وينك", "تعا لعنا", "الو شو عم تعمل"]
        model.learn(taught[0])
        assert words(model) == before  # what was said once
        for text in taught[1:]:
            model.learn(text)
        assert words(model)[0] == "الو"
        for text in taught:
            model.forget(text)
        assert words(model) == before
    Profile(tmp_path / "profile").learn("الو وينك", "الو شو")
    assert words(kammil.load(profile=tmp_path / "profile"))[0] == "الو"


def test_blocked_words_open_nothing() -> None:
    model = kammil.load()
    assert "شو" not in [one.text for one in model.suggest("", forbid=["شو"])]


def test_any_other_model_opens_as_its_own_texts() -> None:
    model = counter(["سلام كيف", "سلام يا", "اهلا"], 4)
    assert words(model, k=2) == ["سلام", "اهلا"]


@pytest.mark.parametrize("prefix", ["ال", "", "الل"])
def test_a_list_at_the_start_has_one_religious_word_at_most(bundled: Completer, prefix: str) -> None:
    for k in (3, 5):
        found = words(bundled, prefix, k)
        assert found and sum(map(is_religious, found)) <= 1
        assert found[:3] == words(bundled, prefix, 3)
    assert {"الله", "اليوم"} < {*words(bundled, "ال")} or prefix != "ال"


def test_religious_words() -> None:
    assert all(map(is_religious, ["الله", "والله", "اللهم", "الحمدلله", "انشالله"]))
    assert not any(map(is_religious, ["اليوم", "اللي", "يلا", "لهم", ""]))


@pytest.mark.parametrize("prefix", ["123", "١٢", "الساعة 1"])
def test_no_digits_are_suggested_behind_a_number(prefix: str) -> None:
    assert not any(one.added[0].isdecimal() for one in kammil.load().suggest(prefix, 8, threshold=0.001))
