"""A folder that is as it was made agrees with itself; whatever is changed in it is named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kammil
from kammil.errors import DataError, FolderError
from kammil.training import texts as training_texts
from kammil.training import verify as verifying
from kammil.training.verify import TOLERANCE, verify


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """A folder with texts, a model whose validation texts were split off, and one that was given a second file."""
    place = tmp_path_factory.mktemp("verified")
    for name, part in (("texts", texts[:90]), ("more", texts[100:115])):
        (place / f"{name}.txt").write_text("".join(f"{text[:40]}\n" for text in part), "utf-8")
    kammil.train(place / "texts.txt", out=place / "split", model="ngram")
    kammil.train(place / "texts.txt", validation=place / "more.txt", out=place / "given", model="ngram")
    return place


@pytest.fixture
def changed(place: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copy the first model and change a value of one of its JSON files."""

    def change(file: str, *path: str | int, to: Any) -> Path:
        copy = Path(shutil.copytree(place / "split", tmp_path / "copy"))
        content = json.loads((copy / file).read_text("utf-8"))
        node = content
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = to(node[path[-1]]) if callable(to) else to
        (copy / file).write_text(json.dumps(content), "utf-8")
        return copy

    return change


def higher(by: float) -> Callable[[float], float]:
    """A function that adds so much."""

    def add(value: float) -> float:
        return value + by

    return add


