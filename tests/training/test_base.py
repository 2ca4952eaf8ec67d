"""A run that starts from a model folder: the shapes, the counts and the vocabulary that it keeps of it."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kammil
from kammil import model_folder as folders
from kammil.data.bloom import BloomFilter
from kammil.errors import OptionError
from kammil.evaluation import model_card
from kammil.models.blend.model import BACKGROUND, OWN
from kammil.ngrams.compression import unpack
from kammil.ngrams.count_table import CountTable
from kammil.progress import Event, Notice
from kammil.training import run
from kammil.training.recipe import Recipe
from kammil.training.time_budget import options_of_base
from kammil.training.train import train

KINDS = ["o1", "o2", "o3", "w", "w1"]
BLEND: dict[str, Any] = {
    "model": "blend", "hidden": 24, "embedding": 8, "gate": 6, "kinds": KINDS, "history": ["o2", "w"],
    "epochs": 2, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    out = tmp_path_factory.mktemp("bases") / "base"
    return train(texts[:240], validation=texts[240:300], out=out, **BLEND).folder


@pytest.fixture(scope="module")
def own(texts: list[str], base: Path) -> list[str]:
    """Texts of the characters that the base knows."""
    known = set(folders.read(base).vocabulary.characters)
    return [text for text in texts[300:] if known.issuperset(text)][:80]


def counts(folder: Path, prefix: str) -> CountTable:
    return unpack(folders.read(folder).artifacts.weights, prefix)


def has_background(folder: Path) -> bool:
    return any(name.startswith(BACKGROUND) for name in folders.read(folder).artifacts.weights)


@pytest.mark.long
def test_it_has_the_shapes_of_its_base_unless_others_are_named(base: Path, tmp_path: Path, texts: list[str]) -> None:
    def options(**given: Any) -> dict[str, Any]:
        return options_of_base(Recipe.of(given), given)

    shapes = {name: BLEND[name] for name in ("hidden", "embedding", "gate", "kinds", "history")}
    found = options(base=str(base))
    assert found.items() >= shapes.items() and {"learning_rate", "epochs", "dropout"} <= found.keys()
    assert options(base=str(base), hidden=40, dropout=0.4, minutes=1).keys() == found.keys() - {"hidden", "dropout"}
    assert options() == options(base={"source": "sample", "hidden": 9}) == {}
    assert options(base=str(base), model="gru") == {"embedding": 8, "hidden": 24}
    assert options(base=str(base), base_counts=False).keys() == found.keys() - {"learning_rate", "epochs", "dropout"}
    network = train(texts[:40], validation=texts[240:260], out=tmp_path / "gru", model="gru", hidden=16, epochs=1)
    assert options(base=str(network.folder)) == {"hidden": 16, "embedding": 128}


@pytest.mark.long
def test_the_counts_and_the_vocabulary_of_a_base_stay(base: Path, own: list[str], tmp_path: Path) -> None:
    trained = train(own[:60], validation=own[60:], out=tmp_path / "mine", base=str(base), threads=1)
    theirs, kept = counts(base, OWN), counts(trained.folder, BACKGROUND)
    for name in ("keys", "num_followers", "pruned", "ids", "counts"):
        assert np.array_equal(getattr(theirs, name), getattr(kept, name)), name
    assert folders.read(trained.folder).vocabulary.characters == folders.read(base).vocabulary.characters
    dropped = train(
        own[:60], validation=own[60:], out=tmp_path / "dropped", base=str(base), threads=1, base_counts=False
    )
    assert not has_background(dropped.folder)
    bits = [one.history[-1]["validation_bits"] for one in (trained, dropped)]
    assert bits[0] < bits[1] - 0.02  # counts of four times the texts
    completer = kammil.load(trained.folder)
    assert len(completer.suggest(own[0][:8], 3)) == 3


@pytest.mark.long
def test_the_card_repeats_the_run(base: Path, own: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options of the base are named, even where they are the defaults of other runs."""
    monkeypatch.chdir(base.parent)
    (tmp_path / "mine.txt").write_text("\n".join(own), "utf-8")
    options: dict[str, Any] = {"base": "base", "dropout": 0.4, "epochs": 1}
    trained = train(tmp_path / "mine.txt", out=tmp_path / "mine", **options)
    found = tomllib.loads(model_card.reproducing(folders.read(trained.folder).card, "toml"))
    assert found.items() >= (options | {"learning_rate": 0.001, "hidden": 24}).items()
    recipe = Recipe.of(found)
    assert recipe.changed(options_of_base(recipe, found)) == recipe


@pytest.mark.long
def test_what_the_base_wrote_down_as_seen_is_still_seen(
    base: Path, own: list[str], tmp_path: Path, texts: list[str]
) -> None:
    trained = train(own[:60], validation=own[60:], out=tmp_path / "mine", base=str(base), epochs=1)
    seen = BloomFilter(folders.read(trained.folder).seen)
    assert {seen.novelty(text) for text in [*texts[:240], *own[:60]] if len(text) > 30} == {"seen"}


