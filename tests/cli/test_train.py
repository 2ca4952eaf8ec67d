"""Commands that train: their output, their options, and what is left when they fail or are stopped."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.conftest import NETWORK, TABLE, Result, Run, process, refused

import kammil
from kammil.cli.train import what_is_kept
from kammil.models.family import FAMILIES


def test_the_help_names_every_family(run: Run) -> None:
    shown = " ".join(run("train", "--help").out.split())
    assert f"Family: {', '.join(FAMILIES)}." in shown.replace(" or ", ", ")


def test_train_counts(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("train", file, "--model", "ngram")
    assert result.code == 0 and result.err.startswith("108 texts to learn from, 12 to validate with, ")
    assert len(result.err.splitlines()) == 1
    first, *figures, last = result.out.splitlines()
    assert re.fullmatch(
        r"12 texts, [\d,]+ characters; target: at most 30 characters after the middle of each text, [\d,]+ in all",
        first,
    )
    assert [word for word in ("first guess", "bits", "12 texts") if not any(word in line for line in figures)] == []
    assert last == "model: texts-ngram"  # the file's name and the family
    assert kammil.load(tmp_path / "texts-ngram").complete("شو").text is not None


def test_train_learns(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("train", file, "--out", "model", *NETWORK)
    assert result.code == 0
    assert result.out.endswith("model: model\n") and "epoch" not in result.out
    texts, begun, *lines, ending = result.err.splitlines()
    assert texts.startswith("108 texts to learn from, 12 to validate with, ")
    assert re.fullmatch(r"learning [\d,]+ parameters on cpu in (float32|bfloat16)( with \d+ threads?)?", begun)
    assert "all 2 passes" in ending
    epochs = [re.match(r"epoch (\d): train \d\.\d+ bits, validation \d\.\d+ bits", x) for x in lines]
    assert [match and match[1] for match in epochs] == ["1", "2"]
    assert (tmp_path / "model" / "training.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-report.html"]
    assert "report: model-report.html, which quotes texts" in result.out.splitlines()


def test_a_bar_on_a_terminal(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes stderr for a terminal
    monkeypatch.setenv("COLUMNS", "120")
    result = run("train", file, "--out", "model", *NETWORK)
    assert result.code == 0 and "epoch" not in result.out
    assert "epoch 1: train" in result.err and "epoch 2/2" in result.err and "left" in result.err


def test_defaults_then_file_then_flags(run: Run, file: Path, tmp_path: Path) -> None:
    config = tmp_path / "options.toml"
    config.write_text(
        'model = "gru"\nhidden = 8\nembedding = 8\nepochs = 9\nseed = 3\nencoding = "windows-1256"\ndevice = "cpu"\n'
        "[rules]\nurls = false\nhandles = false\n",
        "utf-8",
    )
    flags = ["--epochs", "1", "--set", "embedding=9", "--set", "batch_size=32", "--encoding", "utf-8"]
    rules = ["--without", "nfc", "--without", "handles"]
    assert run("train", file, "--config", config, "--out", "model", *flags, *rules).code == 0
    described = json.loads((tmp_path / "model" / "model.json").read_text("utf-8"))
    training = described["training"]["recipe"]["training"]
    assert (described["settings"]["hidden"], described["settings"]["embedding"]) == (8, 9)
    assert (training["epochs"], training["seed"], training["batch_size"]) == (1, 3, 32)
    assert described["training"]["recipe"]["encoding"] == "utf-8"
    assert [rule for rule, on in described["rules"].items() if not on] == ["nfc", "urls", "handles"]


def test_values_are_read_as_toml_or_as_text(run: Run, file: Path, tmp_path: Path) -> None:
    assert run("train", file, "--out", "model", "--set", "model=ngram", "--set", 'order = 2 # "short"').code == 0
    assert json.loads((tmp_path / "model" / "model.json").read_text("utf-8"))["settings"] == {
        "order": 2,
        "megabytes": 40.0,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hiden = 3", "there is no option 'hiden'; did you mean 'hidden'?"),
        ("epochs = [1]", "epochs is [1], but"),
        ("epochs = 2020-01-01", "epochs is datetime.date(2020, 1, 1), but"),
        ("[training]\nepochs = 1", "there is no option 'training'"),
        ('out = "elsewhere"', "out is no option for a TOML file"),
        ('validation = "file.txt"', "validation is no option for a TOML file"),
        ("rules = 3", "rules is 3, but"),
        ("rules = {links = false}", "there is no text rule 'links'"),
        ("epochs = ", "cannot be read as TOML"),
        (b"\xff", "cannot be read as TOML"),
        (None, "cannot be read as TOML"),
    ],
)
def test_a_wrong_toml_file(run: Run, file: Path, tmp_path: Path, content: str | bytes | None, message: str) -> None:
    config = tmp_path / "options.toml"
    if content is not None:
        config.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(tmp_path.rglob("*"))
    refused(run("train", file, "--config", config, "--out", "model", "--without", "nfc"), message)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("t.tsv", TABLE, ["--column", "Tweat"], "t.tsv has no column 'Tweat' (did you mean 'Tweet'?)"),
        ("t.tsv", TABLE, ["--column", "\udcff"], "t.tsv has no column"),
        ("t.tsv", TABLE, [], "--column"),
        ("t.tsv", TABLE, ["--column", "Tweet", "--where", "Country ="], "--where 'Country =' is not a condition"),
        ("t.tsv", TABLE, ["--column", "Tweet", "--where", "Cuntry = 'x'"], "(did you mean 'Country'?)"),
        ("t.tsv", TABLE, ["--column", "Tweet", "--where", "Country = 'mars'"], "selects no row"),
        ("t.tsv", TABLE, ["--column", "Tweet", "--where", "Country = 'jordan'"], "so none is left to validate with"),
        ("t.txt", TABLE, ["--column", "Tweet"], "t.txt has no columns"),
        ("t.txt", "", [], "t.txt is empty (0 bytes)"),
        ("t.txt", "\n \n", [], "t.txt holds no text"),
        ("t.txt", "ـــ\nـ\n", [], "t.txt holds no text after normalisation"),
        ("t.txt", b"\x7fELF\x02\x00\x01\x00abc", [], "it is binary, not text"),
        ("t.txt", b"\x89PNG\r\n\x1a\n", [], "t.txt is a PNG image"),
        ("t.txt", "مرحبا كيفك اليوم".encode("cp1256"), [], "byte 0xE3 at position 0 (line 1); try --encoding windows"),
        ("t.txt", "مرحبا\nكيفك\n".encode() + b"\xff\n", [], "byte 0xFF at position 20 (line 3)"),
        ("t.txt", "مرحبا", ["--encoding", "windows-1256"], "t.txt is UTF-8, not windows-1256; leave --encoding out"),
        ("t.txt", "مرحبا", ["--encoding", "klingon"], "'klingon' is not a text encoding"),
        ("t.txt", "one text only\n", [], "so none is left to validate with; add texts that differ"),
        ("t.doc", "some text", [], "t.doc has the ending '.doc'"),
        ("t.txt", None, [], "t.txt does not exist"),
        ("t.txt", "one\ntwo\n", ["--validation", "v.txt"], "v.txt does not exist"),
        (
            "t.txt",
            "one\ntwo\n",
            ["--set", "hidden=3"],
            "there is no option 'hidden'; the settings of ngram are order, megabytes",
        ),
        ("t.txt", "one\ntwo\n", ["--set", "hidden"], "--set 'hidden' is no assignment"),
        ("t.txt", "one\ntwo\n", ["--set", "=3"], "--set '=3' is no assignment"),
        ("t.txt", "one\ntwo\n", ["--set", "out=x"], "out is no option for --set"),
        ("t.txt", "one\ntwo\n", ["--set", "\udcff=x"], "there is no option"),
        ("t.txt", "one\ntwo\n", ["--without", "links"], "there is no text rule 'links'; the rules are nfc"),
        ("t.txt", "one\ntwo\n", ["--model", "lstm"], "model is 'lstm', but it must be one of ngram, gru"),
        ("t.txt", "one\ntwo\n", ["--seed", "-1"], "seed is -1, but"),
        ("t.txt", "one\ntwo\n", ["--minutes", "0"], "minutes is 0, but it must be greater than 0."),
        ("t.txt", "one\ntwo\n", ["--epochs", "0"], "epochs is 0, but"),
        ("t.txt", "one\ntwo\n", ["--objective", "words"], "objective is 'words', but"),
        ("t.txt", "one\ntwo\n", ["--out", "t.txt"], "t.txt exists and is no model folder"),
        ("t.txt", "one\ntwo\n", ["--out", "."], "must name a new folder"),
        ("t.txt", "one\ntwo\n", ["--out", "t.txt/model"], "t.txt/model"),
        ("t.txt", "one\ntwo\n", ["--out", "x" * 300], "File name too long"),
    ],
)
def test_train_says_what_is_wrong(
    run: Run, tmp_path: Path, name: str, content: str | bytes | None, options: list[str], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(tmp_path.rglob("*"))
    refused(run("train", name, "--model", "ngram", "--out", "model", *options), message)
    assert sorted(tmp_path.rglob("*")) == before


@contextmanager
def small_disk(largest: int) -> Generator[None]:
    """No file may grow beyond so many bytes: the system refuses, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["ngram", "gru"])
