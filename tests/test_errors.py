"""What is said about a missing package installs it where Kammil came from."""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import shlex
from typing import Any

import pytest

from kammil.errors import MissingExtraError

CLONE = "file:///home/me/my%20clone"


@pytest.mark.parametrize(
    ("origin", "arguments"),
    [
        (None, ["kammil[train,track]"]),
        ({"url": CLONE, "dir_info": {}}, ["/home/me/my clone[train,track]"]),
        ({"url": CLONE, "dir_info": {"editable": True}}, ["--editable", "/home/me/my clone[train,track]"]),
        (
            {"url": "https://host/k.git", "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "v1"}},
            ["kammil[train,track] @ git+https://host/k.git@v1"],
        ),
        (
            {"url": "ssh://host/k", "vcs_info": {"vcs": "git", "commit_id": "abc"}, "subdirectory": "a"},
            ["kammil[train,track] @ git+ssh://host/k#subdirectory=a"],
        ),
        ({"url": "https://host/k.whl", "archive_info": {}}, ["kammil[train,track] @ https://host/k.whl"]),
    ],
)
def test_the_command_adds_extras_to_this_installation(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None, arguments: list[str]
) -> None:
    class Installed:
        @staticmethod
        def read_text(name: str) -> str | None:
            assert name == "direct_url.json"
            return None if origin is None else json.dumps(origin)

    def distribution(name: str) -> type[Installed]:
        assert name == "kammil"
        return Installed

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    error = MissingExtraError("tracking needs tensorboard", "train", "track")
    assert error.what == "tracking needs tensorboard"
    assert shlex.split(str(error).partition("; run: ")[2]) == ["pip", "install", *arguments]


def test_an_error_of_another_process_says_the_same() -> None:
    error = MissingExtraError("tracking needs tensorboard", "train", "track")
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.what) == (str(error), error.what)
