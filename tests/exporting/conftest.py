"""A site; and a Transformer whose weights show every mistake, of characters that are hard to store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests import needs

import kammil
from kammil import exporting, storage
from kammil import model_folder as folders
from kammil.exporting.web import build
from kammil.models.family import export
from kammil.models.transformer import network as transformer
from kammil.models.transformer.model import TransformerSettings
from kammil.text import RAW, TextRules
from kammil.vocabulary import CharacterVocabulary

WHEELS = Path(__file__).parents[2] / ".wheels" / "bin" / "python"
CHARACTERS = "\0\t\n '.<>/aspkun|شوحليمـ\u064b\u0301é▁🔗👤🏿\u200d\ud83d"
"""NUL, white space, the letters of the specials' names, marks, placeholders, a lone surrogate."""
CARD = "# noise\n\nMade of noise.\n\n## Data\n\nNone.\n"


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TextRules], Path]:
    """The folder of a model of random weights with these text rules."""

    def make(rules: TextRules = RAW) -> Path:
        folder = tmp_path_factory.mktemp("noise") / "noise"
        folder.mkdir()
        settings = TransformerSettings(width=16, layers=2, heads=2, window=64)
        vocabulary = CharacterVocabulary(CHARACTERS)
        torch.manual_seed(0)
        network = transformer.Transformer(vocabulary.size, settings)
        with torch.no_grad():
            for weights in network.parameters():
                weights.normal_(std=0.4)
        description = folders.ModelConfig(
            format=folders.FORMAT, family="transformer", settings=settings.model_dump(), rules=rules.to_stored()
        )
        folders.write(folder, folders.ModelFiles(description, vocabulary, export(network), {}, {}))
        storage.write_atomic(folder / folders.CARD, CARD.encode())
        return folder

    return make


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model's site."""
    out = tmp_path_factory.mktemp("web") / "site"
    with pytest.MonkeyPatch.context() as patch:
        if build.zig() is None and WHEELS.exists():
            patch.setenv(build.ZIG, f"{WHEELS} -m ziglang")
        if build.zig() is None and not all(build.place(name).is_file() for name in build.BUILDS):
            pytest.skip(needs.ZIG)
        assert kammil.export(folders.PRETRAINED, "web", out) == exporting.Export(out, None)
    return out


@pytest.fixture(scope="session")
def lines() -> list[str]:
    texts = (Path(kammil.__file__).parent / "data" / "sample.txt").read_text("utf-8").splitlines()
    return [text for text in texts if len(text) > 20][:200]
