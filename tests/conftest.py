"""Shared by all rooms: tiny trained models on the embedded corpus, and the real data where it is at hand."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from tests import needs

import kammil
from kammil.completion.completer import Completer
from kammil.data import sources
from kammil.models.family import FAMILIES, CountingLearner, Family, FamilyName

# Machines differ in speed by an order of magnitude, so time decides no test; nor does chance: `make fuzz` draws anew.
_EXAMPLES = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("kammil", _EXAMPLES, derandomize=True)
settings.register_profile("fuzz", _EXAMPLES, derandomize=False, database=None, print_blob=True, max_examples=200)
settings.load_profile("kammil")

gc.disable()  # while the tests are collected: what is made then stays, and looking for garbage in it takes seconds


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Fuzz other files first with each seed, since the time ends before the tests do."""
    if config.getoption("--hypothesis-profile") == "fuzz":
        places = sorted({item.path for item in items})
        Random(str(config.getoption("--hypothesis-seed"))).shuffle(places)
        items.sort(key=lambda item: places.index(item.path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is not here, and how many tests were skipped for it."""
    skipped = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", ()))
    if skipped:
        terminalreporter.section("skipped, for what is not here")
    for reason, number in skipped.most_common():
        terminalreporter.write_line(f"{number:4}  {reason.removeprefix('Skipped: ')}")


def pytest_collection_finish() -> None:
    """Leave pytest's own objects out of later garbage collections."""
    gc.freeze()
    gc.enable()


_SIZES: dict[str, Any] = {
    **{"embedding": 16, "hidden": 32, "attention": 8, "subwords": 200},
    **{"width": 16, "layers": 2, "heads": 2, "dropout": 0.0},
}
_SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 32, "device": "cpu", "threads": 1}


def tiny(family: Family, base: Callable[[], str]) -> dict[str, Any]:
    """Options of a small model of any family; one that needs a base starts from `base`."""
    learner = family.learner()
    if isinstance(learner, CountingLearner):
        return {}
    sizes = {name: value for name, value in _SIZES.items() if name in learner.settings.model_fields}
    start = {"base": base(), "learning_rate": 3e-3, "window": 64} if family.needs_base else {}
    return sizes | _SHORT | start


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """The embedded corpus."""
    return sources.sample()


@pytest.fixture(scope="session")
def few(texts: list[str]) -> list[str]:
    """Sixty of its texts: enough to split, quick to learn."""
    return texts[:60]


RUNNING_SIDES = ("ngram", "gru", "subwords", "transformer", "blend")
"""One family of each kind of running side: counts, a network, one with a growing state, units, a blend. Only the
contract test goes through all families; to the other rooms two families with one running side are the same."""


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Callable[[], str]:
    """Writes a model of GPT-2's shape with random weights, large enough to learn five texts; returns its folder."""

    @cache
    def make() -> str:
        from tests.models.pretrained.bases import gpt2

        sizes = {"n_embd": 64, "n_positions": 256, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        return str(gpt2(tmp_path_factory.mktemp("bases") / "gpt2", texts[:240], size=500, **sizes))

    return make


@pytest.fixture(scope="session")
def folder_of(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], tiny_base: Callable[[], str]
) -> Callable[[str], Path]:
    """The model folder of a family, trained once for all workers on a part of the corpus. `make mutate` keeps it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own
    place = Path(os.environ.get("KAMMIL_TEST_MODELS") or shared / "trained")

    @cache
    def make(family: str) -> Path:
        folder = place / family
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / f"{family}.lock"):
            if not folder.exists():
                options = tiny(FAMILIES[family], tiny_base)
                kammil.train(texts[:240], out=folder, report=False, model=cast(FamilyName, family), **options)
        return folder

    return make


@pytest.fixture(scope="session", params=RUNNING_SIDES)
def trained(request: pytest.FixtureRequest, folder_of: Callable[[str], Path]) -> Path:
    """A model folder of each kind of running side."""
    return folder_of(str(request.param))


@pytest.fixture(scope="session")
def model(trained: Path) -> Completer:
    """The same, opened."""
    return kammil.load(trained)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real corpora, where there is one."""
    named = os.environ.get("KAMMIL_DATA_DIR")
    if not named or not Path(named).is_dir():
        pytest.skip(needs.CORPORA)
    return Path(named)


Launch = Callable[..., "list[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="session")
def launch() -> Launch:
    """Start a Python program in several processes, as a launcher does, and return what each of them said."""

    def start(code: str, processes: int, where: Path, *arguments: str) -> list[subprocess.CompletedProcess[str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        meeting = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        started = [
            subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                cwd=where,
                env=os.environ | meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(processes)
        ]
        try:
            said = [process.communicate(timeout=240) for process in started]
        finally:
            for process in started:
                process.kill()
        return [
            subprocess.CompletedProcess(process.args, process.returncode, *texts)
            for process, texts in zip(started, said, strict=True)
        ]

    return start