@pytest.mark.parametrize("largest", [0, 700, 5000])
def test_a_full_disk_leaves_nothing_half_written(run: Run, file: Path, tmp_path: Path, kind: str, largest: int) -> None:
    options = NETWORK if kind == "gru" else ["--model", "ngram"]
    with small_disk(largest):
        result = run("train", file, "--out", "model", *options)
    assert (result.code, result.out) == (2, "")
    last = result.err.splitlines()[-1]
    assert re.fullmatch(r"kammil: cannot write .*: File too large; free some space or name another place\.", last)
    assert all(
        line.startswith(("108 texts", "learning ", "epoch ", "made all")) for line in result.err.splitlines()[:-1]
    )
    assert not list(tmp_path.iterdir())


def test_a_figure_that_cannot_be_written_costs_no_model(run: Run, file: Path, tmp_path: Path) -> None:
    small = ["--set", "hidden=4", "--set", "embedding=2"]
    with small_disk(40_000):  # the figure is the largest file then
        result = run("train", file, "--out", "model", *NETWORK, *small)
    assert result.code == 0 and result.out.endswith("model: model\n")
    for lost in ("no figure: cannot write", "no report: cannot write"):
        assert any(line.startswith(lost) for line in result.err.splitlines())
    assert "report: " not in result.out
    assert not (tmp_path / "model" / "training.png").exists()
    assert kammil.load(tmp_path / "model").complete("شو", length=3).text is not None


