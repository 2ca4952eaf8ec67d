"""Which build of the compiled code runs, and when none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from kammil.engine import build as engine_build

pytestmark = pytest.mark.skipif(
    engine_build.load_native() is None, reason="there was no C compiler when kammil was installed"
)


def test_nothing_compiled_is_used_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    find = engine_build.load_native.__wrapped__
    assert find() is not None
    assert "compiled engine" in engine_build.engine_name()
    monkeypatch.setenv(engine_build.PORTABLE, "1")
    assert find() is None
    monkeypatch.setattr(engine_build, "load_native", find)
    assert "KAMMIL_PORTABLE is set" in engine_build.engine_name()


def test_a_build_that_cannot_be_loaded_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = engine_build.load_native.__wrapped__

    def elsewhere(level: int) -> Path:
        return tmp_path / f"{level}.so"

    monkeypatch.setattr(engine_build, "build", elsewhere)
    assert find() is None
    monkeypatch.setattr(engine_build, "load_native", find)
    assert "where there is a C compiler" in engine_build.engine_name()
    (tmp_path / "0.so").write_bytes(b"\x7fELF, of another machine")
    assert find() is None
    (tmp_path / "0.so").write_bytes(engine_build.SOURCE.with_name("_kernel_0.so").read_bytes())
    monkeypatch.setattr(engine_build, "SOURCE", tmp_path / "kernel.c")
    (tmp_path / "kernel.c").write_text("of another source")
    assert find() is None
