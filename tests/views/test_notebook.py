"""What a notebook shows: models, runs and explanations as HTML that is sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kammil
from kammil.completion.completer import Completer
from kammil.text import RAW


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
