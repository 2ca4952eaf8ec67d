"""Which build of the compiled code runs, and when none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from kammil.models import builds

pytestmark = pytest.mark.skipif(builds.library() is None, reason="there was no C compiler when kammil was installed")


def test_nothing_compiled_is_used_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    find = builds.library.__wrapped__
    assert find() is not None
    assert "compiled engine" in builds.engine()
    monkeypatch.setenv(builds.PORTABLE, "1")
    assert find() is None
    monkeypatch.setattr(builds, "library", find)
    assert "KAMMIL_PORTABLE is set" in builds.engine()


def test_a_build_that_cannot_be_loaded_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = builds.library.__wrapped__

    def elsewhere(level: int) -> Path:
        return tmp_path / f"{level}.so"

    monkeypatch.setattr(builds, "build", elsewhere)
    assert find() is None
    monkeypatch.setattr(builds, "library", find)
    assert "where there is a C compiler" in builds.engine()
    (tmp_path / "0.so").write_bytes(b"\x7fELF, of another machine")
    assert find() is None
    (tmp_path / "0.so").write_bytes(builds.SOURCE.with_name("_kernel_0.so").read_bytes())
    monkeypatch.setattr(builds, "SOURCE", tmp_path / "kernel.c")
    (tmp_path / "kernel.c").write_text("of another source")
    assert find() is None
