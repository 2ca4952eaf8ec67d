"""Shared by all rooms: two tiny trained models on the embedded corpus, and the real data where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import kammil
from kammil.completion import Completer
from kammil.corpus import reading

# Machines differ in speed by an order of magnitude; time decides no test.
settings.register_profile("kammil", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kammil")

TINY: dict[str, Any] = {
    "embedding": 16,
    "hidden": 32,
    "dropout": 0.0,
    "epochs": 2,
    "batch_size": 32,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """The embedded corpus."""
    return reading.sample()


@pytest.fixture(scope="session", params=["ngram", "gru"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """A model folder of each family, trained on a part of the embedded corpus."""
    folder = tmp_path_factory.mktemp("models") / str(request.param)
    options: dict[str, Any] = TINY if request.param == "gru" else {}
    kammil.train(texts[:240], out=folder, model=str(request.param), **options)
    return folder


@pytest.fixture(scope="session")
def model(trained: Path) -> Completer:
    """The same, opened."""
    return kammil.load(trained)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real corpora, where there is one."""
    named = os.environ.get("KAMMIL_DATA_DIR")
    if not named or not Path(named).is_dir():
        pytest.skip("KAMMIL_DATA_DIR names no folder with the real corpora")
    return Path(named)
