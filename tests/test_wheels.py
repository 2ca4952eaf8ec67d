"""A wheel that zig compiled is one for an index, and runs as what gcc compiled does, where there is no compiler."""

from __future__ import annotations

import csv
import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests import needs
from tests.pages import ROOT

from kammil.engine import build

TAG = "manylinux_2_17_x86_64"
TOOLS = ROOT / ".wheels" / "bin"
FIRST = "_kernel_0.so"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not (TOOLS / "twine").exists(), reason=needs.WHEEL_TOOLS),
    pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason=f"the wheel is for {TAG}"),
]
SCORES = """
import sys, kammil
from kammil.engine.build import engine_name
print(engine_name(), file=sys.stderr)
model = kammil.load(sys.argv[1])
print([round(bits, 4) for bits in model.score("شو رأيك نطلع بكرا عالبحر؟").bits])
"""

LOOK = """
import json, tempfile, hatch_build, lief
from pathlib import Path
for tag in hatch_build.TARGETS:
    with tempfile.TemporaryDirectory() as folder:
        for path in hatch_build.cross_compile(Path.cwd(), tag, Path(folder)):
            file = lief.parse(path.read_bytes())
            mac, windows = isinstance(file, lief.MachO.Binary), isinstance(file, lief.PE.Binary)
            print(json.dumps({
                "tag": tag,
                "functions": [function.name.lstrip("_") for function in file.exported_functions],
                "libraries": [library if isinstance(library, str) else library.name for library in file.libraries],
                "names its place": tempfile.gettempdir().encode() in path.read_bytes(),
                "macOS": file.build_version.minos if mac else None,
                "signed": mac and file.has_code_signature,
                "made": file.header.time_date_stamps if windows else None,
            }))
"""
SYSTEM = re.compile(
    r"libc\.so(\.6)?|libm\.so\.6|/usr/lib/libSystem\.B\.dylib|KERNEL32\.dll|api-ms-win-crt-[a-z0-9-]+\.dll|_kernel_\d\.so"
)
MULTIPLY = """
#include <stdint.h>
#include <stdio.h>
#define PLACE(o, i) (((o / 64 * (INPUTS / 4) + i / 4) * 64 + o % 64) * 4 + i % 4)
enum { INPUTS = 72, OUTPUTS = 128, ROWS = 4 };
struct { const int8_t *weights; const float *scales; const int32_t *zero_offsets; int64_t inputs, outputs; } matrix;
static int8_t w[OUTPUTS * INPUTS];
static uint8_t x[ROWS * INPUTS];
static int32_t offsets[OUTPUTS], sums[ROWS * OUTPUTS];
int kammil_best_level(void);
void kammil_matmul(const void *, const uint8_t *, int64_t, int32_t *);
int main(void) {
    int wrong = 0;
    for (int i = 0; i < OUTPUTS * INPUTS; i++) w[i] = i * 37 % 127 - 63;
    for (int i = 0; i < ROWS * INPUTS; i++) x[i] = i * 91 % 255 + 1;
    for (int o = 0; o < OUTPUTS; o++)
        for (int i = 0; i < INPUTS; i++) offsets[o] += 128 * w[PLACE(o, i)];
    matrix.weights = w, matrix.zero_offsets = offsets, matrix.inputs = INPUTS, matrix.outputs = OUTPUTS;
    kammil_matmul(&matrix, x, ROWS, sums);
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < OUTPUTS; o++) {
            int sum = 0;
            for (int i = 0; i < INPUTS; i++) sum += x[r * INPUTS + i] * w[PLACE(o, i)];
            wrong += sums[r * OUTPUTS + o] != sum;
        }
    printf("%d %d", kammil_best_level(), wrong);
}
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
    assert wheel.name.endswith(f"-py3-none-{TAG}.whl") and wheel.stat().st_size <= 20 << 20
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
    assert {"LICENSE", "LICENSES.md", "plex-arabic-OFL.txt", "wasm-MIT.txt"} <= sizes.keys()
    assert "](docs/" not in metadata and "](recipes/" not in metadata  # such links lead nowhere on an index


def test_it_finds_the_level_of_this_processor(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(f"kammil/engine/{FIRST}", tmp_path)
    own = build.load_native()
    if own is None:
        pytest.skip(needs.COMPILER)
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


@pytest.mark.skipif(not list(TOOLS.parent.glob("lib/*/site-packages/lief")), reason=needs.WHEEL_TOOLS)
def test_every_build_exports_the_engine_and_needs_the_system_alone() -> None:
    source = build.SOURCE.read_text("utf-8")
    engine = set(re.findall(r"^[a-zA-Z].*?\b(kammil_\w+)\(", source, re.MULTILINE))
    looked = [json.loads(line) for line in run(TOOLS / "python", "-c", LOOK).splitlines() if line.startswith("{")]
    assert len({one["tag"] for one in looked}) == 7
    for one in looked:
        assert engine <= {*one["functions"]}, one
        assert all(map(SYSTEM.fullmatch, one["libraries"])), one
        assert not one["names its place"] and one["made"] in {None, 1580601600}, one
        assert one["macOS"] == ([11, 0, 0] if "macosx" in one["tag"] else None), one
        assert one["signed"] or not one["tag"].endswith("arm64"), one  # Apple's own processors run nothing unsigned


@pytest.mark.timeout(900)  # zig makes a C library first
@pytest.mark.skipif(
    shutil.which("qemu-aarch64") is None, reason="qemu-aarch64, which emulates a processor: apt-get install qemu-user"
)
@pytest.mark.parametrize(("processor", "level"), [("cortex-a53", 0), ("max", 1)])
def test_a_processor_of_arm_takes_its_build(processor: str, level: int, tmp_path: Path) -> None:
    """The older one would stop at an instruction of the newer build."""
    (tmp_path / "main.c").write_text(MULTIPLY, "utf-8")
    asked = "import json, hatch_build as h; print(json.dumps([h.FLAGS, *h.TARGETS['musllinux_1_2_aarch64']]))"
    flags, target, levels = json.loads(run(TOOLS / "python", "-c", asked))
    compiler = (TOOLS / "python", "-m", "ziglang", "cc", "-target", target)
    run(*compiler, *flags, *levels[level], "-c", build.SOURCE, "-o", tmp_path / "kernel.o")
    run(*compiler, "-O1", "-static", tmp_path / "main.c", tmp_path / "kernel.o", "-o", tmp_path / "main", "-lm")
    assert run("qemu-aarch64", "-cpu", processor, tmp_path / "main") == f"{level} 0"


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
