"""A wheel that zig compiled is one for an index, and runs as what gcc compiled does, where there is no compiler."""

from __future__ import annotations

import csv
import ctypes
import json
import os
import platform
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.pages import ROOT

from kammil.engine import build

TAG = "manylinux_2_17_x86_64"
TOOLS = ROOT / ".wheels" / "bin"
FIRST = "_kernel_0.so"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not (TOOLS / "twine").exists(), reason="make .wheels/.ready fetches what builds wheels"),
    pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason=f"the wheel is for {TAG}"),
]
SCORES = """
import sys, kammil
from kammil.engine.build import engine_name
print(engine_name(), file=sys.stderr)
model = kammil.load(sys.argv[1])
print([round(bits, 4) for bits in model.score("شو رأيك نطلع بكرا عالبحر؟").bits])
"""


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(TOOLS / "python", "-m", "build", "--no-isolation", "--wheel", "--outdir", out, KAMMIL_TARGET=TAG)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with nothing but the wheel and what it requires."""
    place = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", place)
    run(place / "bin" / "python", "-m", "pip", "install", "--quiet", f"{wheel}[serve]")
    return place / "bin"


def test_it_is_one_for_an_index(wheel: Path) -> None:
    assert wheel.name.endswith(f"-py3-none-{TAG}.whl") and wheel.stat().st_size <= 18 << 20
    run(TOOLS / "twine", "check", "--strict", wheel)
    run(TOOLS / "check-wheel-contents", "--ignore", "W002", wheel)
    assert "manylinux_2_" in run(TOOLS / "auditwheel", "show", wheel)
    with zipfile.ZipFile(wheel) as archive:
        sizes = {Path(file.filename).name: file.compress_size for file in archive.infolist()}
        (metadata,) = (
            archive.read(name).decode() for name in archive.namelist() if name.endswith("dist-info/METADATA")
        )
    builds = [size for name, size in sizes.items() if name.startswith("_kernel_")]
    assert len(builds) == 4 and sum(builds) <= 500_000
    assert {"LICENSE", "LICENSES.md", "plex-arabic-OFL.txt"} <= sizes.keys()
    assert "](docs/" not in metadata and "](recipes/" not in metadata  # such links lead nowhere on an index


def test_it_finds_the_level_of_this_processor(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(f"kammil/engine/{FIRST}", tmp_path)
    own = build.load_native()
    if own is None:
        pytest.skip("there was no C compiler when kammil was installed")
    assert ctypes.CDLL(str(tmp_path / "kammil/engine" / FIRST)).kammil_best_level() == own.kammil_best_level()


def test_its_engine_computes_what_the_reference_does(bare: Path) -> None:
    folder = ROOT / "tests" / "fixtures" / "folders" / "blend-two"
    compiled = run(bare / "python", "-c", SCORES, folder)
    assert "compiled engine" in run(
        bare / "python", "-c", "from kammil.engine.build import engine_name as e; print(e())"
    )
    portable = run(bare / "python", "-c", SCORES, folder, KAMMIL_PORTABLE="1")
    assert json.loads(compiled) == pytest.approx(json.loads(portable), abs=2e-3)


def test_it_suggests_reads_a_table_and_serves(bare: Path, tmp_path: Path) -> None:
    began = time.perf_counter()
    assert run(bare / "kammil", "suggest", "كيف حا", "-k", "1").strip()
    print(f"first suggestion after {time.perf_counter() - began:.2f} s")
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([f"نص رقم {n}"] for n in range(30))])
    assert "30" in run(bare / "kammil", "data", "check", tmp_path / "a.csv")
    with serving(bare / "kammil", tmp_path) as url, urllib.request.urlopen(f"{url}/v1/models", timeout=10) as answer:
        assert [model["id"] for model in json.load(answer)["data"]] == ["levantine"]


@contextmanager
def serving(kammil: Path, folder: Path) -> Generator[str]:
    log = folder / "log.txt"
    with log.open("w") as file, subprocess.Popen([kammil, "serve", "--port", "0"], stdout=file, stderr=file) as server:
        try:
            deadline = time.monotonic() + 60
            while "http://" not in log.read_text() and server.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            yield "http://" + log.read_text().partition("http://")[2].split()[0].strip("/")
        finally:
            server.terminate()
