"""What commands print of a stranger's folder is harmless to a terminal."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Run, on_terminal

from kammil.progress import Notice
from kammil.views.progress import Lines
from kammil.views.tables import harmless

TITLE = "\x1b]0;PWNED\x07"
COMMANDS = TITLE + "\x1b[31m\x9b31m\u202e\u2066EVIL"


@pytest.fixture
def hostile(counter: Path, tmp_path: Path) -> Path:
    """A model whose records hold commands for a terminal."""
    folder = Path(shutil.copytree(counter, tmp_path / "hostile"))
    description = json.loads((folder / "model.json").read_text("utf-8"))
    description["training"]["data"] |= {"source": COMMANDS, "excluded": COMMANDS}
    description["training"]["sha256"] = {"base": COMMANDS}
    (folder / "model.json").write_text(json.dumps(description), "utf-8")
    (folder / "README.md").write_text(f"# model\n\n{COMMANDS}\n", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["verify", "hostile"], 2),
        (["verify", "hostile", "FILE"], 1),
        (["verify", "hostile", "FILE", "--json"], 1),
        (["info", "hostile"], 0),
        (["info", "hostile", "--json"], 0),
        (["info", COMMANDS], 2),
    ],
)
def test_no_command_of_a_strangers_folder_reaches_a_terminal(
    run: Run, hostile: Path, file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    result = run(*(file if argument == "FILE" else argument for argument in arguments))
    shown = result.out + result.err
    assert result.code == code and "EVIL" in shown
    assert not any(command in shown for command in (TITLE, "\x07", "\x9b", "\u202e", "\u2066", "\x1b[31mEVIL"))
    if "--json" in arguments:  # programs read what is written there
        assert json.dumps(COMMANDS) in json.dumps(json.loads(result.out))


def test_a_terminal_shows_signs_in_their_place(hostile: Path) -> None:
    shown = on_terminal("info", hostile)
    assert harmless(COMMANDS) in shown and "\x1b" not in shown


def test_on_a_pipe_a_card_is_unchanged(run: Run, hostile: Path) -> None:
    assert "\u202e\u2066EVIL" in run("info", hostile).out


def test_notices_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    Lines()(Notice(f"شو\t{COMMANDS}"))
    assert capsys.readouterr().err == f"شو\t{harmless(COMMANDS)}\n"