def until(started: subprocess.Popen[bytes], line: bytes) -> None:
    """Wait for a line on stderr that begins so."""
    assert started.stderr is not None
    for read in started.stderr:
        if read.startswith(line):
            return
    raise AssertionError(f"no line began with {line!r}")


@pytest.mark.long
def test_a_killed_run_goes_on_to_the_very_same_bytes(run: Run, file: Path, tmp_path: Path) -> None:
    options = [*NETWORK, "--epochs", "5"]
    started = process("train", file, "--out", "model", *options, cwd=tmp_path)
    until(started, b"epoch 1:")
    started.kill()  # SIGKILL, in the middle of an epoch
    started.communicate()
    assert started.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".model.training"]

    refused(run("train", file, "--out", "model", *options), "an interrupted run waits for model; go on with --resume")
    other = run("train", file, "--out", "model", "--resume", *options, "--seed", "1")
    assert other.code == 2 and not other.out
    assert other.err.splitlines()[-1].startswith("kammil: ") and "another seed" in other.err

    resumed = run("train", file, "--out", "model", "--resume", *options)
    assert resumed.code == 0 and not resumed.err.startswith("epoch 1:")
    whole = run("train", file, "--out", "whole", *options)
    assert whole.err.splitlines()[2].startswith("epoch 1:") and "with 1 thread\n" in whole.err
    for name in ("weights.safetensors", "model.json"):
        assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model",
        "model-report.html",
        "whole",
        "whole-report.html",
    ]


@pytest.mark.long
def test_control_c_keeps_the_best_so_far(file: Path, tmp_path: Path) -> None:
    started = process("train", file, "--out", "model", *NETWORK, "--epochs", "100000", cwd=tmp_path)
    until(started, b"epoch 1:")
    started.send_signal(signal.SIGINT)
    out, err = started.communicate()
    assert started.returncode == 0, err
    assert out.endswith(b"model: model\n") and b"Traceback" not in err
    assert err.splitlines()[-1].startswith(b"interrupted after ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-report.html"]
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text("utf-8"))
    assert 1 <= len(metrics["history"]) < 100_000
    assert kammil.load(tmp_path / "model").complete("شو", length=3).text is not None


