"""Files, data sets, parts of the benchmark and several at once, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from kammil.data import sources
from kammil.data.splits import leaks
from kammil.errors import DataError


def test_the_parts_of_the_benchmark_share_nothing() -> None:
    split = sources.benchmark()
    rows = [row for part in sources.PARTS for row in split[part]]
    assert len(rows) == len(set(rows)) == 2680


def test_the_parts_of_the_benchmark_are_what_they_say(data_dir: Path) -> None:
    parts = {part: sources.texts(f"lev30/{part}") for part in sources.PARTS}
    assert {name: len(texts) for name, texts in parts.items()} == {
        "train": 454,
        "train_other": 2033,
        "validation": 64,
        "test": 129,
    }
    found = leaks(parts["train"] + parts["train_other"], parts["validation"] + parts["test"])
    assert (found.exact, found.near) == (0, 0)


def test_several_are_read_one_after_the_other(data_dir: Path) -> None:
    both = sources.texts("lev30/validation+sample")
    assert both == sources.texts("lev30/validation") + sources.texts("sample")


def test_a_file_wins_over_a_joint_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sample+sample").write_text("مرحبا\n", "utf-8")
    with pytest.raises(DataError):  # read as a file, and its name says no format
        sources.texts("sample+sample")
    Path("sample+sample").unlink()
    assert len(sources.texts("sample+sample")) == 2 * len(sources.texts("sample"))


@pytest.mark.parametrize("name", ["lev30/dev", "lev30/"])
def test_an_unknown_part_is_said(name: str) -> None:
    with pytest.raises(DataError, match="its parts are train, train_other, validation, test"):
        sources.rows(name)


def test_a_part_is_fixed() -> None:
    with pytest.raises(DataError, match="leave it out"):
        sources.rows("lev30/test", where="Country = 'lebanon'")


def test_several_files_and_folders_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    files = {"b.txt": "واحد\nاثنين\n", "in/a.csv": "text;source\nثلاثة;x\n", "in/c.jsonl": '{"text": "أربعة"}\n'}
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8")
    read = sources.rows([tmp_path / "b.txt", tmp_path / "in", Path("sample")])
    assert read.texts[:4] == ("واحد", "اثنين", "ثلاثة", "أربعة")
    assert read.sources is not None and len(read.sources) == len(read.texts) == 1404
    assert read.sources[:5] == ("b.txt", "b.txt", "x", "c.jsonl", "sample")
    assert str(read.path) == "b.txt, a.csv, c.jsonl and 1 more"
    assert sources.texts(tmp_path / "in") == ["ثلاثة", "أربعة"]
    assert read.sha256 != sources.rows([tmp_path / "in", tmp_path / "b.txt"]).sha256


def test_a_condition_must_select_something_in_one_of_several_files(tmp_path: Path) -> None:
    for name, n in (("a", 1), ("b", 2)):
        (tmp_path / f"{name}.csv").write_text(f"n,text\n{n},{name}\n", "utf-8")
    assert sources.texts(tmp_path, where="n = 2") == ["b"]
    with pytest.raises(DataError, match="selects no row"):
        sources.texts(tmp_path, where="n = 3")
    with pytest.raises(DataError, match="the list of files is empty"):
        sources.rows([])
