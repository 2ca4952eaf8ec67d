"""`kammil serve`: its flags. tests/server/test_run.py starts it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run, refused

from kammil.completion.learning import Profile
from kammil.server import run as server_run
from kammil.server.settings import ServerSettings

FLAGS: dict[str, tuple[list[str], object]] = {
    "host": (["--host", "127.0.0.2"], "127.0.0.2"),
    "port": (["--port", "0"], 0),
    "workers": (["--workers", "2"], 2),
    "api_key": (["--api-key", "secret"], "secret"),
    "origins": (
        ["--allow-origin", "https://a.org", "--allow-origin", "https://b.org"],
        ("https://a.org", "https://b.org"),
    ),
    "hosts": (["--allow-host", "name"], ("name",)),
    "threads": (["--threads", "3"], 3),
    "queue": (["--queue", "4"], 4),
    "timeout": (["--timeout", "0.5"], 0.5),
    "max_tokens": (["--max-tokens", "5"], 5),
    "max_body": (["--max-body", "2048"], 2048),
    "max_answer": (["--max-answer", "2000"], 2000),
    "sessions": (["--sessions", "6"], 6),
    "block": (["--block", "words.txt"], Path("words.txt")),
    "learn": (["--no-learn"], False),
    "access_log": (["--no-access-log"], False),
    "log_prompts": (["--log-prompts"], True),
}
"""Field of `ServerSettings` -> a flag with a value, and the value."""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServerSettings]:
    """The settings that a server would start with: what it does with them is tested where it runs."""
    settings: list[ServerSettings] = []
    monkeypatch.setattr(server_run, "run", settings.append)
    monkeypatch.delenv("KAMMIL_API_KEY", raising=False)
    return settings


def test_without_flags_the_settings_are_the_defaults(run: Run, served: list[ServerSettings]) -> None:
    assert run("serve").code == 0
    assert served == [ServerSettings()]


@pytest.mark.parametrize("field", ServerSettings.model_fields)
def test_every_setting_has_a_flag(
    run: Run, served: list[ServerSettings], counter: Path, tmp_path: Path, field: str
) -> None:
    profile = tmp_path / "me.jsonl"
    Profile(profile).learn("شو الأخبار")
    flags = FLAGS | {
        "folders": (["levantine", str(counter)], (Path("levantine"), counter)),
        "profile": (["--profile", str(profile)], profile),
    }
    arguments, value = flags[field]
    assert run("serve", *arguments).code == 0
    changed: dict[str, Any] = {field: value}
    assert served == [ServerSettings(**changed)]


def test_the_key_may_come_from_the_environment(
    run: Run, served: list[ServerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAMMIL_API_KEY", "secret")
    assert run("serve").code == 0
    assert [settings.api_key for settings in served] == ["secret"]


def test_a_damaged_folder_is_refused_before_anything_starts(
    run: Run, served: list[ServerSettings], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    refused(run("serve", "model"), "model.json")
    assert not served


def test_a_profile_that_cannot_be_is_refused_before_anything_starts(
    run: Run, served: list[ServerSettings], counter: Path, tmp_path: Path
) -> None:
    refused(run("serve", "--profile", "nowhere.jsonl"), "there is no profile at nowhere.jsonl")
    (tmp_path / "list.txt").write_text("no profile\n")
    refused(run("serve", "--profile", str(tmp_path / "list.txt")), "list.txt")
    Profile(tmp_path / "me.jsonl").learn("شو الأخبار")
    refused(
        run("serve", "levantine", str(counter), "--profile", str(tmp_path / "me.jsonl")),
        f"{counter} cannot learn while it runs",
    )
    assert not served


def test_without_the_extra_it_says_how_to_install_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)  # as if it were not installed
    refused(run("serve"), "serving needs uvicorn; run: pip install")
