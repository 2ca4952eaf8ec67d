"""Texts inside JSON are found, and what holds none is one sentence."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from tests.data.reading import sentence, write

from kammil.data.readers import read


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    content = '{"text": "a\\ud800b"}\n{"text": "\\ud83d\\ude00 \\\\ud800"}\n'
    assert read(write(tmp_path, "a.jsonl", content)) == ["a\N{REPLACEMENT CHARACTER}b", "😀 \\ud800"]


@pytest.mark.parametrize("other", ["NaN", "-Infinity", "1e999", "9" * 400, "true", '[[["y"]]]', '{"text": {"a": []}}'])
def test_values_beside_a_text_do_no_harm(tmp_path: Path, other: str) -> None:
    lines = [f'{{"text": "a b", "n": {other}}}', '{"text": "c", "n": "x"}', '{"text": "d", "n": {"m": 1}}']
    for name, content in (("a.jsonl", "\n".join(lines)), ("a.json", f"[{','.join(lines)}]")):
        assert read(write(tmp_path, name, content)) == ["a b", "c", "d"]


def test_the_last_of_two_equal_keys_counts(tmp_path: Path) -> None:
    for name, content in (("a.jsonl", '{"text": "a", "text": "b"}\n'), ("a.json", '[{"text": "a", "text": "b"}]')):
        assert read(write(tmp_path, name, content)) == ["b"]


@pytest.mark.parametrize("start", ['{"a":', "["])
def test_deep_values_take_no_memory(tmp_path: Path, start: str) -> None:
    deep = start * 900 + '"x"' + {"{": "}", "[": "]"}[start[0]] * 900
    path = write(tmp_path, "a.jsonl", f'{{"text": "a", "b": {deep}}}')
    tracemalloc.start()
    assert read(path) == read(path, where="b IS NOT NULL") == ["a"]
    for column in ("b", "b.a", "c"):
        assert sentence(path, column=column)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ([{"text": "a"}, {"text": "b"}], None),
        (["a", "b"], None),
        ({"version": 1, "rows": [{"text": "a"}, {"text": "b"}]}, None),
        ({"version": 1, "rows": [{"text": "a"}, {"text": "b"}]}, "rows.text"),
        ([{"message": {"text": "a"}}, {"message": {"text": "b"}}], "message.text"),
        ([{"talk": [{"role": "u", "text": "a"}, {"role": "v", "text": "b"}]}], "talk.text"),
        ([{"talk": [["a"], ["b"]], "n": 1}], None),
        ([{"m.x": {"text": "a"}}, {"m.x": {"text": "b"}}], "m.x.text"),
    ],
)
def test_texts_inside_json(tmp_path: Path, value: object, column: str | None) -> None:
    path = write(tmp_path, "a.json", json.dumps(value))
    if value == [{"talk": [["a"], ["b"]], "n": 1}]:
        assert "no column of text" in sentence(path)
    else:
        assert read(path, column=column) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "is no list of objects; write one such as"),
        ("[]", "is no list of objects"),
        ('{"a": ', "is not JSON (Expecting value"),
        ("[" * 100_000, "is not JSON"),
        (
            '{"a": [{"x": "y"}], "b": [{"x": "z"}]}',
            "holds 2 lists of objects: a, b; choose one with --column LIST.FIELD",
        ),
        ('[{"n": 1, "m": [{"o": {"p": "a"}}]}]', "text inside one, such as --column m.o.p"),
    ],
)
def test_json_that_holds_no_rows_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    assert message in sentence(write(tmp_path, "a.json", content))


def test_a_key_of_its_own_in_every_row_takes_no_time(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", "".join(f'{{"k{i}": "a"}}\n' for i in range(20_000)))
    assert "20,000 columns; choose one" in sentence(path)
    assert read(path, column="k7") == ["a"]
