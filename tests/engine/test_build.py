"""Which build of the native engine runs, and when none does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from zlib import crc32

import pytest
from tests import needs

from kammil.engine import build as engine_build

pytestmark = pytest.mark.skipif(engine_build.load_native() is None, reason=needs.COMPILER)
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason=needs.COMPILER)
find = engine_build.load_native.__wrapped__


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, where builds are looked for."""

    def path(level: int) -> Path:
        return tmp_path / f"{level}.so"

    monkeypatch.setattr(engine_build, "build_path", path)
    monkeypatch.setattr(engine_build, "load_native", find)
    return tmp_path


def compile_variant(folder: Path, old: str = "", new: str = "", *flags: str) -> None:
    """Compile the source with some text replaced, which claims to be of the real source."""
    source = engine_build.SOURCE.read_text()
    assert not old or source.count(old) == 1
    (folder / "kernel.c").write_text(source.replace(old, new) if old else source)
    checksum = f"-DKAMMIL_SOURCE={crc32(engine_build.SOURCE.read_bytes())}u"
    command = ["cc", "-std=gnu11", "-fPIC", "-shared", "-Wno-incompatible-pointer-types", checksum, *flags]
    subprocess.run([*command, str(folder / "kernel.c"), "-o", str(folder / "0.so"), "-lm"], check=True)


def test_no_build_is_used_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find() is not None
    assert "compiled engine" in engine_build.engine_name()
    monkeypatch.setenv(engine_build.PORTABLE, "1")
    assert find() is None
    monkeypatch.setattr(engine_build, "load_native", find)
    assert "KAMMIL_PORTABLE is set" in engine_build.engine_name()


def test_a_build_that_cannot_be_loaded_is_not_used(builds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find() is None
    assert "where there is a C compiler" in (said := engine_build.engine_name()) and "--no-cache-dir" in said
    (builds / "0.so").write_bytes(b"\x7fELF, of another machine")
    assert find() is None
    assert "install kammil again" in engine_build.engine_name()
    (builds / "0.so").write_bytes(engine_build.SOURCE.with_name("_kernel_0.so").read_bytes())
    assert find() is not None
    monkeypatch.setattr(engine_build, "SOURCE", builds / "kernel.c")
    (builds / "kernel.c").write_text("of another source")
    assert find() is None
    assert "0.so was made of another source" in engine_build.engine_name()


@needs_compiler
@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("#define WINDOW 256 ", "#define WINDOW 255 ", "WINDOW is 255 in the build and 256 in Python"),
        ("CONTEXT_W2 = -3,", "CONTEXT_W2 = -9,", "CONTEXT_W2 is -9 in the build and -3 in Python"),
        ("#define ADAPTIVE_TABLES 5 ", "#define ADAPTIVE_TABLES 6 ", "ADAPTIVE_TABLES is 6"),
        (
            "const float *score_bias;",
            "const double *score_bias;",
            "*Model.score_bias is 8 in the build and 4 in Python",
        ),
        ("kept_capacity, lock;", "kept_capacity, lock, more;", "sizeof Model is"),
        ("const int64_t *large_counts;", "const uint64_t *more; const int64_t *large_counts;", "Model.large_counts is"),
        ("inputs, outputs;", "outputs, inputs;", "QuantizedMatrix.inputs is 32 in the build and 24 in Python"),
        ("int64_t pairs;", "int64_t more, pairs;", "SortedCounts.pairs is 8 in the build and 0 in Python"),
    ],
)
def test_a_build_that_disagrees_with_python_is_not_used(builds: Path, old: str, new: str, reason: str) -> None:
    compile_variant(builds, old, new)
    assert find() is None
    assert reason in engine_build.engine_name()


@needs_compiler
def test_a_build_that_tells_something_unknown_to_python_is_not_used(builds: Path) -> None:
    compile_variant(builds, "CONSTANT(GATE_FEATURES),", "CONSTANT(GATE_FEATURES), CONSTANT(ROW_BLOCK),")
    assert find() is None
    assert "ROW_BLOCK is 4 in the build and unknown in Python" in engine_build.engine_name()


@needs_compiler
@pytest.mark.parametrize("optimisation", ["-O0", "-O3"])
def test_a_build_without_vector_code_is_not_used(builds: Path, optimisation: str) -> None:
    compile_variant(builds, "", "", optimisation, "-DKAMMIL_PLAIN")
    assert find() is None
    assert "no vector code" in engine_build.engine_name()
