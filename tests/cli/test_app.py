"""The program itself: help, versions, streams, and model folders that are missing or damaged."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Result, Run, process, refused

import kammil
from kammil.engine import build

COMMANDS = (
    [],
    *(["suggest"], ["complete"], ["type"], ["lsp"], ["serve"], ["explain"], ["info"]),
    *(["train"], ["evaluate"], ["compare"], ["curve"], ["report"], ["verify"], ["plot"], ["export"]),
    *(["profile"], ["profile", "learn"], ["profile", "forget"], ["profile", "show"]),
    *(["profile", "report"], ["profile", "wipe"]),
    *(["data"], ["data", "list"], ["data", "get"], ["data", "show"], ["data", "check"], ["data", "split"]),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.code == 0 and result.err == ""
    assert result.out.startswith("Usage: ") and "--help" in result.out
    assert not re.search(r"^  \S.*\.\.\.$", result.out, re.MULTILINE)  # no command's summary is cut off


def test_all_commands_are_tested(run: Run) -> None:
    for group in ([], ["data"], ["profile"]):
        _, _, listed = run(*group, "--help").out.partition("Commands:\n")
        names = re.findall(r"^  ([\w-]+)", listed, re.MULTILINE)
        groups = (["data"], ["profile"])
        assert [[*group, name] for name in names if [name] not in groups] == [
            c for c in COMMANDS if len(c) == len(group) + 1 and c[:-1] == group and c not in groups
        ]


def test_a_narrow_terminal_cuts_no_summary_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    for group in ([], ["data"], ["profile"]):
        listed = run(*group, "--help").out
        _, _, summaries = listed.partition("Commands:")
        assert summaries and "..." not in summaries
        assert max(map(len, listed.splitlines())) <= 50


def test_version(run: Run) -> None:
    assert run("--version") == Result(0, f"{kammil.__version__}\n", f"{build.engine_name()}\n")


@pytest.mark.parametrize("arguments", [["train"], ["evaluate"], ["train", "x", "--epochs", "many"], ["nonsense"]])
def test_a_wrong_call_shows_the_usage(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.code == 2 and result.out == ""
    assert "Usage: " in result.err and "Traceback" not in result.err


def test_a_full_disk_behind_stdout() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "kammil", "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr == b"kammil: No space left on device; free some space or name another place.\n"


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
    folder = shutil.copytree(trained, tmp_path / "model")
    for name in names:
        path = folder / name
        intact = path.read_bytes()
        content = {"empty": b"", "half": intact[: len(intact) // 2], "noise": bytes(range(256)) * 9}
        path.write_bytes(content.get(damage, b""))
        if damage == "gone":
            path.unlink()
        refused(run("complete", "شو", "--model", "model"))
        if name == "weights.safetensors":
            refused(run("evaluate", "model", held_out))
        path.write_bytes(intact)