@pytest.mark.parametrize("foreign", [1, 60])
@pytest.mark.long
def test_a_base_that_lacks_many_characters_leaves_its_counts(
    base: Path, own: list[str], tmp_path: Path, foreign: int
) -> None:
    """One sign more than one in 200 that the base does not know; a rare one stays unknown."""
    texts = [*own[: 60 - foreign], *([own[0] + "ЖЖЖ"] if foreign == 1 else ["Жили у бабуси " + text for text in own])]
    trained = train(texts, validation=own[60:], out=tmp_path / "mine", base=str(base), epochs=1)
    assert has_background(trained.folder) == (foreign == 1)
    assert ("Ж" in folders.read(trained.folder).vocabulary.characters) == (foreign > 1)


def sentences(told: list[Event]) -> list[str]:
    return [event.sentence for event in told if isinstance(event, Notice)]


@pytest.mark.long
def test_the_background_counts_of_a_base_stay(base: Path, own: list[str], tmp_path: Path) -> None:
    """The counts of its own texts go, since there is one such table, and a line says so."""
    once = train(own[:40], validation=own[60:], out=tmp_path / "once", base=str(base), threads=1)
    told: list[Event] = []
    options: dict[str, Any] = {"base": str(once.folder), "threads": 1, "listen": told.append}
    twice = train(own[40:60], validation=own[60:], out=tmp_path / "twice", **options)
    first, second = (folders.read(one.folder).artifacts.weights for one in (once, twice))
    names = [name for name in first if name.startswith(BACKGROUND)]
    assert names and all(np.array_equal(first[name], second[name]) for name in names)
    assert any("counts of its own texts do not stay" in sentence for sentence in sentences(told))
    assert twice.history[-1]["validation_bits"] < once.history[-1]["validation_bits"] + 0.05


@pytest.mark.long
def test_a_base_that_is_better_by_itself_is_told(base: Path, own: list[str], tmp_path: Path, texts: list[str]) -> None:
    harmful: dict[str, Any] = {"learning_rate": 0.5, "gradient_clip": 100.0}
    known, new = texts[:12], own[60:]
    for name, held_out, learnt, said in (
        ("worse", new, 0, "predicts the validation texts better by itself"),
        ("better", new, 0, ""),
        ("known", known, 12, "cannot be compared"),
        ("in part", [known[0], *new, *known[1:]], 12, "predicts the validation texts that it has not learnt better by"),
    ):
        told: list[Event] = []
        options: dict[str, Any] = {"base": str(base), "listen": told.append} | (harmful if name != "better" else {})
        trained = train(own[:60], validation=held_out, out=tmp_path / name, **options)
        about = [sentence for sentence in sentences(told) if sentence.startswith("the model that this one starts from")]
        assert len(about) == bool(said) and all(said in sentence for sentence in about), name
        figures = f"had learnt {learnt} of the {len(held_out)} validation texts"
        card = folders.read(trained.folder).card
        assert any(figures in caution for caution in trained.cautions) == (figures in card) == (learnt > 0), name
        assert f"The base had learnt {learnt} of them" in card


@pytest.mark.parametrize(("theirs", "said"), [(2.1214, False), (2.1204, True)])
@pytest.mark.long
def test_a_base_is_better_where_the_figures_shown_say_so(
    base: Path, own: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: float, said: bool
) -> None:
    figures = iter([theirs, 2.12145])  # of the base, then of the model that went on from it

    def bits(*_: object) -> float:
        return next(figures)

    monkeypatch.setattr(run.counter_check, "bits", bits)
    told: list[Event] = []
    train(own[:60], validation=own[60:], out=tmp_path / "model", base=str(base), epochs=1, listen=told.append)
    assert any("2.120 bits a character against 2.121" in sentence for sentence in sentences(told)) == said
    assert any("better by itself" in sentence for sentence in sentences(told)) == said


@pytest.mark.long
def test_the_card_says_what_the_base_may_be_used_for(base: Path, own: list[str], tmp_path: Path) -> None:
    licensed = tmp_path / "licensed"
    shutil.copytree(base, licensed)
    metrics = json.loads((licensed / folders.METRICS).read_text("utf-8"))
    (licensed / folders.METRICS).write_text(json.dumps(metrics | {"licence": "CC0-1.0"}), "utf-8")
    once = train(own[:60], validation=own[60:], out=tmp_path / "once", base=str(licensed), epochs=1)
    twice = train(own[:60], validation=own[60:], out=tmp_path / "twice", base=str(once.folder), epochs=1)
    for trained, name in ((once, "licensed"), (twice, "once")):
        card = folders.read(trained.folder).card
        assert f"goes on from `{name}`, a model of" in card and "limits this model too: CC0-1.0." in card


def test_a_counter_has_no_base(base: Path, own: list[str], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="starts from nothing; leave base out"):
        train(own, out=tmp_path / "counter", model="ngram", base=str(base))
    assert not list(tmp_path.iterdir())
