"""What a notebook shows: training as it goes, and models, runs and explanations as HTML that is sound."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from matplotlib.figure import Figure

import kammil
from kammil.completion.completer import Completer
from kammil.errors import FolderError, OptionError
from kammil.models.registry import FAMILIES, family
from kammil.progress import Notice
from kammil.text import RAW
from kammil.training import notebook
from kammil.training.events import EpochEnded, TrainingEnded, TrainingProgress, ignore
from kammil.training.options import TrainingOptions
from kammil.training.recipe import FamilyName, Options, Recipe


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook would show, one piece after the other."""
    pieces: list[str] = []

    def display(html: str, *, display_id: bool) -> Any:
        pieces.append(html)
        return SimpleNamespace(update=pieces.append)

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    return pieces


def test_training_is_followed(
    shown: list[str], tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "_EVERY", 0.0)
    kammil.train(few, out=tmp_path / "m", model="gru", hidden=8, embedding=8, epochs=2, device="cpu", threads=1)
    assert "<progress" in shown[0]
    assert any("epoch 2 of 2" in one for one in shown) and shown[-1].count("<tr>") == 3
    assert any("epoch 1 of 2" in piece for piece in shown)


def test_events_of_any_kind_are_shown(shown: list[str]) -> None:
    listen = notebook.listener()
    listen(TrainingProgress(1, 2, 9, 4, 3.25, 30.0, 0.25, 4e-3))
    listen(EpochEnded(1, 3.0, 0.25, 2.5, 0.5, 0.001, 60.0, True))
    assert "epoch 1 of 4, 3.250 bits, 1:30 left" in shown[-1] and "<td>50.0 %</td><td>60</td><td>best</td>" in shown[-1]
    listen(Notice("a <b> of a run"))
    listen(TrainingEnded(1.25, 4, "interrupt", 1))
    assert "a &lt;b&gt; of a run" in shown[-1] and "interrupted" in shown[-1]


def test_elsewhere_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert notebook.listener() is ignore
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert notebook.listener() is ignore


def html(of: object) -> str:
    shown: Any = of
    return shown._repr_html_()


def test_a_run_shows_figures_and_curves(tmp_path: Path, few: list[str]) -> None:
    trained = kammil.train(
        few[:30], out=tmp_path / "<b>", model="gru", hidden=8, embedding=8, epochs=2, device="cpu", threads=1
    )
    assert repr(trained).startswith(f"<TrainResult {trained.folder}: ") and len(repr(trained)) < 300
    made = html(trained)
    assert "<b>" not in made and "&lt;b&gt;" in made
    assert "Only 27 texts to learn from" in made and made.count("<img") == 1 and "bits per character, target" in made
    counted = kammil.train(few, out=tmp_path / "counted", model="ngram")
    assert "<img" not in html(counted)


def test_a_model_says_what_it_is(model: Completer, trained: Path) -> None:
    assert repr(model).startswith(f"<Completer {trained.name}, {trained.name}, ") and "216 texts" in repr(model)
    assert "<td" in html(model) and f">{trained.name}<" in html(model)
    alone = Completer(model.language_model, model.vocabulary, RAW)
    assert "characters known>" in repr(alone) and "table" in html(alone)


def test_an_explanation_is_a_heat_map_of_whole_words(model: Completer) -> None:
    made = kammil.explain(model, "شو حلو <b>" + " كلمة" * 60, given="مرحبا & ")
    assert len(repr(made)) < 100 and "…" in repr(made)
    shown = html(made)
    assert 'dir="auto"' in shown and ">شو</span>" in shown and ">حلو</span>" in shown
    assert "<b>" not in shown and "مرحبا &amp; " in shown
    assert shown.count("<tr") == 1 + 200 and "more</p>" in shown
    assert "text-align: start" in shown  # right to left where the text is


def test_the_public_names_are_listed_and_there() -> None:
    assert dir(kammil) == sorted(kammil.__all__)
    assert all(getattr(kammil, name) is not None for name in dir(kammil))
    assert set(dir(kammil)) - {"__version__"} == set(kammil._PUBLIC)  # pyright: ignore[reportPrivateUsage]


def test_options_are_typed_completely() -> None:
    assert set(get_args(FamilyName)) == set(FAMILIES)
    settings = {name for each in FAMILIES for name in family(each).learner().settings.model_fields}
    names = (Recipe.model_fields.keys() - {"settings", "training"}) | TrainingOptions.model_fields.keys() | settings
    assert set(Options.__annotations__) == names


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