def test_what_was_not_changed_agrees(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = verify(place / "split", place / "texts.txt")
    assert result.differing == () and len(result.checks) > 300
    files = {check.name.partition(":")[0] for check in result.checks}
    assert files == {"model.json", "metrics.json"}
    assert any("README.md" in what for what in result.not_verified)
    assert set(result.not_verified) >= {"metrics.json: training_seconds", "metrics.json: history"}
    json.dumps(result.to_dict())
    monkeypatch.chdir(place)
    assert verify("split").differing == ()  # the texts by the name in the folder
    assert verify("given").differing == ()
    monkeypatch.chdir("/")
    assert verify(place / "given", place / "texts.txt").differing == ()  # the others lie beside those that are named
    assert kammil.verify(place / "given", place / "texts.txt", validation=place / "more.txt").differing == ()


def test_the_validation_texts_are_enough_for_the_figures(place: Path) -> None:
    result = verify(place / "given", validation=place / "more.txt")
    assert result.differing == ()
    assert any("the training texts" in what for what in result.not_verified)
    assert not any(check.name.endswith("sha256") for check in result.checks)


def test_validation_texts_are_drawn_again(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (training_texts, verifying):
        monkeypatch.setattr(module, "MAX_HELD_OUT", 6)
    kammil.train(place / "texts.txt", validation=place / "more.txt", out=tmp_path / "drawn", model="ngram")
    assert "more.txt (6 texts, drawn from 15 at random by the seed)" in (tmp_path / "drawn/README.md").read_text(
        "utf-8"
    )
    assert verify(tmp_path / "drawn", place / "texts.txt", validation=place / "more.txt").differing == ()
    assert verify(tmp_path / "drawn", validation=place / "more.txt").differing == ()


@pytest.mark.long
def test_a_file_of_excluded_texts_is_found_beside_the_texts(tmp_path: Path, texts: list[str]) -> None:
    """The folder names it without its place."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "posts.txt").write_text("\n".join(texts) + "\n", "utf-8")
    (tmp_path / "data" / "left out.txt").write_text(f"{texts[0]}\n", "utf-8")
    excluded = tmp_path / "data" / "left out.txt"
    options: dict[str, Any] = {"exclude": [str(excluded)], "model": "ngram", "report": False}
    kammil.train(tmp_path / "data" / "posts.txt", out=tmp_path / "model", **options)
    assert verify(tmp_path / "model", tmp_path / "data" / "posts.txt").differing == ()
    excluded.unlink()
    with pytest.raises(DataError, match="left out"):
        verify(tmp_path / "model", tmp_path / "data" / "posts.txt")


@pytest.mark.parametrize(
    ("file", "path", "to", "named"),
    [
        ("metrics.json", ("parameters",), 5, "metrics.json: parameters"),
        (
            "metrics.json",
            ("validation", "model", "target_top1", "value"),
            higher(2 * TOLERANCE),
            "metrics.json: validation.model.target_top1.value",
        ),
        (
            "metrics.json",
            ("validation", "by_position", 3, "free_running", "value"),
            0.9,
            "metrics.json: validation.by_position[3].free_running.value",
        ),
        ("metrics.json", ("validation", "baselines", "3-gram", "bleu"), None, "validation.baselines.3-gram.bleu"),
        ("metrics.json", ("validation", "texts"), 1, "metrics.json: validation.texts"),
        ("metrics.json", ("validation", "by_position"), [], "metrics.json: validation.by_position: number"),
        ("model.json", ("training", "data", "sha256"), "0", "model.json: training.data.sha256"),
        ("model.json", ("training", "data", "validation_leaks", "near"), 1, "validation_leaks.near"),
    ],
)
def test_what_was_changed_is_named(
    place: Path, changed: Callable[..., Path], file: str, path: tuple[str | int, ...], to: Any, named: str
) -> None:
    result = verify(changed(file, *path, to=to), place / "texts.txt")
    assert result.differing and all(named in check.name for check in result.differing)


def test_rounding_is_no_difference(place: Path, changed: Callable[..., Path]) -> None:
    path = ("validation", "model", "target_bits_per_character", "value")
    assert verify(changed("metrics.json", *path, to=higher(TOLERANCE / 2)), place / "texts.txt").differing == ()


def test_other_texts_are_noticed(place: Path) -> None:
    result = verify(place / "split", place / "more.txt")
    assert {"model.json: training.data.sha256", "model.json: training.data.texts"} <= {
        check.name for check in result.differing
    }


def test_what_cannot_be_verified_is_said(place: Path, changed: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read again: .* Name them: kammil verify .*split FILE$"):
        verify(place / "split")
    elsewhere = shutil.copy(place / "texts.txt", tmp_path / "texts.txt")
    with pytest.raises(DataError, match="--validation FILE"):
        verify(place / "given", elsewhere)
    with pytest.raises(FolderError, match="keeps no record of its training"):
        verify(changed("model.json", "training", to={}))


@pytest.mark.parametrize("option", ["source", "validation", "exclude"])
def test_a_strangers_folder_opens_only_files_beside_the_texts(
    changed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    here, secret = tmp_path / "here", tmp_path / "secret.txt"
    (here / "more").mkdir(parents=True)
    for file in (secret, here / "texts.txt", here / "more" / "a.txt"):
        file.write_text("شو في\nما في شي\n", "utf-8")
    (here / "link.txt").symlink_to(secret)
    (here / "zero.txt").symlink_to("/dev/zero")
    (here / "links").mkdir()
    (here / "links" / "a.txt").symlink_to(secret)
    os.mkfifo(here / "pipe.txt")
    names = [str(secret), "../secret.txt", "more/a.txt", "..", "", "-", "link.txt", "zero.txt", "links", "pipe.txt"]
    monkeypatch.chdir(here)
    monkeypatch.setenv("KAMMIL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("KAMMIL_DATA_DIR", raising=False)
    where = ("recipe", "exclude") if option == "exclude" else ("data", option)
    folder = changed("model.json", "training", *where, to="")
    for name in (*names, "shami", "sample+shami"):
        description = json.loads((folder / "model.json").read_text("utf-8"))
        description["training"][where[0]][where[1]] = [name] if option == "exclude" else name
        (folder / "model.json").write_text(json.dumps(description), "utf-8")
        data = None if option == "source" else here / "texts.txt"
        with pytest.raises(DataError, match="data get shami" if "shami" in name else "the folder names"):
            verify(folder, data)
    assert not (tmp_path / "cache").exists()


def test_a_score_that_smoothing_made_is_no_difference(place: Path, changed: Callable[..., Path]) -> None:
    smoothed = {"value": 0.7, "low": 0.6, "high": 0.8}
    folder = changed("metrics.json", "validation", "baselines", "random", "bleu", to=smoothed)
    result = verify(folder, place / "texts.txt")
    assert result.differing == () and any("BLEU" in what for what in result.not_verified)
