"""Every command as a person or a program calls it: the result on stdout, one sentence on stderr when it cannot be."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import pytest

import kammil
from kammil.cli import main
from kammil.cli.training import kept
from kammil.decoding import PRESETS, DecodingOptions
from kammil.decoding.options import Options
from kammil.engine import build as engine_build
from kammil.evaluation.keystrokes import simulate
from kammil.evaluation.metrics import Evaluation

NETWORK = [
    *("--model", "gru", "--epochs", "2", "--set", "embedding=16", "--set", "hidden=32"),
    *("--set", "device=cpu", "--set", "threads=1"),
]
"""A network that learns in a moment."""

COMMANDS = (
    [],
    *(["train"], ["complete"], ["suggest"], ["explain"], ["evaluate"], ["compare"], ["export"], ["serve"]),
    *(["plot"], ["info"]),
    *(["profile"], ["profile", "learn"], ["profile", "forget"], ["profile", "show"], ["profile", "wipe"]),
    *(["data"], ["data", "list"], ["data", "get"], ["data", "check"], ["data", "split"]),
)


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the real entry point in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["kammil", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        streams = capsys.readouterr()
        return Result(int(left.value.code or 0), streams.out, streams.err)

    return call


def process(
    *arguments: str | bytes | Path, cwd: Path | None = None, stdin: int | None = None
) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "kammil", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """A part of the embedded corpus as a file."""
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in texts[:120]), "utf-8")
    return path


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """Another part, short."""
    path = tmp_path_factory.mktemp("texts") / "held-out.txt"
    path.write_text("".join(f"{text}\n" for text in texts[400:412]), "utf-8")
    return path


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Path:
    """A counted model."""
    return kammil.train(file, out=tmp_path_factory.mktemp("models") / "counter", model="ngram").folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Path:
    """A network."""
    sizes: dict[str, Any] = {"model": "gru", "embedding": 16, "hidden": 32, "epochs": 2, "device": "cpu", "threads": 1}
    return kammil.train(file, out=tmp_path_factory.mktemp("models") / "network", **sizes).folder


def refused(result: Result, message: str = "") -> None:
    """One sentence on stderr, exit status 2, nothing on stdout."""
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.startswith("kammil: ") and result.err.count("\n") == 1, result.err
    assert message in result.err


# ---- help


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.code == 0 and result.err == ""
    assert result.out.startswith("Usage: ") and "--help" in result.out


def test_all_commands_are_tested(run: Run) -> None:
    for group in ([], ["data"], ["profile"]):
        _, _, listed = run(*group, "--help").out.partition("Commands:\n")
        names = re.findall(r"^  ([\w-]+)", listed, re.MULTILINE)
        groups = (["data"], ["profile"])
        assert [[*group, name] for name in names if [name] not in groups] == [
            c for c in COMMANDS if len(c) == len(group) + 1 and c[:-1] == group and c not in groups
        ]


def test_version(run: Run) -> None:
    assert run("--version") == Result(0, f"{kammil.__version__}\n", f"{engine_build.engine_name()}\n")


@pytest.mark.parametrize("arguments", [["train"], ["evaluate"], ["train", "x", "--epochs", "many"], ["nonsense"]])
def test_a_wrong_call_shows_the_usage(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.code == 2 and result.out == ""
    assert "Usage: " in result.err and "Traceback" not in result.err


# ---- train


def test_train_counts(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("train", file, "--model", "ngram")
    assert result.code == 0 and result.err == ""
    first, *table, last = result.out.splitlines()
    assert re.fullmatch(r"12 texts, [\d,]+ characters; target: [\d,]+ characters after the middle of each text", first)
    assert any(line.lstrip().startswith("bits per character, target") for line in table)
    assert last == "model: texts-ngram"  # the file's name and the family
    assert kammil.load(tmp_path / "texts-ngram").complete("شو").text is not None


def test_train_learns(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("train", file, "--out", "model", *NETWORK)
    assert result.code == 0
    assert result.out.endswith("model: model\n") and "epoch" not in result.out
    begun, *lines = result.err.splitlines()
    assert re.fullmatch(r"learning on cpu in (float32|bfloat16)( with \d+ threads?)?", begun)
    epochs = [re.match(r"epoch (\d): train \d\.\d+ bits, validation \d\.\d+ bits", x) for x in lines]
    assert [match and match[1] for match in epochs] == ["1", "2"]
    assert (tmp_path / "model" / "training.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


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
    assert json.loads((tmp_path / "model" / "model.json").read_text("utf-8"))["settings"] == {"order": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hiden = 3", "there is no option 'hiden'; did you mean 'hidden'?"),
        ("epochs = [1]", "epochs is [1], but"),
        ("epochs = 2020-01-01", "epochs is datetime.date(2020, 1, 1), but"),
        ("[training]\nepochs = 1", "there is no option 'training'"),
        ('out = "elsewhere"', "out is no option for --set or a TOML file"),
        ('validation = "file.txt"', "validation is no option for --set or a TOML file"),
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


TABLE = "Tweet\tCountry\nشو في اليوم\tlebanon\nما في شي\tjordan\n"


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("t.tsv", TABLE, ["--column", "Tweat"], "t.tsv has no column 'Tweat' (did you mean 'Tweet'?)"),
        ("t.tsv", TABLE, ["--column", "\udcff"], "t.tsv has no column"),
        ("t.tsv", TABLE, [], "choose one with --column"),
        ("t.tsv", TABLE, ["--column", "Tweet", "--where", "Country ="], "--where 'Country =' is not a condition"),
        ("t.tsv", TABLE, ["--column", "Tweet", "--where", "Cuntry = 'x'"], "(did you mean 'Country'?)"),
        ("t.tsv", TABLE, ["--column", "Tweet", "--where", "Country = 'mars'"], "selects none of the 2 rows"),
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
        ("t.txt", "one\ntwo\n", ["--set", "hidden=3"], "there is no option 'hidden'; the ngram family has no such"),
        ("t.txt", "one\ntwo\n", ["--set", "hidden"], "--set 'hidden' is no assignment"),
        ("t.txt", "one\ntwo\n", ["--set", "=3"], "--set '=3' is no assignment"),
        ("t.txt", "one\ntwo\n", ["--set", "out=x"], "out is no option for --set or a TOML file"),
        ("t.txt", "one\ntwo\n", ["--set", "\udcff=x"], "there is no option"),
        ("t.txt", "one\ntwo\n", ["--without", "links"], "there is no text rule 'links'; the rules are nfc"),
        ("t.txt", "one\ntwo\n", ["--model", "lstm"], "model is 'lstm', but it must be one of ngram, gru"),
        ("t.txt", "one\ntwo\n", ["--seed", "-1"], "seed is -1, but"),
        ("t.txt", "one\ntwo\n", ["--minutes", "0"], "minutes is 0.0, but"),
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
    assert all(line.startswith(("learning on ", "epoch ")) for line in result.err.splitlines()[:-1])
    assert not list(tmp_path.iterdir())


def test_a_figure_that_cannot_be_written_costs_no_model(run: Run, file: Path, tmp_path: Path) -> None:
    small = ["--set", "hidden=4", "--set", "embedding=2"]
    with small_disk(40_000):  # the figure is the largest file then
        result = run("train", file, "--out", "model", *NETWORK, *small)
    assert result.code == 0 and result.out.endswith("model: model\n")
    assert result.err.splitlines()[-1].startswith("no figure: cannot write")
    assert not (tmp_path / "model" / "training.png").exists()
    assert kammil.load(tmp_path / "model").complete("شو", length=3).text is not None


def test_a_full_disk_behind_stdout() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "kammil", "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr == b"kammil: No space left on device; free some space or name another place.\n"


# ---- signals


def until(started: subprocess.Popen[bytes], line: bytes) -> None:
    """Wait for a line on stderr that begins so."""
    assert started.stderr is not None
    for read in started.stderr:
        if read.startswith(line):
            return
    raise AssertionError(f"no line began with {line!r}")


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
    refused(other, "the interrupted run for model has another seed (0 then, 1 now); give the same, or --replace")

    resumed = run("train", file, "--out", "model", "--resume", *options)
    assert resumed.code == 0 and not resumed.err.startswith("epoch 1:")
    whole = run("train", file, "--out", "whole", *options)
    assert whole.err.splitlines()[1].startswith("epoch 1:")
    assert whole.err.startswith("learning on cpu in ") and "with 1 thread\n" in whole.err
    for name in ("weights.safetensors", "model.json"):
        assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "whole"]


def test_control_c_keeps_the_best_so_far(file: Path, tmp_path: Path) -> None:
    started = process("train", file, "--out", "model", *NETWORK, "--epochs", "100000", cwd=tmp_path)
    until(started, b"epoch 1:")
    started.send_signal(signal.SIGINT)
    out, err = started.communicate()
    assert started.returncode == 0, err
    assert out.endswith(b"model: model\n") and b"Traceback" not in err
    assert re.search(rb"^ended early: (epoch 1|the best of \d+ epochs) is kept$", err, re.MULTILINE)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text("utf-8"))
    assert 1 <= len(metrics["history"]) < 100_000
    assert kammil.load(tmp_path / "model").complete("شو", length=3).text is not None


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
    assert kept(out) == f"there was nothing yet of {out} to keep; the same command begins anew"
    for name in ("model-1-base", "other-base", "model-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text("{}")
    assert kept(out) == "model-1-base is kept; the same command goes on from there"
    (tmp_path / ".model-1.training").mkdir()
    (tmp_path / ".model-1.training" / "checkpoint.safetensors").write_text("")
    sentence = "model-1-base and the last whole epoch of model-1 are kept; the same command goes on from there"
    assert kept(out) == sentence
    (tmp_path / ".model.training").mkdir()
    (tmp_path / ".model.training" / "checkpoint.safetensors").write_text("")
    assert kept(out) == f"the state after the last whole epoch of {out} is kept; go on with --resume"


# ---- complete


def test_complete_prints_what_follows_and_nothing_else(run: Run, trained: Path, texts: list[str]) -> None:
    prompt = texts[0][:12]
    expected = kammil.load(trained).complete(prompt, length=20, temperature=0.9, top_k=5, seed=4)
    arguments = ["--length", "20", "--temperature", "0.9", "--top-k", "5", "--seed", "4"]
    assert run("complete", prompt, "--model", trained, *arguments) == Result(0, expected.text + "\n", "")


def test_every_line_of_stdin_is_a_prompt(run: Run, counter: Path) -> None:
    model = kammil.load(counter)
    prompts = ["شو", "", "ما في ", "\ufffd x"]
    result = run("complete", "--model", counter, stdin="شو\r\n\nما في \n".encode() + b"\xff x")
    assert result.err == ""
    assert result.out.split("\n") == [*(model.complete(prompt).text for prompt in prompts), ""]


def test_several_completions(run: Run, counter: Path) -> None:
    answers = [answer.text for answer in kammil.load(counter).samples("شو", 4, seed=9)]
    assert run("complete", "شو", "--model", counter, "-n", 4, "--seed", 9).out.splitlines() == answers
    assert run("complete", "شو", "--model", counter, "--seed", 9).out == answers[0] + "\n"


def test_json_for_programs(run: Run, counter: Path) -> None:
    result = run("complete", "--model", counter, "-n", 2, "--json", "--seed", 3, stdin="شو\nما\n".encode())
    model = kammil.load(counter)
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert lines == [json.loads(json.dumps([asdict(a) for a in model.samples(p, 2, seed=3)])) for p in ("شو", "ما")]
    assert set(lines[0][0]) == {"prompt", "text", "finish_reason", "bits"}


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--beams", "3", "-n", "2"], {"beams": 3}),
        (["--typical-p", "0.3", "-n", "2"], {"typical_p": 0.3}),
        (["--best-of", "4", "--temperature", "1", "-n", "2"], {"best_of": 4, "temperature": 1.0}),
        (
            ["--forbid", "ا", "--forbid", "ي", "--force", "شو", "--min-length", "12", "-n", "2"],
            {"forbid": ["ا", "ي"], "force": ["شو"], "min_length": 12},
        ),
        (
            ["--repetition-penalty", "1.3", "--presence-penalty", "0.2", "--frequency-penalty", "-0.1", "-n", "2"],
            {"repetition_penalty": 1.3, "presence_penalty": 0.2, "frequency_penalty": -0.1},
        ),
        (["--no-copy", "12", "--temperature", "0", "-n", "2"], {"no_copy": 12, "temperature": 0.0}),
        (["--preset", "creative", "--length", "20", "-n", "2"], {"preset": "creative", "length": 20}),
    ],
)
def test_every_flag_reaches_the_model(
    run: Run, counter: Path, arguments: list[str], options: dict[str, object]
) -> None:
    answers = [answer.text for answer in kammil.load(counter).samples("شو", 2, **cast(Options, options))]
    assert run("complete", "شو", "--model", counter, *arguments).out.splitlines() == answers


def test_a_flag_wins_over_a_preset(run: Run, counter: Path) -> None:
    plain = run("complete", "شو", "--model", counter, "--temperature", 1, "--seed", 2).out
    for preset, options in PRESETS.items():
        defaults = {name: DecodingOptions.model_fields[name].default for name in options if name != "temperature"}
        reset = [f"--{name.replace('_', '-')}={value}" for name, value in defaults.items()]
        chosen = ["--preset", preset, *reset, "--temperature", 1, "--seed", 2]
        assert run("complete", "شو", "--model", counter, *chosen).out == plain


def test_seeds(run: Run, counter: Path) -> None:
    outs = [run("complete", "شو", "--model", counter, "--temperature", 1, "--seed", seed).out for seed in (1, 1, 2, 3)]
    assert outs[0] == outs[1]
    assert len(set(outs)) > 1
    greedy = {run("complete", "شو", "--model", counter, "--temperature", 0, "--seed", seed).out for seed in (1, 2)}
    assert len(greedy) == 1


@pytest.mark.parametrize("prompt", ["", " ", "\udcff\udcfe", "\ud800", "a\x01b", "🇱🇧👩‍👧", "x" * 20_000, "شو\nما"])
def test_any_prompt_is_completed(run: Run, trained: Path, prompt: str) -> None:
    result = run("complete", "--model", trained, "--length", 5, "--", prompt)
    assert result.code == 0 and result.err == ""
    assert result.out.endswith("\n") and len(result.out) <= 6
    (answer,) = json.loads(run("complete", "--model", trained, "--json", "--length", 5, "--", prompt).out)
    assert answer["text"] == result.out[:-1]


def test_bytes_that_are_no_text(counter: Path) -> None:
    done = process("complete", b"\xff\xfe \xd8", "--model", counter, stdin=subprocess.DEVNULL)
    out, err = done.communicate()
    assert (done.returncode, err) == (0, b"")
    assert out.decode() == kammil.load(counter).complete("\udcff\udcfe \udcd8").text + "\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--temperature", "-1"], "temperature is -1.0, but it must be 0 (always the most probable) or more"),
        (["--temperature", "nan"], "temperature is nan, but"),
        (["--top-p", "0"], "top_p is 0.0, but it must be above 0 and at most 1"),
        (["--top-p", "1.01"], "top_p is 1.01, but it must be above 0 and at most 1"),
        (["--top-p", "nan"], "top_p is nan, but"),
        (["--min-p", "2"], "min_p is 2.0, but it must be between 0 and 1"),
        (["--typical-p", "0"], "typical_p is 0.0, but it must be above 0 and at most 1"),
        (["--top-k", "0"], "top_k is 0, but it must be a whole number of at least 1"),
        (["--length", "-1"], "length is -1, but it must be a whole number from 0"),
        (["--seed", "-1"], "seed is -1, but it must be a whole number from 0"),
        (["--stop", ""], "a stop string is empty"),
        (["--forbid", ""], "a forbidden string is empty"),
        (["--force", "ش" * 40], "which needs 40 characters, but length is 30"),
        (["--no-copy", "5"], "no_copy is 5, but it must be a whole number of at least 12"),
        (["--beams", "0"], "beams is 0, but it must be a whole number from 1 to 64"),
        (["--beams", "2", "-n", "3"], "n is 3, but 2 beams find no more than 2"),
        (["--best-of", "2", "-n", "3"], "n is 3, but best_of is 2; it must be at least n"),
        (["--min-length", "31"], "min_length is 31, but length is 30"),
        (["--repetition-penalty", "0"], "repetition_penalty is 0.0, but it must be above 0"),
        (["--presence-penalty", "3"], "presence_penalty is 3.0, but it must be from -2 to 2"),
        (["--frequency-penalty", "-3"], "frequency_penalty is -3.0, but it must be from -2 to 2"),
        (["--preset", "best"], "preset is 'best', but it must be one of: predictive, creative, exact"),
        (["-n", "0"], "n is 0, but at least one completion must be asked for"),
        (["-n", "-3"], "n is -3, but"),
        (["-n", "0", "--json"], "n is 0, but"),
    ],
)
def test_complete_says_what_is_wrong(run: Run, counter: Path, options: list[str], message: str) -> None:
    refused(run("complete", "شو", "--model", counter, *options), message)


def test_a_reader_that_goes_away_is_no_error(counter: Path) -> None:
    for arguments in (["complete", "--model", counter], ["info", counter]):
        started = process(*arguments, stdin=subprocess.PIPE)
        assert started.stdin is not None and started.stdout is not None and started.stderr is not None
        started.stdout.close()  # as `| head -c 0` does
        with started.stderr as stderr:
            try:
                started.stdin.write("شو\n".encode() * 1000)
                started.stdin.close()
            except BrokenPipeError:
                pass
            assert stderr.read() == b""
        assert started.wait() in (1, 141)


def test_streams_that_are_closed_from_the_start_are_no_error(counter: Path) -> None:
    for stream in ("<&-", ">&-", "2>&-"):
        command = f'"$1" -m kammil complete --model "$2" {stream}'
        done = subprocess.run(
            ["sh", "-c", command, "sh", sys.executable, counter],
            input="شو\n".encode(),
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert bool(done.stdout) == (stream == "2>&-")


def on_terminal(*arguments: object, **variables: str) -> str:
    """What a command shows on a terminal."""
    terminal, end = pty.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        command = [sys.executable, "-m", "kammil", *map(str, arguments)]
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color"} | variables
        done = subprocess.run(command, stdout=end, stderr=end, check=False, env=environment)
        os.close(end)
        shown = screen.read(65536).decode("utf-8", "replace")
    assert done.returncode == 0, shown
    return shown


def test_a_person_sees_the_whole_text(counter: Path) -> None:
    shown = on_terminal("complete", "شو في", "--model", counter)
    assert shown == "شو في" + kammil.load(counter).complete("شو في").text + "\r\n"


# ---- suggest


def test_suggest_prints_words_the_best_first(run: Run, trained: Path) -> None:
    expected = kammil.load(trained).suggest("شو ", 4, threshold=0.001)
    assert expected
    result = run("suggest", "شو ", "--model", trained, "-k", 4, "--threshold", 0.001)
    assert result == Result(0, "".join(f"{s.text}\n" for s in expected), "")


def test_a_person_sees_how_probable_a_word_is(counter: Path) -> None:
    shown = on_terminal("suggest", "شو ", "--model", counter)
    expected = kammil.load(counter).suggest("شو ")
    assert shown == "".join(f"{s.probability:6.1%}  {s.text}\r\n" for s in expected)


def test_suggest_may_have_nothing_to_say(run: Run, counter: Path) -> None:
    assert run("suggest", "شو ", "--model", counter, "--threshold", 1) == Result(0, "", "")
    assert run("suggest", "شو ", "--model", counter, "--threshold", 1, "--json") == Result(0, "[]\n", "")


def test_suggest_for_every_line_of_stdin(run: Run, counter: Path) -> None:
    model = kammil.load(counter)
    prefixes = ["شو", "", "ما في "]
    result = run("suggest", "--model", counter, "--json", "-k", 2, stdin="شو\r\n\nما في \n".encode())
    assert result.err == ""
    assert [json.loads(line) for line in result.out.splitlines()] == [
        json.loads(json.dumps([asdict(s) for s in model.suggest(prefix, 2)])) for prefix in prefixes
    ]
    people = run("suggest", "--model", counter, "-k", 2, stdin="شو\r\n\nما في \n".encode())
    lists = ["".join(f"{s.text}\n" for s in model.suggest(prefix, 2)) for prefix in prefixes]
    assert people.out == "\n".join(lists)


@pytest.mark.parametrize("prefix", ["", " ", "\udcff\udcfe", "\ud800", "a\x01b", "🇱🇧👩‍👧", "x" * 5000, "شو\nما"])
def test_any_prefix_is_answered(run: Run, counter: Path, prefix: str) -> None:
    result = run("suggest", "--model", counter, "--", prefix)
    assert result.code == 0 and result.err == ""
    assert len(result.out.splitlines()) <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-k", "0"], "k is 0, but at least one"),
        (["--threshold", "1.5"], "threshold is 1.5, but it must be between 0 and 1"),
        (["--threshold", "nan"], "threshold is nan, but"),
        (["--model", "missing"], "there is no model folder"),
    ],
)
def test_suggest_says_what_is_wrong(run: Run, counter: Path, options: list[str], message: str) -> None:
    refused(run("suggest", "شو", "--model", counter, *options), message)


# ---- explain


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
    assert ("believed" in result.out) == any(place.credits for place in made.places)


def test_explain_for_programs(run: Run, trained: Path) -> None:
    made = kammil.explain(kammil.load(trained), "شو ☃", k=5)
    result = run("explain", trained, "شو ☃", "-k", 5, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == json.loads(json.dumps(asdict(made)))
    assert json.loads(run("explain", trained, "", "--json").out)["bits_per_character"] is None


def test_explain_into_files(run: Run, network: Path, tmp_path: Path) -> None:
    result = run("explain", network, "شو رأيك", "--png", "a.png", "--html", "a.html")
    assert result == Result(0, "a.png\na.html\n", "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert run("explain", network, "شو", "--temperatures", "0,0.5,1", "--png", "b.svg") == Result(0, "b.svg\n", "")
    assert (tmp_path / "b.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    "text", ["", "\udcff", "\u202eabc\u2066", "a\x1b[31mb\x07\r\n", "🇱🇧👩‍👧\u2028", "[bold]$x$<b>"]
)
def test_any_text_is_explained_harmlessly(run: Run, tmp_path: Path, texts: list[str], text: str) -> None:
    raw = kammil.train(texts[:60], out=tmp_path / "raw", model="ngram", raw=True).folder
    result = run("explain", raw, "--html", "a.html", "--png", "a.png", "--", text)
    assert (result.code, result.err) == (0, "")
    result = run("explain", raw, "--", text)
    assert (result.code, result.err) == (0, "")
    for out in (result.out, (tmp_path / "a.html").read_text("utf-8")):
        odd = {c for c in out if not c.isprintable()} - set("\n\u200d\u200e\xa0")
        assert not odd, odd


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-k", "0"], "k is 0, but at least one"),
        (["--temperatures", "1"], "name its file with --png"),
        (["--temperatures", "warm", "--png", "a.png"], "'warm' is no list of numbers"),
        (["--temperatures", "-1", "--png", "a.png"], "the temperature is -1.0"),
        (["--png", "a.txt"], "cannot write the figure a.txt"),
        (["--html", "missing/a.html"], "cannot write the page missing/a.html"),
    ],
)
def test_explain_says_what_is_wrong(run: Run, counter: Path, tmp_path: Path, options: list[str], message: str) -> None:
    refused(run("explain", counter, "شو", *options), message)
    assert not list(tmp_path.iterdir())


def test_probabilities_of_a_completion_leave_stdout_alone(run: Run, counter: Path) -> None:
    for n in (1, 2):
        plain = run("complete", "شو", "--model", counter, "-n", n)
        shown = run("complete", "شو", "--model", counter, "-n", n, "--show-probabilities")
        assert shown.out == plain.out and shown.code == 0
        assert shown.err.count("bits a character") == n
    (answer,) = json.loads(run("complete", "شو", "--model", counter, "--show-probabilities", "--json").out)
    assert [place["text"] for place in answer["places"]] == [*answer["text"], ""]
    assert [place["bits"] for place in answer["places"][:-1]] == pytest.approx(answer["bits"], abs=1e-3)


def test_a_person_sees_colours_word_by_word(counter: Path) -> None:
    title = on_terminal("explain", counter, "شو رأيك").splitlines()[0]
    assert "شو\033" in title and "رأيك\033" in title and title.count("\033[") >= 4


def test_a_narrow_terminal_has_a_line_for_each_character() -> None:
    shown = on_terminal("explain", "levantine", "شو حلو", COLUMNS="80", TERM="dumb")
    rows = [line for line in shown.splitlines() if " %" in line]
    assert len(rows) == len("شو حلو") + 1 and all("network" in row for row in rows)


# ---- evaluate, info, plot


def test_evaluate_for_people(run: Run, trained: Path, held_out: Path) -> None:
    result = run("evaluate", trained, held_out, "--samples", 2)
    assert result.code == 0 and result.err == ""
    assert result.out.startswith("12 texts, ")
    assert trained.name in result.out and "95 % intervals" in result.out
    assert result.out.count("\ninput        [") == 2
    for label in ("truth ", "greedy ", "T = 0.5", "T = 1.0", "T = 1.5"):
        assert result.out.count(f"\n{label}") == 2


def test_few_texts_are_shown_without_intervals(run: Run, counter: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("شو حلو الشعور\nيلا نطلع عالبحر\n", "utf-8")
    out = run("evaluate", counter, "few.txt", "--samples", 0, "--typing").out
    assert "no intervals: 10 texts are the fewest that one is made of" in out
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
        (["--plot", "a.png"], "--plot is about suggestions; give --typing too"),
        (["--threshold", "0.1"], "--threshold is about suggestions; give --typing too"),
        (["--typing", "--threshold", "-1"], "threshold is -1.0, but"),
        (["--typing", "--plot", "a.txt"], "cannot write the figure a.txt"),
        (["--typing", "--plot", "a.png", "--threshold", "1"], "suggests nothing on these texts"),
    ],
)
def test_evaluate_says_what_is_wrong_with_typing(
    run: Run, counter: Path, held_out: Path, options: list[str], message: str
) -> None:
    refused(run("evaluate", counter, held_out, *options), message)


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


def test_info(run: Run, trained: Path) -> None:
    card = run("info", trained)
    assert card == Result(0, (trained / "README.md").read_text("utf-8").rstrip() + "\n", "")
    for_programs = run("info", trained, "--json")
    assert for_programs.code == 0 and for_programs.err == ""
    found = json.loads(for_programs.out)
    assert found.pop("metrics") == json.loads((trained / "metrics.json").read_text("utf-8"))
    assert found == json.loads((trained / "model.json").read_text("utf-8"))


def test_plot(run: Run, network: Path, counter: Path, tmp_path: Path) -> None:
    for name, start in (("curves.png", b"\x89PNG"), ("curves.svg", b"<?xml"), ("curves.pdf", b"%PDF")):
        assert run("plot", network, "--out", name) == Result(0, f"{name}\n", "")
        assert (tmp_path / name).read_bytes().startswith(start)
    copied = shutil.copytree(network, tmp_path / "model")
    assert run("plot", "model") == Result(0, "model/training.png\n", "")
    assert (copied / "training.png").is_file()
    refused(run("plot", counter, "--out", "none.png"), "keeps no history of its training")
    refused(run("plot", network, "--out", "curves.txt"), "cannot write the figure curves.txt")
    refused(run("plot", network, "--out", "no/such/folder.png"), "cannot write the figure no/such/folder.png")
    assert not (tmp_path / "none.png").exists() and not (tmp_path / "curves.txt").exists()


@pytest.mark.parametrize("history", ["3", "[1]", '[{"epoch": 1}]', '"ab"', "{}"])
def test_a_foreign_history_is_said(run: Run, network: Path, tmp_path: Path, history: str) -> None:
    copied = shutil.copytree(network, tmp_path / "model")
    (copied / "metrics.json").write_text(f'{{"history": {history}}}')
    refused(run("plot", "model", "--out", "x.png"))


# ---- model folders that are none


@pytest.mark.parametrize("command", [["complete", "شو", "--model"], ["info"], ["plot"]])
def test_no_model_folder(run: Run, command: list[str], tmp_path: Path) -> None:
    refused(run(*command, "nowhere"), "there is no model folder at nowhere")
    (tmp_path / "empty").mkdir()
    refused(run(*command, "empty"), "model.json")
    (tmp_path / "file").write_text("x")
    refused(run(*command, "file"), "file is a file, not a model folder; train a model on it with: kammil train file")


@pytest.mark.parametrize("damage", ["gone", "empty", "half", "noise"])
def test_a_damaged_model_folder(run: Run, trained: Path, held_out: Path, tmp_path: Path, damage: str) -> None:
    names = ["model.json", "vocabulary.json", "weights.safetensors", "seen.safetensors", "baselines.safetensors"]
    for name in names:
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        path = shutil.copytree(trained, tmp_path / "model") / name
        whole = path.read_bytes()
        content = {"empty": b"", "half": whole[: len(whole) // 2], "noise": bytes(range(256)) * 9}
        path.write_bytes(content.get(damage, b""))
        if damage == "gone":
            path.unlink()
        refused(run("complete", "شو", "--model", "model"))
        refused(run("evaluate", "model", held_out))


# ---- data


def test_data_list(run: Run) -> None:
    people = run("data", "list")
    assert people.code == 0 and people.err == "" and "arsentd-lev" in people.out
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
    assert json.loads(run("data", "check", "train.txt", "--json").out)["leaks"] is None
    refused(run("data", "check", "nowhere.txt"), "nowhere.txt does not exist")
    refused(run("data", "check", "test.txt", "--against", "nowhere.txt"), "nowhere.txt does not exist")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["شو رأيك فيها اليوم", "ما في شي جديد بنوب", "بدي روح عالبيت هلق"] * 30, "Only 3 texts to learn from"),
        ([chr(0x628 + i % 20) for i in range(200)], "The texts have 1.0 characters on average"),
        ([f"{i} كلمة " * 900 for i in range(60)], "Kammil is made for short ones: cut them first"),
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


def test_data_check_shortens_long_examples(run: Run, tmp_path: Path) -> None:
    long = "👨‍👩‍👧" * 300 + "שלום"
    (tmp_path / "long.txt").write_text(f"{long}\n{long}!\nother\n", "utf-8")
    lines = run("data", "check", "long.txt").out.splitlines()
    assert "  row 1: " + "👨‍👩‍👧" * 99 + "…" in lines
    assert any(line.startswith("scripts") and "Hebrew" in line for line in lines)


def test_data_split(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("data", "split", file, "--test", "0.2", "--validation", "0.1", "--out", "parts")
    assert result.code == 0 and result.err == ""
    paths = [Path(line) for line in result.out.splitlines()]
    assert [path.name for path in paths] == ["train.txt", "validation.txt", "test.txt"]
    train, _, test = (path.read_text("utf-8").splitlines() for path in paths)
    assert set(train) | set(test) <= set(file.read_text("utf-8").splitlines())
    leaks = json.loads(run("data", "check", paths[2], "--against", paths[0], "--json").out)["leaks"]
    assert leaks["near"] == 0
    refused(run("data", "split", file, "--out", "other", "--test", "1"), "1.0 for test leave nothing to train on")
    assert not (tmp_path / "other").exists()


# ---- compare

COMPARED = ["--minutes", "1", "--set", "epochs=2", *NETWORK[4:]]


def test_compare_twice(run: Run, file: Path, tmp_path: Path) -> None:
    first = run("compare", file, "--families", "ngram,gru", "--out", "both", *COMPARED)
    assert first.code == 0, first.err
    assert "epoch 2: train" in first.err and "gru: at work" in first.err
    for word in ("ngram", "PPMd", "LZMA", "best", "tok:intl", "bits, target", "keystrokes saved"):
        assert word in first.out
    assert first.out.endswith("comparison: both\n")
    made = {path.name for path in (tmp_path / "both").iterdir()}
    split = {"train.txt", "validation.txt", "test.txt"}
    results = {"rows.json", "rows.safetensors", "results.json", "README.md", "comparison.png"}
    assert made == {"ngram", "gru"} | split | results
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
        (["--minutes", "0"], "minutes is 0.0, but"),
        (["--without", "links"], "there is no text rule 'links'"),
    ],
)
def test_a_wrong_comparison(run: Run, file: Path, tmp_path: Path, options: list[str], message: str) -> None:
    refused(run("compare", file, "--minutes", "1", "--out", "both", *options), message)
    assert not (tmp_path / "both").exists()


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


# ---- export


def test_export_writes_a_model_and_a_program(run: Run, network: Path, counter: Path) -> None:
    assert run("export", network, "--format", "onnx") == Result(0, "network.onnx\nnetwork.py\n", "")
    done = subprocess.run([sys.executable, "network.py", "شو "], capture_output=True, check=True)
    assert done.stdout.decode() == "شو " + run("complete", "شو ", "--model", network, "--temperature", "0").out
    refused(run("export", network, "--format", "onnx"), "network.onnx exists already; give --replace")
    refused(run("export", network, "--format", "gguf"), "format is 'gguf', but it must be one of onnx")
    refused(run("export", network, "--format", "onnx", "--part", "network", "--replace"), "only a blend has parts")
    refused(run("export", counter, "--format", "onnx"), "train one with --model gru")


def test_the_network_of_a_blend_is_exported_with_a_warning(run: Run, folder_of: Callable[[str], Path]) -> None:
    refused(run("export", folder_of("blend"), "--format", "onnx"), "export its network alone with --part network")
    result = run("export", folder_of("blend"), "--format", "onnx", "--part", "network", "--out", "net.onnx")
    assert (result.code, result.out) == (0, "net.onnx\nnet.py\n")
    assert result.err.startswith("kammil: the counts of the blend are not in the file") and result.err.count("\n") == 1


# ---- profile


def test_a_profile_is_learnt_shown_used_forgotten_and_wiped(run: Run, folder_of: Callable[[str], Path]) -> None:
    model, text = folder_of("blend"), "قطايف بالجوز"
    refused(run("suggest", "قط", "--model", model, "--profile", "me"), "kammil profile learn me TEXT")
    asked = ("suggest", "قط", "--model", model, "--json", "--threshold", "0.0001")
    before = run(*asked)
    assert run("profile", "learn", "me", text, text, "هلا\x1b[2J") == Result(0, "me: 3 texts\n", "")
    assert run("profile", "learn", "me", stdin=f"{text}\r\n\n{text}\n".encode()) == Result(0, "me: 5 texts\n", "")
    after = run(*asked, "--profile", "me")
    assert after.out != before.out and "قطايف" in [word["text"] for word in json.loads(after.out)]
    bits = [
        sum(place["bits"] for place in json.loads(run("explain", model, text, "--json", *more).out)["places"])
        for more in ((), ("--profile", "me"))
    ]
    assert bits[1] < bits[0]
    assert run("profile", "show", "me").out == f"   4  {text}\n   1  هلا␛[2J\n"
    shown = json.loads(run("profile", "show", "me", "--json").out)
    assert shown == [{"text": text, "learnt": 4}, {"text": "هلا\x1b[2J", "learnt": 1}]
    assert run("profile", "forget", "me", text, text, text, text) == Result(0, "me: 1 text\n", "")
    refused(run("profile", "forget", "me", "هلا\x1b[2J", text), "was not learnt")
    assert run("profile", "wipe", "me") == Result(0, "me: wiped\n", "")
    for command in ("show", "wipe", "forget"):
        refused(run("profile", command, "me"), "there is no profile at me")
    assert run(*asked) == before


def test_a_full_profile_says_that_the_oldest_went(run: Run) -> None:
    result = run("profile", "learn", "me", stdin="".join(f"{n}\n" for n in range(2003)).encode())
    assert result.code == 0 and result.out == "me: 2,000 texts\n"
    assert result.err.endswith("so the 3 oldest went.\n") and result.err.count("\n") == 1


def test_a_profile_needs_a_model_that_learns(run: Run, counter: Path) -> None:
    run("profile", "learn", "me", "شو")
    refused(run("complete", "شو", "--model", counter, "--profile", "me"), "train one with --model blend")
    Path("me").write_text("a diary\n")
    for command in ("learn", "forget", "show", "wipe"):
        refused(run("profile", command, "me", *(["شو"] if command in ("learn", "forget") else [])), "is no profile")
