"""A Transformer whose weights are large enough to show every mistake, and whose characters are hard to store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kammil import model_folder as folders
from kammil import storage
from kammil.models.family import export
from kammil.models.transformer import network as transformer
from kammil.models.transformer.model import TransformerSettings
from kammil.text import RAW, TextRules
from kammil.vocabulary import CharacterVocabulary

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
        folders.write(folder, description, vocabulary, export(network), seen={}, baselines={})
        storage.write_atomic(folder / folders.CARD, CARD.encode())
        return folder

    return make
