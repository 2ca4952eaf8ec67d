"""Figures of a model's training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

import kammil
from kammil.completion.completer import Completer
from kammil.errors import FolderError, OptionError
from kammil.text import RAW


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
