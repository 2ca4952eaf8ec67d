"""`kammil evaluate` and `kammil info`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import TABLE, Run, refused

import kammil
from kammil.evaluation.evaluate import Evaluation
from kammil.evaluation.typing_report import simulate
from kammil.model_folder import write_arrays


def test_evaluate_for_people(run: Run, trained: Path, held_out: Path) -> None:
    result = run("evaluate", trained, held_out, "--samples", 2)
    assert result.code == 0 and result.err == ""
    assert result.out.startswith("12 texts, ")
    assert trained.name in result.out and "95 %" in result.out
    assert result.out.count("\ninput        [") == 2
    for label in ("truth ", "greedy ", "T = 0.5", "T = 1.0", "T = 1.5"):
        assert result.out.count(f"\n{label}") == 2


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
    assert json.loads(result.out)["typing"] == json.loads(json.dumps(typed.to_dict()))
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