@pytest.mark.long
def test_control_c_before_the_first_step_leaves_nothing(file: Path, tmp_path: Path) -> None:
    # A first step of seconds, so that it cannot be over when the signal arrives.
    slow = ["--set", "hidden=768", "--set", "batch_size=4096"]
    started = process("train", file, "--out", "model", *NETWORK, *slow, cwd=tmp_path)
    while not (tmp_path / ".model.training" / "run.json").exists():
        assert started.poll() is None, started.communicate()
        time.sleep(0.005)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate()
    assert (started.returncode, out) == (130, b"")
    assert err.endswith(b"kammil: stopped.\n") and b"Traceback" not in err
    assert b"there was nothing yet of model to keep; the same command begins anew; it was " in err
    assert not list(tmp_path.iterdir())


def test_what_is_kept_of_a_training_that_was_stopped(tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert what_is_kept(out) == f"there was nothing yet of {out} to keep; the same command begins anew"
    for name in ("model-1-base", "other-base", "model-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text("{}")
    assert what_is_kept(out) == "model-1-base is kept; the same command goes on from there"
    (tmp_path / ".model-1.training").mkdir()
    (tmp_path / ".model-1.training" / "checkpoint.safetensors").write_text("")
    sentence = "model-1-base and the last whole epoch of model-1 are kept; the same command goes on from there"
    assert what_is_kept(out) == sentence
    (tmp_path / ".model.training").mkdir()
    (tmp_path / ".model.training" / "checkpoint.safetensors").write_text("")
    assert what_is_kept(out) == f"the state after the last whole epoch of {out} is kept; go on with --resume"


def test_train_reads_several_files_and_masks_numbers(run: Run, file: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.csv").write_text(
        "id;text\n" + "".join(f"{i};رقم بيتنا 09001234{i}\n" for i in range(10, 40))
    )
    result = run("train", file, "more", "--model", "ngram", "--with", "numbers", "--out", "both")
    assert result.code == 0
    description = json.loads((tmp_path / "both" / "model.json").read_text("utf-8"))
    assert description["rules"]["numbers"] is True
    card = (tmp_path / "both" / "README.md").read_text("utf-8")
    assert "kammil train texts.txt more --config recipe.toml" in card and '\nrules = {"numbers" = true}\n' in card


COMPARED = ["--minutes", "1", "--set", "epochs=2", *NETWORK[4:]]


@pytest.mark.long
def test_compare_twice(run: Run, file: Path, tmp_path: Path) -> None:
    first = run("compare", file, "--families", "ngram,gru", "--out", "both", *COMPARED)
    assert first.code == 0, first.err
    assert "epoch 2: train" in first.err and "gru: at work" in first.err
    for word in ("ngram", "PPMd", "LZMA", "best", "tok:intl"):
        assert word in first.out
    assert first.out.endswith("comparison: both\n")
    made = {path.name for path in (tmp_path / "both").iterdir()}
    split = {"train.txt", "validation.txt", "test.txt"}
    results = {"suite.json", "results.json", "README.md", "comparison.png", "report.html"}
    assert {"ngram", "gru"} | split | results <= made
    assert kammil.load(tmp_path / "both" / "gru").complete("شو").text is not None
    again = run("compare", file, "--families", "ngram", "--families", "gru", "--out", "both", "--json", *COMPARED)
    assert again.code == 0 and "at work" not in again.err
    assert json.loads(again.out) == json.loads((tmp_path / "both" / "results.json").read_text("utf-8"))
    refused(run("compare", file, "--families", "gru", "--out", "both", *COMPARED, "--seed", "4"), "give --replace")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--families", "gpt"], "model is 'gpt', but it must be one of"),
        (["--set", "hiden=3"], "there is no option 'hiden'"),
        (["--set", "out=x"], "out is no option for --set"),
        (["--test", "missing.txt"], "missing.txt does not exist"),
        (["--minutes", "0"], "minutes is 0, but"),
        (["--without", "links"], "there is no text rule 'links'"),
    ],
)
def test_a_wrong_comparison(run: Run, file: Path, tmp_path: Path, options: list[str], message: str) -> None:
    refused(run("compare", file, "--minutes", "1", "--out", "both", *options), message)
    assert not (tmp_path / "both").exists()


@pytest.mark.long
def test_compare_goes_on_after_ctrl_c(file: Path, tmp_path: Path) -> None:
    arguments = ["compare", str(file), "--families", "gru", "--out", "both", "--minutes", "1", *NETWORK[4:]]
    with process(*arguments, "--set", "epochs=4000", "--set", "patience=4000", cwd=tmp_path) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith(b"epoch 1:"):
                break
        running.send_signal(signal.SIGINT)
        assert b"the same command goes on from there" in running.stderr.read()
    assert running.returncode == 130
    assert (tmp_path / "both" / ".gru.training").is_dir() and not (tmp_path / "both" / "gru").exists()


