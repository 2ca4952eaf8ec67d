"""`kammil data`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.cli.conftest import Run, refused

from kammil.evaluation.examples import examples


def test_data_list(run: Run) -> None:
    people = run("data", "list")
    assert people.code == 0 and people.err == "" and "arsentd-lev" in people.out
    assert "sample" in people.out and "embedded" in people.out
    refused(run("data", "get", "nope"), "sample")
    entries = json.loads(run("data", "list", "--json").out)
    assert "arsentd-lev" in {entry["name"] for entry in entries}
    for entry in entries:
        assert entry["licence"] and entry["citation"]
        assert entry["status"].keys() == {f["path"] for f in entry["files"]}
        assert set(entry["status"].values()) <= {"present", "absent", "corrupt"}


def test_data_get(run: Run, data_dir: Path) -> None:
    result = run("data", "get", "arsentd-lev")
    assert result.code == 0
    assert result.out == f"{data_dir / 'ArSenTD-LEV.tsv'}\n"
    assert "research use" in result.err and "Cite: " in result.err
    refused(run("data", "get", "arsentd"), "(did you mean 'arsentd-lev'?)")


def test_data_check(run: Run, tmp_path: Path) -> None:
    train = ["a text of some length that stands in both parts", "another one that does not", "ـ"]
    held_out = [train[0].upper() + "!", train[1] + " but for a tail", "quite another thing", "twice", "twice"]
    for name, part in (("train.txt", train), ("test.txt", held_out)):
        (tmp_path / name).write_text("".join(f"{text}\n" for text in part), "utf-8")
    found = json.loads(run("data", "check", "test.txt", "--against", "train.txt", "--json").out)
    assert (found["texts"], found["exact_repeats"], found["near_repeats"]) == (5, 1, 1)
    leaks = found["leaks"]
    assert (leaks["exact"], leaks["near"], leaks["total"]) == (1, 2, 5)
    assert (leaks["exact_rows"], leaks["near_rows"], leaks["near_sources"]) == ([0], [0, 1], [0, 1])
    people = run("data", "check", "test.txt", "--against", "train.txt")
    assert people.code == 0 and people.err == ""
    assert "same letters    1 of 5 (20.0 %)" in people.out and "near-duplicates 2 of 5 (40.0 %)" in people.out
    assert "verdict: not a fair test of what is trained on train.txt: 2 of 5" in people.out.splitlines()[-1]
    assert json.loads(run("data", "check", "train.txt", "--json").out)["leaks"] is None
    refused(run("data", "check", "nowhere.txt"), "nowhere.txt does not exist")
    refused(run("data", "check", "test.txt", "--against", "nowhere.txt"), "nowhere.txt does not exist")


def test_a_folder_says_how_many_files_of_it_were_read(run: Run, tmp_path: Path) -> None:
    for place in ("corpus/a.txt", "corpus/inner/b.txt", "flat/c.txt"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("شو رأيك فيها اليوم\n", "utf-8")
    (tmp_path / "corpus" / "notes.md").write_text("no text of a corpus")
    out = run("data", "check", "corpus", "flat").out
    read = [line.split(maxsplit=1)[1] for line in out.splitlines() if line.startswith("read ")]
    assert read == ["2 files of corpus and its subfolders", "1 file of flat"]
    assert "2 files of corpus" in run("data", "show", "corpus").err
    assert "read " not in run("data", "check", "flat/c.txt").out


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["شو رأيك فيها اليوم", "ما في شي جديد بنوب", "بدي روح عالبيت هلق"] * 30, "Only 3 texts to learn from"),
        ([chr(0x628 + i % 20) for i in range(200)], "The texts have 1.0 characters on average"),
        ([f"{i} كلمة " * 300 for i in range(60)], "Kammil is made for short ones: cut them first"),
    ],
)
def test_odd_texts_are_said_by_every_command(run: Run, tmp_path: Path, texts: list[str], said: str) -> None:
    (tmp_path / "odd.txt").write_text("\n".join(texts), "utf-8")
    assert any(said in line for line in run("data", "check", "odd.txt").out.splitlines())
    if said.startswith("Only"):  # all alike and a few different ones: what is learnt is as many texts as there are
        texts = texts[:3]
        (tmp_path / "odd.txt").write_text("\n".join(texts), "utf-8")
        said = "Only 2 texts to learn from"
    trained = run("train", "odd.txt", "--model", "ngram", "--out", "odd")
    assert said in trained.out
    assert said in run("evaluate", "odd", "odd.txt", "--samples", 0).out
    assert said in run("info", "odd").out


def test_texts_that_are_all_alike_are_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "alike.txt").write_text("the very same text again\n" * 5000, "utf-8")
    refused(
        run("train", "alike.txt", "--model", "ngram"),
        "the 5,000 texts of alike.txt are near-duplicates of one another, so none is left to validate with; add texts",
    )


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        ([f"نص رقم {i} عن يوم {i * i} بالبلد" for i in range(60)], "verdict: fit to train on."),
        (
            [f"نص رقم {i} عن يوم {i * i} بالبلد" for i in range(60)] + ["الجو اليوم حلو كتير عنا بالضيعة"] * 3,
            "2 texts are near-duplicates",
        ),
        (["شو رأيك فيها اليوم", "ما في شي جديد بنوب"], "verdict: hardly fit to train on, for the reason above."),
        ([f"نص رقم {i} عن يوم \ufffd {i * i}" for i in range(60)], "60 broken texts, so name the --encoding"),
    ],
)
def test_data_check_ends_with_a_verdict(run: Run, tmp_path: Path, texts: list[str], verdict: str) -> None:
    (tmp_path / "t.txt").write_text("\n".join(texts), "utf-8")
    assert verdict in run("data", "check", "t.txt").out.splitlines()[-1]
    (tmp_path / "other.txt").write_text("شي تاني ما خصّه بهالنصوص أبدًا\n", "utf-8")
    against = run("data", "check", "other.txt", "--against", "t.txt").out.splitlines()[-1]
    assert against == "verdict: a fair test of what is trained on t.txt: no leak."


def test_data_check_shortens_long_examples(run: Run, tmp_path: Path) -> None:
    long = "👨‍👩‍👧" * 300 + "שלום"
    (tmp_path / "long.txt").write_text(f"{long}\n{long}!\nother\n", "utf-8")
    lines = run("data", "check", "long.txt").out.splitlines()
    assert "  row 1: " + "👨‍👩‍👧" * 99 + "…" in lines
    assert any(line.startswith("scripts") and "Hebrew" in line for line in lines)


def test_data_show(run: Run, tmp_path: Path) -> None:
    texts = ["شو حلو اليوم 12", "a\u0301b", *(chr(0x4E00 + i) * 3 for i in range(60))]
    (tmp_path / "t.txt").write_text("\n".join(texts), "utf-8")
    shown = run("data", "show", "t.txt", "-n", 2, "--target", 4, "--min-length", 3)
    assert shown.code == 0 and shown.err == ""
    lines = shown.out.splitlines()
    assert lines[0].startswith("61 texts, ") and "1 of fewer than 3 left out" in lines[0]
    assert lines[2:4] == ["prompt  [شو حلو ]", "target  [اليو]"]
    assert shown.out.count("prompt  [") == 2
    rows = [line.split() for line in lines if "U+" in line]
    assert len(rows) == 40 and rows[0][:4] == ["4", "3", "U+0020", "SPACE"] and rows[-1][2] == f"U+{0x4E00 + 59:X}"
    assert sum(line.strip().startswith("...") for line in lines) == 1
    found = json.loads(run("data", "show", "t.txt", "-n", 2, "--target", 4, "--min-length", 3, "--json").out)
    assert found == asdict(examples(tmp_path / "t.txt", 2, target=4, min_length=3)) | {
        "pairs": found["pairs"],
        "vocabulary": found["vocabulary"],
    }
    (tmp_path / "few.txt").write_text("abc\n", "utf-8")
    few = run("data", "show", "few.txt").out
    assert few.count("U+") == 3 and "..." not in few
    refused(run("data", "show", "few.txt", "--min-length", 9), "lower --min-length")


def test_data_split(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("data", "split", file, "--test", "0.2", "--validation", "0.1", "--out", "parts")
    assert result.code == 0
    paths = [Path(line) for line in result.out.splitlines()]
    assert [path.name for path in paths] == ["train.txt", "validation.txt", "test.txt"]
    train, validation, test = (path.read_text("utf-8").splitlines() for path in paths)
    used = f"{len(train)} for train, {len(validation)} for validation, {len(test)} for test"
    assert f" texts: {used}; left out: " in result.err and result.err.count("\n") == 1
    assert set(train) | set(test) <= set(file.read_text("utf-8").splitlines())
    leaks = json.loads(run("data", "check", paths[2], "--against", paths[0], "--json").out)["leaks"]
    assert leaks["near"] == 0
    refused(run("data", "split", file, "--out", "other", "--test", "1"), "1.0 for test leave nothing to train on")
    assert not (tmp_path / "other").exists()


def test_a_line_break_in_a_cell_is_a_space_in_the_parts_that_are_learnt(run: Run, texts: list[str]) -> None:
    rows = [{"text": f"{text}\r\n 2 \u2028 {text}"} for text in texts[:20]]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert run("data", "split", "t.jsonl", "--out", "parts").out.split() == ["parts/train.txt", "parts/test.txt"]
    written = [line for name in ("train", "test") for line in Path(f"parts/{name}.txt").read_text("utf-8").split("\n")]
    assert {*written, ""} == {*(f"{text} 2 \u2028 {text}" for text in texts[:20]), ""}
    refused(run("data", "check", "parts/train.jsonl"), "did you mean 'train.txt'")
    Path("parts/train.txt").rename("parts/train.jsonl")
    refused(run("data", "check", "parts/train.txt"), "did you mean 'train.jsonl'")


def test_data_split_says_what_it_leaves_out(run: Run, tmp_path: Path) -> None:
    repeated = "a text of some length that stands here four times"
    (tmp_path / "t.txt").write_text("\n".join([repeated, "", *[repeated] * 3, " ", "another one"]) + "\n", "utf-8")
    split = run("data", "split", "t.txt", "--out", "parts", "--test", "0.8")
    assert split.err == (
        "7 texts: 1 for train, 1 for test; left out: 2 empty and 3 that repeat or resemble a text held out for test\n"
    )
    (tmp_path / "u.txt").write_text("one\ntwo\n", "utf-8")
    assert run("data", "split", "u.txt", "--out", "more").err == "2 texts: 1 for train, 1 for test; left out: none\n"


def test_a_header_above_a_numbered_column_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,Tweet\n1,كيفك\n2,منيح\n", "utf-8")
    (tmp_path / "b.csv").write_text("1,شو\n2,طيب\n", "utf-8")
    said = "the first row names the columns, so it is left out: a.csv (id, Tweet)"
    lines = run("data", "check", "a.csv", "--column", "2").out.splitlines()
    assert lines[0] == f"read             {said}" and lines[1].startswith("texts            2,")
    assert run("data", "show", "a.csv", "--column", "2").err == f"{said}\n"
    assert said in run("data", "split", "a.csv", "--column", "2", "--out", "parts").err
    assert "left out" not in run("data", "check", "b.csv", "--column", "2").out
    assert "left out" not in run("data", "check", "a.csv", "--column", "Tweet").out


def test_data_check_reads_several_files_and_counts_what_is_personal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;text\n1;رقمي 0900123456\n", "utf-8")
    (tmp_path / "b.txt").write_text("كتبلي عـ a@example.org\n", "utf-8")
    (tmp_path / "chat.txt").write_text("31/12/2023, 23:59 - Rana: كيفك\n31/12/2023, 23:59 - Samer: منيح\n", "utf-8")
    found = json.loads(run("data", "check", "a.csv", "b.txt", "--json").out)
    assert found["texts"] == 2
    assert found["personal"]["phone or card numbers"] == found["personal"]["e-mail addresses"] == 1
    assert (
        "personal         1 e-mail addresses, 1 phone or card numbers\n" in run("data", "check", "a.csv", "b.txt").out
    )
    assert json.loads(run("data", "check", "chat.txt", "--from", "rana", "--json").out)["texts"] == 1
    refused(run("data", "check", "chat.txt", "--from", "Nobody"), "who wrote most: Rana, Samer")
    refused(run("data", "check", "a.csv", "--delimiter", ","), "one column, but ';' in its name")


def test_rows_of_a_condition_are_said_to_be_numbered_among_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("text\tn\nشو\t1\nكيفك\t2\nكيفك!\t2\n", "utf-8")
    lines = run("data", "check", "t.tsv", "--where", "n = 2").out.splitlines()
    assert "  row 1: كيفك" in lines and any(line.startswith("rows ") and "--where" in line for line in lines)
    assert not any(line.startswith("rows ") for line in run("data", "check", "t.tsv").out.splitlines())


def test_data_check_says_sources_and_dialects(run: Run, tmp_path: Path) -> None:
    texts = [
        "شو هاد يا زلمة، بدي روح عالبيت هلق",
        "لسا ما حدا إجا، وين راحوا هدول",
        "ايه ده، انا عايز اروح البيت دلوقتي",
    ]
    rows = [f"{source}\t{text}" for source, text in zip("aab", texts, strict=True)]
    (tmp_path / "t.tsv").write_text("\n".join(["source\ttext", *rows]) + "\n", "utf-8")
    lines = run("data", "check", "t.tsv").out.splitlines()
    assert "sources          a 66.7 %, b 33.3 %" in lines
    assert "likely dialects  Levantine 66.7 %, Egyptian 33.3 %" in lines
    assert any("of 100 texts called Levantine, about " in line for line in lines)
    found = json.loads(run("data", "check", "t.tsv", "--json").out)
    assert found["sources"] == {"a": 2 / 3, "b": 1 / 3}
    assert found["dialects"]["Egyptian"] == 1 / 3
    (tmp_path / "latin.txt").write_text("no Arabic word\n", "utf-8")
    assert "likely dialects" not in run("data", "check", "latin.txt").out


def test_data_check_names_the_word_by_which_a_source_was_collected(run: Run, tmp_path: Path) -> None:
    rows = [f"a\t{'Olympics' if i < 120 else 'bread'} {i}" for i in range(600)] + [
        f"b\ttea bread {i}" for i in range(600)
    ]
    (tmp_path / "t.tsv").write_text("\n".join(["source\ttext", *rows]) + "\n", "utf-8")
    lines = run("data", "check", "t.tsv").out.splitlines()
    assert "keyword          Olympics stands in 20 % of a" in lines
    assert "120 texts of one source hold Olympics, which a model will write unasked" in lines[-1]
