"""The build hook: what it compiles is sound, and without a compiler it does no harm."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests import needs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source alone, and a build of another one; no zig."""
    monkeypatch.setenv("ZIG", "")
    for path in (hook.SOURCE, hook.WEB):
        (tmp_path / path).parent.mkdir(parents=True)
        shutil.copy(ROOT / path, tmp_path / path)
    source = tmp_path / hook.SOURCE
    source.with_name("_kernel_0.so").write_bytes(b"old")
    return tmp_path


def warned(hook: ModuleType, root: Path) -> tuple[dict[str, Any], list[str]]:
    """What the hook says of a build, to the build and to whoever watches."""
    said: list[str] = []

    class App:
        def display_warning(self, message: str) -> None:
            said.append(message)

    build: dict[str, Any] = {"artifacts": []}
    made: Any = hook.KernelHook(str(root), {}, None, None, str(root), "wheel", App())
    made.initialize("standard", build)
    return build, said


@pytest.mark.skipif(shutil.which("cc") is None, reason=needs.COMPILER)
@pytest.mark.long
def test_what_is_compiled_raises_no_warning_and_knows_its_source(
    hook: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "cc -Wall -Wextra -Werror")
    build, said = warned(hook, root)
    assert not said and build["pure_python"] is False
    assert build["artifacts"] and all((root / path).stat().st_size > 1000 for path in build["artifacts"])
    assert build["tag"].startswith("py3-none-") and "manylinux" not in build["tag"]


@pytest.mark.parametrize("compiler", ["false", "no-such-compiler", 'cc "'])
def test_without_a_compiler_the_wheel_is_for_every_machine(
    hook: ModuleType, root: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)
    build, (message,) = warned(hook, root)
    assert build == {"artifacts": []} and "kernel.c was not compiled" in message
    if compiler != 'cc "':  # which is no command at all
        assert not list((root / hook.SOURCE).parent.glob("_kernel*"))


@pytest.mark.parametrize("zig", ["false", "no-such-zig", 'zig "'])
def test_a_zig_that_fails_stops_a_release_alone(
    hook: ModuleType, root: Path, zig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZIG", zig)
    monkeypatch.setenv("CC", "false")
    build, (message, _) = warned(hook, root)
    assert build == {"artifacts": []} and "for browsers" in message
    monkeypatch.setenv("KAMMIL_TARGET", next(iter(hook.TARGETS)))
    with pytest.raises((OSError, ValueError)):
        warned(hook, root)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_source_that_cannot_be_written_to_is_left_alone(
    hook: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(suffix: object, prefix: object, folder: object) -> str:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    build, (message,) = warned(hook, root)
    assert build == {"artifacts": []} and "Permission denied" in message


@pytest.mark.skipif(shutil.which("cc") is None, reason=needs.COMPILER)
@pytest.mark.long
def test_builds_stay_until_there_are_others(hook: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warned(hook, root)
    folder = (root / hook.SOURCE).parent
    stale = folder / "_kernel_9.so"
    stale.write_bytes(b"")
    there: list[bool] = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        there.append((folder / "_kernel_0.so").is_file())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    build, _ = warned(hook, root)
    assert there and all(there)
    assert sorted(folder.glob("_kernel_*.so")) == sorted(root / path for path in build["artifacts"])


def test_builds_for_browsers_are_made_once_and_replaced_with_their_source(
    hook: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a compiler that writes down what it was asked."""
    zig = root / "zig"
    zig.write_text(
        f'#!{sys.executable}\nimport sys\nopen(sys.argv[sys.argv.index("-o") + 1], "w").write(str(sys.argv))\n'
    )
    zig.chmod(0o755)
    monkeypatch.setenv("ZIG", str(zig))
    monkeypatch.setenv("CC", "false")
    build, _ = warned(hook, root)
    first = [root / path for path in build["artifacts"]]
    assert len(first) == 2 and all("wasm32" in path.read_text() for path in first)
    first[0].write_text("kept")
    assert warned(hook, root)[0] == build and first[0].read_text() == "kept"
    (root / hook.SOURCE).write_text("int other;")
    second = [root / path for path in warned(hook, root)[0]["artifacts"]]
    assert len(second) == 2 and not any(path.exists() for path in first)
