"""Commands that say how good a model is, and what it is made of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import TABLE, Result, Run, on_terminal, refused

import kammil
from kammil.evaluation.evaluate import Evaluation
from kammil.evaluation.typing_report import simulate
from kammil.model_folder import write_arrays


def test_evaluate_for_people(run: Run, trained: Path, held_out: Path) -> None:
    result = run("evaluate", trained, held_out, "--samples", 2)
    assert result.code == 0 and result.err == ""
    assert result.out.startswith("12 texts, ")
    assert trained.name in result.out and "95 %" in result.out and "by position" not in result.out
    assert result.out.count("\ninput        [") == 2
    for label in ("truth ", "greedy ", "T = 0.5", "T = 1.0", "T = 1.5"):
        assert result.out.count(f"\n{label}") == 2


def test_evaluate_a_conversation(run: Run, tmp_path: Path) -> None:
    talk = ["رودي رجع من السفر مبارح", "بدنا نعزم رودي عالعشا", "وين رودي؟", "حكيت مع رودي"]
    (tmp_path / "chat.txt").write_text("\n".join(talk), "utf-8")
    common = "evaluate", "levantine", "chat.txt", "--context", 3, "--samples", 1
    result = run(*common)
    assert (result.code, result.err) == (0, "") and "after the 3 texts before" in result.out
    found = json.loads(run(*common, "--json", "--typing").out)
    assert found["context"] == found["typing"]["context"] == 3
    assert found["model"] == asdict(kammil.evaluate(kammil.load(), talk, context=3).model)
    refused(run(*common[:3], "chat.txt", *common[3:]), "one conversation")
    refused(run("evaluate", "levantine", tmp_path, "--context", 3), "one conversation")
    refused(run("evaluate", "levantine", "chat.txt", "--context", -1), "context is -1")


@pytest.mark.parametrize("value", ["many", None, {"texts": []}, [1]])
def test_foreign_records_are_refused_in_a_sentence(
    run: Run, counter: Path, held_out: Path, tmp_path: Path, value: object
) -> None:
    folder = Path(shutil.copytree(counter, tmp_path / "foreign"))
    for file, keys, arguments in (
        ("model.json", ("training", "data"), ["evaluate", folder, held_out, "--samples", 0]),
        ("model.json", ("training", "data"), ["verify", folder, held_out]),
        ("metrics.json", ("validation", "texts"), ["info", folder]),
    ):
        content = (counter / file).read_text("utf-8")
        changed = json.loads(content)
        changed[keys[0]][keys[1]] = value
        (folder / file).write_text(json.dumps(changed), "utf-8")
        if not (value is None and arguments[0] == "evaluate"):  # a model without a record of its texts
            refused(run(*arguments), "record" if arguments[0] == "verify" else "records of its training is not ours")
        (folder / file).write_text(content, "utf-8")


def test_few_texts_are_shown_without_intervals(run: Run, counter: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("شو حلو الشعور\nيلا نطلع عالبحر\n", "utf-8")
    out = run("evaluate", counter, "few.txt", "--samples", 0, "--typing").out
    assert "fewer than 10 texts" in " ".join(out.split())
    assert not re.search(r"\d \(\d", out) and "95 %" not in out


def test_texts_of_other_letters_are_told_of(run: Run, counter: Path, tmp_path: Path) -> None:
    for text, told in (("привет, как дела\n", True), ("شو حلو الشعور\n", False)):
        (tmp_path / "few.txt").write_text(text * 3, "utf-8")
        assert ("unknown" in run("evaluate", counter, "few.txt", "--samples", 0).out) == told
    assert run("evaluate", counter, "few.txt", "--samples", -1).code == 2


def test_evaluate_for_programs(run: Run, trained: Path, held_out: Path) -> None:
    result = run("evaluate", trained, held_out, "--json", "--samples", 3)
    assert result.code == 0 and result.err == ""
    found = json.loads(result.out)
    measured = kammil.evaluate(kammil.load(trained), held_out.read_text("utf-8").splitlines())
    shown = found.pop("samples")
    assert found == json.loads(json.dumps(measured.to_dict()))
    assert set(found) == set(Evaluation.__dataclass_fields__)
    assert set(found["model"]["target_bits_per_character"]) == {"value", "low", "high"}
    assert len(shown) == 3 and set(shown[0]) == {"input", "truth", "written"}
    assert [w["temperature"] for w in shown[0]["written"]] == [0, 0.5, 1, 1.5]
    assert {w["novelty"] for sample in shown for w in sample["written"]} <= {"seen", "new"}
    assert json.loads(run("evaluate", trained, held_out, "--json", "--samples", 0).out)["samples"] == []


def test_evaluate_by_position(run: Run, counter: Path, held_out: Path, tmp_path: Path) -> None:
    shown = run("evaluate", counter, held_out, "--samples", 0, "--target", 8, "--plot-positions", "positions.svg")
    assert shown.code == 0 and shown.err == ""
    assert "by position after the prompt" in shown.out and "random" in shown.out and "at most 8 characters" in shown.out
    assert (tmp_path / "positions.svg").read_bytes().startswith(b"<?xml")
    texts = held_out.read_text("utf-8").splitlines()
    least = sorted(map(len, texts))[6]
    options = ["--target", 8, "--min-length", least, "--samples", 2]
    found = json.loads(run("evaluate", counter, held_out, *options, "--json").out)
    measured = kammil.evaluate(kammil.load(counter), texts, target=8, min_length=least)
    samples = found.pop("samples")
    assert found == json.loads(json.dumps(measured.to_dict())) and found["short_texts"] > 0
    assert all(len(sample["truth"]) <= 8 for sample in samples)
    assert f"left out: {found['short_texts']} texts of fewer than {least} characters" in (
        run("evaluate", counter, held_out, *options).out
    )


def test_evaluate_types(run: Run, counter: Path, held_out: Path, tmp_path: Path) -> None:
    people = run("evaluate", counter, held_out, "--samples", 0, "--typing", "--plot", "reliability.png")
    assert people.code == 0 and people.err == ""
    for words in ("keystrokes saved, 3 suggestions", "ghost text", "every word known", "calibration error", "3-gram"):
        assert words in people.out
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")
    result = run("evaluate", counter, held_out, "--samples", 0, "--typing", "--threshold", 0.02, "--json")
    typed = simulate(kammil.load(counter), held_out.read_text("utf-8").splitlines(), threshold=0.02)
    assert json.loads(result.out)["typing"] == json.loads(json.dumps(asdict(typed)))
    assert "typing" not in json.loads(run("evaluate", counter, held_out, "--samples", 0, "--json").out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "0"], "target is 0, but"),
        (["--min-length", "90"], "no text has 90 characters or more"),
        (["--plot-positions", "a.txt"], "cannot write the figure a.txt"),
        (["--plot", "a.png"], "--plot is about suggestions; give --typing too"),
        (["--threshold", "0.1"], "--threshold is about suggestions; give --typing too"),
        (["--slips", "0.1"], "--slips is about suggestions; give --typing too"),
        (["--typing", "--slips", "2"], "slips is 2.0, but it must be between 0 and 1"),
        (["--typing", "--threshold", "-1"], "threshold is -1.0, but"),
        (["--typing", "--plot", "a.txt"], "cannot write the figure a.txt"),
        (["--typing", "--plot", "a.png", "--threshold", "1"], "suggests nothing on these texts"),
    ],
)
def test_evaluate_says_what_is_wrong_with_typing(run: Run, counter: Path, options: list[str], message: str) -> None:
    Path("few.txt").write_text("شو حلو\nيلا نطلع\n", "utf-8")
    refused(run("evaluate", counter, "few.txt", *options), message)


def test_evaluate_reads_a_column(run: Run, counter: Path, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(TABLE, "utf-8")
    arguments = ["--column", "Tweet", "--where", "Country = 'jordan'", "--json"]
    assert json.loads(run("evaluate", counter, "t.tsv", *arguments).out)["texts"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), (b"\x00\x01", "binary"), ("ـ\n", "no text to evaluate on"), (None, "exist")],
)
def test_evaluate_says_what_is_wrong(run: Run, counter: Path, content: str | bytes | None, message: str) -> None:
    if content is not None:
        Path("t.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(run("evaluate", counter, "t.txt"), message)


def test_info_of_layers(run: Run, network: Path) -> None:
    shown = run("info", network, "--layers")
    assert shown.code == 0 and shown.err == ""
    found = json.loads(run("info", network, "--layers", "--json").out)
    total = sum(layer["parameters"] for layer in found["layers"])
    assert total == found["metrics"]["parameters"]
    assert shown.out.startswith(f"{network.name}: family gru\n")
    assert shown.out.endswith(f"parameters: {total:,}; trainable, by gradient descent: {total:,}; counted: 0\n")
    for layer in found["layers"]:
        (line,) = [line for line in shown.out.splitlines() if f" {layer['name']} " in line]
        assert " x ".join(f"{n:,}" for n in layer["shape"]) in line and f"{layer['parameters']:,}" in line


def test_info_says_what_is_wrong_with_layers(run: Run, network: Path, tmp_path: Path) -> None:
    shutil.copytree(network, tmp_path / "broken")
    write_arrays(tmp_path / "broken" / "weights.safetensors", {"a.whole": np.zeros(3, np.uint8)})
    refused(run("info", "broken", "--layers"), "broken does not fit together")


def test_info(run: Run, trained: Path) -> None:
    assert run("info").out == run("info", "levantine").out != ""
    shown = run("info", trained)
    assert shown.code == 0 and shown.err == ""
    overview, whole, card = shown.out.partition("\n\nThe whole card\n\n")
    assert whole and card == (trained / "README.md").read_text("utf-8").rstrip() + "\n"
    headings = [line for line in overview.splitlines() if line in ("What it is for", "How good it is", "Known faults")]
    assert headings == ["What it is for", "How good it is"]  # a card that is written by training names no faults
    for_programs = run("info", trained, "--json")
    assert for_programs.code == 0 and for_programs.err == ""
    found = json.loads(for_programs.out)
    assert found.pop("metrics") == json.loads((trained / "metrics.json").read_text("utf-8"))
    assert found == json.loads((trained / "model.json").read_text("utf-8"))


def test_a_report_of_a_folder_alone_quotes_nothing(run: Run, network: Path, tmp_path: Path) -> None:
    shutil.copytree(network, tmp_path / "model")
    assert run("report", "model") == Result(0, "report: model-report.html\n", "")
    content = (tmp_path / "model-report.html").read_text("utf-8")
    assert 'id="figures"' in content and 'id="surprise"' not in content and "kammil train" in content


def test_a_report_on_texts(run: Run, network: Path, tmp_path: Path, texts: list[str]) -> None:
    (tmp_path / "new.txt").write_text("\n".join(texts[-12:]), "utf-8")
    assert run("report", network, "new.txt", "--out", "r.html") == Result(0, "report: r.html\n", "")
    content = (tmp_path / "r.html").read_text("utf-8")
    assert "texts of new.txt" in content and 'id="surprise"' in content
    assert "What was kept of the training was chosen by these texts" not in content


def test_a_bundled_model_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    assert run("report", "levantine") == Result(0, "report: levantine-report.html\n", "")
    assert (tmp_path / "levantine-report.html").stat().st_size < 2_000_000


@pytest.mark.parametrize("records", ['{"machine": 3}', '{"members": 3}', '{"history": "ab", "versions": [1]}', "{}"])
def test_foreign_records_are_a_sentence_or_a_gap(run: Run, network: Path, tmp_path: Path, records: str) -> None:
    copied = shutil.copytree(network, tmp_path / "model")
    (copied / "metrics.json").write_text(records)
    result = run("report", "model")
    if result.code:
        refused(result, "copy the folder again")
    else:
        assert (tmp_path / "model-report.html").exists()


def test_a_foreign_training_is_refused(run: Run, network: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(network, tmp_path / "model")
    description = json.loads((copied / "model.json").read_text("utf-8"))
    for training in ({"data": 3}, {"data": {"texts": 1}}, {"recipe": 5}):
        (copied / "model.json").write_text(json.dumps(description | {"training": training}))
        refused(run("report", "model"), "copy the folder again")


def test_what_cannot_be_written_or_read_is_refused(run: Run, network: Path) -> None:
    refused(run("report", network, "--out", "no/such/place.html"), "there is no folder no/such")
    refused(run("report", network, "none.txt"), "none.txt")
    refused(run("report", network, "--seconds", 0), "--seconds is 0")


_INVISIBLE = 5 * "\N{LEFT-TO-RIGHT MARK}"
"""Marks in a row of the table, which take no column."""


def test_explain_for_people(run: Run, trained: Path) -> None:
    made = kammil.explain(kammil.load(trained), "شو رأيك", given="يلا ")
    result = run("explain", trained, "شو رأيك", "--given", "يلا ")
    assert result.code == 0 and result.err == ""
    title, *lines = result.out.splitlines()
    assert title == "يلا شو رأيك" and "\033" not in result.out
    shown = [line for line in lines if "%" in line]
    assert len(shown) == 8
    for place, line in zip(made.places, shown, strict=True):
        assert f"{place.bits:.2f}" in line
    assert any(f"{made.bits_per_character:.2f} bits a character" in line for line in lines)
    credited = any(place.credits for place in made.places)
    assert ("believed" in result.out) == ("Believed: the part of the model" in result.out) == credited


def test_the_model_is_an_option_or_stands_first(run: Run, counter: Path) -> None:
    first, second = run("explain", counter, "شو رأيك"), run("explain", "شو رأيك", "--model", counter)
    assert first == second and first.code == 0
    refused(run("explain", "شو", "رأيك", "--model", counter), "2 texts")
    assert json.loads(run("explain", "شو رأيك", "--json").out)["text"] == "شو رأيك"  # by the bundled model


def test_explain_for_programs(run: Run, trained: Path) -> None:
    made = kammil.explain(kammil.load(trained), "شو ☃", k=5)
    result = run("explain", trained, "شو ☃", "-k", 5, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == json.loads(json.dumps(asdict(made)))
    assert json.loads(run("explain", trained, "", "--json").out)["bits_per_character"] is None


def test_explain_reads_what_was_said_before(run: Run, tmp_path: Path) -> None:
    said = ["رودي رجع من السفر مبارح", "بدنا نعزم رودي عالعشا"]
    (tmp_path / "chat.txt").write_text("\n".join(said), "utf-8")
    made = kammil.explain(kammil.load(), "حكيت مع رودي", context=said)
    shown = run("explain", "حكيت مع رودي", "--context", "chat.txt", "--json").out
    assert json.loads(shown) == json.loads(json.dumps(asdict(made)))


def test_explain_into_a_page(run: Run, network: Path, tmp_path: Path) -> None:
    assert run("explain", network, "شو رأيك", "--html", "a.html") == Result(0, "a.html\n", "")
    assert (tmp_path / "a.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "text", ["", "\udcff", "\u202eabc\u2066", "a\x1b[31mb\x07\r\n", "🇱🇧👩‍👧\u2028", "[bold]$x$<b>"]
)
def test_any_text_is_explained_harmlessly(run: Run, raw_counter: Path, tmp_path: Path, text: str) -> None:
    result = run("explain", raw_counter, "--html", "a.html", "--", text)
    assert (result.code, result.err) == (0, "")
    result = run("explain", raw_counter, "--", text)
    assert (result.code, result.err) == (0, "")
    for out in (result.out, (tmp_path / "a.html").read_text("utf-8")):
        odd = {c for c in out if not c.isprintable()} - set("\n\u200d\u200e\xa0")
        assert not odd, odd


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-k", "0"], "k is 0"),
        (["--html", "missing/a.html"], "cannot write missing/a.html"),
    ],
)
def test_explain_says_what_is_wrong(run: Run, counter: Path, tmp_path: Path, options: list[str], message: str) -> None:
    refused(run("explain", counter, "شو", *options), message)
    assert not list(tmp_path.iterdir())


def test_a_person_sees_colours_word_by_word(counter: Path) -> None:
    title = on_terminal("explain", counter, "شو رأيك").splitlines()[0]
    assert "شو\033" in title and "رأيك\033" in title and title.count("\033[") >= 4


@pytest.mark.parametrize("columns", [64, 80, 130])
def test_a_terminal_has_a_line_for_each_character(columns: int) -> None:
    shown = re.sub(r"\033\[[\d;]*m", "", on_terminal("explain", "levantine", "شو حلو", COLUMNS=str(columns)))
    rows = [line for line in shown.splitlines() if " %" in line]
    assert len(rows) == len("شو حلو") + 1 and max(map(len, rows)) <= columns + len(_INVISIBLE)
    assert "network" in shown
    assert "👤" not in shown and "🔗" not in shown
    assert "█" not in rows[-1]
    assert any("█" in row for row in rows) == (columns == 130)
    assert not any("+" in row for row in rows)  # who was believed stands there in words


def test_export_writes_a_model_and_a_program(run: Run, network: Path, counter: Path) -> None:
    assert run("export", network, "--format", "onnx") == Result(0, "network.onnx\nnetwork.py\n", "")
    done = subprocess.run([sys.executable, "network.py", "شو "], capture_output=True, check=True)
    assert done.stdout.decode() == "شو " + run("complete", "شو ", "--model", network, "--temperature", "0").out
    refused(run("export", network, "--format", "onnx"), "network.onnx exists already; give --replace")
    refused(run("export", network, "--format", "pdf"), "format is 'pdf', but it must be one of onnx, hf")
    refused(run("export", network, "--format", "onnx", "--part", "network", "--replace"), "only a blend has parts")
    refused(run("export", counter, "--format", "onnx"), "train one with --model gru")


def test_export_writes_word_lists(run: Run, counter: Path) -> None:
    assert run("export", counter, "--format", "words", "--words", "20") == Result(0, "counter-words\n", "")
    assert Path("counter-words/words.combined").read_text("utf-8").count(" word=") == 20
    refused(run("export", counter, "--format", "hf", "--locale", "ar"), "word lists")


def test_the_network_of_a_blend_is_exported_with_a_warning(run: Run, folder_of: Callable[[str], Path]) -> None:
    refused(run("export", folder_of("blend"), "--format", "onnx"), "export its network alone with --part network")
    result = run("export", folder_of("blend"), "--format", "onnx", "--part", "network", "--out", "net.onnx")
    assert (result.code, result.out) == (0, "net.onnx\nnet.py\n")
    assert result.err.startswith("kammil: the counts of the blend are not in the file") and result.err.count("\n") == 1
