"""The plug-in as `llm` finds and calls it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import kammil
from kammil.errors import KammilError, OptionError

llm = pytest.importorskip("llm")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Return the model that `llm` finds under its registered name."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
    module = import_module(project["entry-points"]["llm"]["kammil"])
    llm.plugins.pm.register(module, "kammil")
    yield llm.get_model("kammil")
    llm.plugins.pm.unregister(name="kammil")


@pytest.mark.parametrize("stream", [True, False])
def test_it_writes_what_the_model_writes(model: Any, stream: bool) -> None:
    response = model.prompt("شو حلو", stream=stream, length=20, temperature=0.5, seed=3, stop="ا")
    wanted = kammil.load().complete("شو حلو", preset="sensible", length=20, temperature=0.5, seed=3, stop=("ا",)).text
    assert "".join(response) == wanted
    assert response.usage().input == 6 and response.usage().output == len(wanted)


def test_one_draw_for_who_asks_for_it(model: Any) -> None:
    wanted = kammil.load().complete("شو حلو", seed=3).text
    assert model.prompt("شو حلو", preset="plain", seed=3).text() == wanted
    assert model.prompt("شو حلو", best_of=1, whole_words=False, clause=False, seed=3).text() == wanted


def test_the_conversation_so_far_is_the_context(model: Any) -> None:
    talk, said, alone = model.conversation(), list[str](), kammil.load()
    for text in ("رودي رجع من السفر مبارح", "بدنا نعزم رودي عالعشا", "حكيت مع رو"):
        written = talk.prompt(text, system="Be kind.", seed=3).text()
        assert written == alone.complete(text, context=said, preset="sensible", seed=3).text
        said += [text, written]
    assert written != alone.complete(text, preset="sensible", seed=3).text


def test_what_is_wrong_is_said(model: Any) -> None:
    with pytest.raises(OptionError, match="preset is 'no'"):
        model.prompt("شو", preset="no").text()
    with pytest.raises(KammilError, match="there is no model folder"):
        model.prompt("شو", folder="nowhere").text()
