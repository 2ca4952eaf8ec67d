"""What counts as a difference between two records."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.records import files
from tests.records.store import Allowed, Entry, changes, differences, outcome, read, write

from kammil.errors import OptionError


def test_a_record_that_is_read_again_does_not_differ(tmp_path: Path) -> None:
    entries = [
        Entry("a", {"text": "شو\ud83d"}, [0.1234567]),
        Entry("b", None, {"refused": "DataError", "option": None}),
    ]
    assert write(tmp_path / "folder" / "record.jsonl", entries) == 2
    assert list(differences(read(tmp_path / "folder" / "record.jsonl"), entries)) == []


def test_what_changes_what_is_new_and_what_is_gone_is_told() -> None:
    was = [Entry("a", 1, "x"), Entry("b", 1, "y"), Entry("c", 1, "z")]
    now = [Entry("a", 1, "x"), Entry("b", 1, "Y"), Entry("d", 1, "z")]
    assert list(differences(was, now)) == [(was[1], now[1]), (None, now[2]), (was[2], None)]


@pytest.mark.parametrize(
    ("was", "now", "alike"),
    [
        ([0.5, 1], [0.5 + 1e-6, 1], True),
        ([0.5], [0.5001], False),
        ({"said": "one sentence"}, {"said": "a better one"}, True),
        ({"refused": "DataError", "option": None}, {"refused": "DataError", "option": "column"}, True),
        ({"refused": "OptionError", "option": "k"}, {"refused": "OptionError", "option": None}, False),
        ({"texts": 1}, {"refused": "DataError"}, False),
        (["a"], ["a", "a"], False),
    ],
)
def test_figures_are_compared_nearly_and_sentences_not_at_all(was: object, now: object, alike: bool) -> None:
    assert (not any(changes(was, now))) == alike


def test_each_place_that_differs_is_told() -> None:
    was, now = {"list": [["a", 0.5], ["b", 0.1]], "ghost": "x"}, {"list": [["a", 0.6]], "ghost": "x", "new": None}
    found = {path: (before, after) for path, before, after in changes(was, now)}
    assert found == {".list[0][1]": (0.5, 0.6), ".list[1]": (["b", 0.1], "nothing"), ".new": ("nothing", None)}


def test_a_difference_is_meant_where_kind_name_and_result_fit() -> None:
    now = Entry("GET /docs", None, {"status": 404})
    assert Allowed("servers", "GET /doc*", "no page of our own", now='"status": 404').covers("servers", None, now)
    assert not Allowed("readers", "*", "another kind").covers("servers", None, now)
    assert not Allowed("servers", "*", "another result", now='"status": 200').covers("servers", None, now)


def test_a_refusal_is_its_public_class_and_its_option() -> None:
    class NarrowError(OptionError):
        pass

    def refuse(option: str) -> None:
        raise NarrowError("k is 0", option=option)

    assert outcome(refuse, "k") == {"refused": "OptionError", "option": "k", "said": "k is 0"}
    assert outcome(int, "x")["crashed"] == "ValueError"


def test_the_same_number_makes_the_same_file() -> None:
    assert [files.case(number) for number in range(12)] == [files.case(number) for number in range(12)]
