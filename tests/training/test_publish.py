"""What a finished run leaves behind: a folder with its report, which names no place of the machine."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from safetensors.numpy import load_file, save_file

import kammil
from kammil import model_folder as folders
from kammil.completion.completer import Completer
from kammil.errors import FolderError, OptionError
from kammil.text import RAW
from kammil.training import publish, record
from kammil.training.recipe import Recipe, toml
from kammil.training.texts import prepare
from kammil.training.train import REPORT_SHARE, train

GRU: dict[str, Any] = {"model": "gru", "embedding": 8, "hidden": 16, "epochs": 2, "device": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, few: list[str]) -> kammil.TrainResult:
    place = tmp_path_factory.mktemp("a-place-of-the-machine")
    (place / "posts.txt").write_text("\n".join(few), "utf-8")
    (place / "other.txt").write_text("شو هالحكي يا زلمة بلا طعمة ولا لون\n", "utf-8")
    return train(place / "posts.txt", out=place / "model", exclude=[str(place / "other.txt")], **GRU)


def test_a_report_stands_beside_the_folder(trained: kammil.TrainResult) -> None:
    assert trained.report is not None and trained.report == trained.folder.with_name("model-report.html")
    content = trained.report.read_text("utf-8")
    assert content.startswith("<!DOCTYPE html>") and "kammil train posts.txt --config recipe.toml" in content
    figure = trained.evaluation.model.target_bits_per_character
    assert figure is not None and f"{figure.value:.3f}" in content
    assert str(trained.report) in trained._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_nothing_in_the_report_names_a_place(trained: kammil.TrainResult) -> None:
    assert trained.report is not None
    content = trained.report.read_text("utf-8")
    assert "other.txt" in content
    assert str(trained.folder.parent) not in content and "a-place-of-the-machine" not in content


def test_nothing_in_the_folder_names_a_place(trained: kammil.TrainResult) -> None:
    assert all(b"a-place-of-the-machine" not in path.read_bytes() for path in trained.folder.iterdir())
    recipe = Recipe.of({"model": "gru", "base": str(trained.folder), "exclude": ["/a/b.txt", "lev30/test"]})
    assert record.recorded(recipe)["base"] == trained.folder.name
    assert record.recorded(recipe)["exclude"] == ["b.txt", "lev30/test"]
    inside = {
        "source": "/a/c.tsv",
        "validation": "/a/d.tsv",
        "exclude": ["/a/e"],
        "base": {"source": "/a/f", "least": 2},
    }
    assert record.recorded(Recipe(base=inside))["base"] == {
        **{"source": "c.tsv", "validation": "d.tsv", "exclude": ["e"]},
        "base": {"source": "f", "least": 2},
    }
    tuned = Recipe.of({"model": "pretrained", "base": "someone/a-model"})
    assert record.recorded(tuned)["settings"]["base"] == "someone/a-model"  # on the Hub


def test_a_model_of_another_base_of_that_name_is_not_up_to_date(
    trained: kammil.TrainResult, tmp_path: Path, few: list[str]
) -> None:
    other = tmp_path / "other" / trained.folder.name
    shutil.copytree(trained.folder, other)
    weights = load_file(other / "weights.safetensors")
    save_file({name: array * 2 for name, array in weights.items()}, other / "weights.safetensors")
    options: dict[str, Any] = {**GRU, "epochs": 1, "base": str(trained.folder)}
    recipe = Recipe.of(options)
    made = train(few, out=tmp_path / "model", report=False, **options).folder
    summary, data = folders.summary(trained.folder)[0].training["data"], prepare(recipe, few)
    assert folders.summary(made)[0].training["sha256"] == record.folder_hashes(recipe)
    (trained.folder / record.ROW).write_bytes(b"")  # its figures in a comparison make no other model of it
    assert folders.summary(made)[0].training["sha256"] == record.folder_hashes(recipe)
    assert record.is_up_to_date(made, recipe, data, summary)
    changed = recipe.model_copy(update={"base": str(other)})
    assert record.recorded(changed) == record.recorded(recipe)
    assert not record.is_up_to_date(made, changed, data, summary)


def test_a_folder_of_an_earlier_version_is_up_to_date_too(
    trained: kammil.TrainResult, tmp_path: Path, few: list[str]
) -> None:
    """It named places, and had no hash of its base."""
    options: dict[str, Any] = {**GRU, "epochs": 1, "base": str(trained.folder)}
    made = train(few, out=tmp_path / "model", report=False, **options).folder
    document = json.loads((made / "model.json").read_text("utf-8"))
    document["training"]["recipe"]["base"] = str(trained.folder)
    del document["training"]["sha256"]
    (made / "model.json").write_text(json.dumps(document), "utf-8")
    recipe = Recipe.of(options)
    summary = folders.summary(trained.folder)[0].training["data"]
    assert record.is_up_to_date(made, recipe, prepare(recipe, few), summary)


def test_the_folder_says_where_and_with_what_it_was_trained(trained: kammil.TrainResult) -> None:
    metrics = json.loads((trained.folder / "metrics.json").read_text("utf-8"))
    assert metrics["versions"]["kammil"] == kammil.__version__ and metrics["machine"]["processor"]


def test_nothing_in_the_folder_quotes_a_text(trained: kammil.TrainResult, few: list[str]) -> None:
    quoted = [text[:40] for text in few if len(text) >= 40]
    assert trained.report is not None and any(text in trained.report.read_text("utf-8") for text in quoted)
    for path in trained.folder.iterdir():
        content = path.read_bytes()
        assert not any(text.encode() in content or json.dumps(text).encode() in content for text in quoted), path


def test_a_report_is_only_written_if_it_is_wanted(tmp_path: Path, few: list[str]) -> None:
    quiet = train(few, out=tmp_path / "model", report=False, model="ngram")
    assert quiet.report is None and [*tmp_path.iterdir()] == [quiet.folder]
    assert "report" not in quiet._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_a_short_run_gives_its_report_a_share(tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    real = publish.model_report

    def measured(*arguments: Any, **options: Any) -> str:
        asked.append(options["seconds"])
        return real(*arguments, **options)

    monkeypatch.setattr(publish, "model_report", measured)
    train(few, out=tmp_path / "model", minutes=0.1, **GRU)
    assert asked == [pytest.approx(REPORT_SHARE * 6)]


PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab \"'.ش\x7f\n", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=PLAIN)
def test_plain_values_are_read_from_toml_as_they_were(value: object) -> None:
    assert tomllib.loads(f"value = {toml(value)}")["value"] == value


def test_what_a_table_lacks_is_left_out_of_toml() -> None:
    assert tomllib.loads(f"value = {toml({'a': None, 'b': 1})}") == {"value": {"b": 1}}


def test_a_base_is_described_without_the_folders_of_its_files(tmp_path: Path) -> None:
    base = {"source": str(tmp_path / "big.txt"), "validation": "lev30/validation", "hidden": 16, "model": "gru"}
    recipe = Recipe.of({"model": "gru", "base": base})
    assert tomllib.loads(record.recipe_toml(recipe))["base"] == base | {"source": "big.txt"}


def test_anything_is_plotted(folder_of: Any, tmp_path: Path) -> None:
    folder = folder_of("gru")
    for what in (folder, str(folder), kammil.load(folder)):
        figure = kammil.plot(what, tmp_path / "a.png")
        assert isinstance(figure, Figure) and len(figure.axes) == 2
    shown: Any = kammil.plot(folder)
    assert (tmp_path / "a.png").read_bytes()[:4] == shown._repr_png_()[:4] == b"\x89PNG"
    anything: Any = 5
    with pytest.raises(OptionError, match="no figure of a int"):
        kammil.plot(anything)
    with pytest.raises(FolderError, match="there is no model folder"):
        kammil.plot(tmp_path / "nowhere")
    model = kammil.load(folder)
    with pytest.raises(OptionError, match="comes from no folder"):
        kammil.plot(Completer(model.language_model, model.vocabulary, RAW))
