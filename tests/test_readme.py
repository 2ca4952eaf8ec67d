"""The README is executed: its commands, in order, and its Python."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kammil.training.recipe import Recipe
from kammil.training.texts import prepare

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    """The code blocks of one kind."""
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's commands have run; training is cut to a few seconds."""
    folder = tmp_path_factory.mktemp("readme")
    lines = [line for block in blocks("console") for line in block.splitlines() if line.startswith("$ kammil ")]
    assert len(lines) >= 8
    for line in lines:
        command = shlex.split(line.removeprefix("$ "), comments=True)
        if "--minutes" in command:
            command[command.index("--minutes") + 1] = "0.05"
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert done.stdout.strip(), line
    return folder


def test_the_commands_work_in_order(place: Path) -> None:
    paths = {path.name for path in place.iterdir()}
    assert {"texts", "my-counter", "my-model"} <= paths
    assert (place / "my-model" / "training.png").stat().st_size > 10_000


def test_the_python_works_after_them(place: Path) -> None:
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) > 0  # the score


def test_what_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists(), target


def test_what_the_readme_says_of_links_and_handles(tmp_path: Path, texts: list[str]) -> None:
    """What becomes of them, and that the options that it names keep them."""
    assert (
        "links become 🔗, handles and e-mail addresses 👤" in README and "`--without urls --without handles`" in README
    )
    (rules,) = re.findall(r'rules=(\{"urls".*?\})', README)
    odd = [*texts[:40], "see https://a.example now @somebody me@a.example"]
    for options, seen in (({}, "see 🔗 now 👤 👤"), ({"rules": json.loads(rules.replace("False", "false"))}, odd[-1])):
        data = prepare(Recipe.of({"model": "ngram"} | options), odd, texts[40:42])
        assert data.train[-1] == seen