def test_curve_twice(run: Run, file: Path, tmp_path: Path) -> None:
    options = ["--model", "ngram", "--shares", "1/4,1", "--out", "made"]
    first = run("curve", file, *options)
    assert first.code == 0, first.err
    for words in ("training texts", "random", "keystrokes saved", "gain", "From "):
        assert words in first.out
    assert first.out.endswith("curve: made\n")
    made = {path.name for path in (tmp_path / "made").iterdir() if path.is_file()}
    assert {"curve.json", "curve.png", "suite.json", "test.txt", "validation.txt"} <= made
    again = run("curve", file, *options, "--json")
    assert again.code == 0 and "at work" not in again.err
    assert json.loads(again.out) == json.loads((tmp_path / "made" / "curve.json").read_text("utf-8"))
    refused(run("curve", file, *options, "--seed", "4"), "give --replace")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shares", "1/0"], "--shares has '1/0', but a share is written as 1/8"),
        (["--shares", "half"], "--shares has 'half'"),
        (["--shares", "2"], "shares is [2.0]"),
        (["--model", "gpt"], "model is 'gpt', but"),
        (["--set", "out=x"], "out is no option for --set"),
        (["--set", "hiden=3"], "there is no option 'hiden'"),
    ],
)
def test_a_wrong_curve(run: Run, file: Path, tmp_path: Path, options: list[str], message: str) -> None:
    refused(run("curve", file, "--out", "made", *options), message)
    assert not (tmp_path / "made").exists()


def test_plot(run: Run, network: Path, counter: Path, tmp_path: Path) -> None:
    for name, start in (("curves.png", b"\x89PNG"), ("curves.svg", b"<?xml"), ("curves.pdf", b"%PDF")):
        assert run("plot", network, "--out", name) == Result(0, f"{name}\n", "")
        assert (tmp_path / name).read_bytes().startswith(start)
    copied = shutil.copytree(network, tmp_path / "model")
    assert run("plot", "model") == Result(0, "model/training.png\n", "")
    assert (copied / "training.png").is_file()
    refused(run("plot", "levantine"), "--out")
    refused(run("plot", counter, "--out", "none.png"), "keeps no history of its training")
    refused(run("plot", network, "--out", "curves.txt"), "cannot write the figure curves.txt")
    refused(run("plot", network, "--out", "no/such/folder.png"), "cannot write the figure no/such/folder.png")
    assert not (tmp_path / "none.png").exists() and not (tmp_path / "curves.txt").exists()


@pytest.mark.parametrize("history", ["3", "[1]", '[{"epoch": 1}]', '"ab"', "{}"])
def test_a_foreign_history_is_said(run: Run, network: Path, tmp_path: Path, history: str) -> None:
    copied = shutil.copytree(network, tmp_path / "model")
    (copied / "metrics.json").write_text(f'{{"history": {history}}}')
    refused(run("plot", "model", "--out", "x.png"))


def test_verify(run: Run, counter: Path, file: Path, tmp_path: Path) -> None:
    same = run("verify", counter, file)
    assert same.code == 0 and same.err == ""
    assert "not verified: metrics.json: training_seconds\n" in same.out
    assert same.out.splitlines()[-1].startswith("all ") and same.out.endswith(" figures agree\n")
    copy = Path(shutil.copytree(counter, tmp_path / "copy"))
    metrics = json.loads((copy / "metrics.json").read_text("utf-8"))
    metrics["validation"]["model"]["target_top1"]["value"] = 0.999
    (copy / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    other = run("verify", "copy", file)
    assert other.code == 1 and other.err == ""
    assert "metrics.json: validation.model.target_top1.value" in other.out and "0.999" in other.out
    assert f"1 of {int(same.out.split()[-4 + 1].replace(',', '')):,} figures differ" in other.out
    found = run("verify", "copy", file, "--json")
    assert found.code == 1
    assert [check["recorded"] for check in json.loads(found.out)["checks"] if not check["agrees"]] == [0.999]
    refused(run("verify", counter), "cannot be read again")
    refused(run("verify", "nowhere"), "there is no model folder at nowhere")
