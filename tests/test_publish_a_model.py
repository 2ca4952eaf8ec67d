"""A model in a package of its own is found by name, as docs/publish-a-model.md says, and no code of it runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from tests.pages import ROOT

import kammil
from kammil import model_folder as folders
from kammil.errors import FolderError

PAGE = (ROOT / "docs" / "publish-a-model.md").read_text("utf-8")


@pytest.fixture
def trained(folder_of: Callable[[str], Path]) -> Path:
    """The folder of one model."""
    return folder_of("ngram")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    folders.installed.cache_clear()
    yield
    folders.installed.cache_clear()


def package(place: Path, name: str, entries: str) -> Path:
    """Lay an installed package without code, whose entry points are given."""
    found = place / f"{name.replace('-', '_')}-1.0.dist-info"
    found.mkdir(parents=True)
    (found / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (found / "entry_points.txt").write_text(f"[kammil.models]\n{entries}\n")
    return place


def test_the_page_is_followed(trained: Path, tmp_path: Path, texts: list[str]) -> None:
    project, quoted = tmp_path / "kammil-my-dialect", [text[:40].encode() for text in texts if len(text) >= 40]
    shutil.copytree(trained, project / "kammil_my_dialect")
    (project / "kammil_my_dialect" / "report.html").write_bytes(quoted[0])  # somebody put it there
    # whoever is found by name runs nothing
    (project / "kammil_my_dialect" / "__init__.py").write_text("raise SystemExit('it ran')")
    (found,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (project / "pyproject.toml").write_text(found)
    (wheel,) = WheelBuilder(str(project)).build(directory=str(tmp_path / "dist"))
    assert Path(wheel).name == "kammil_my_dialect-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert not any(text in archive.read(name) for text in quoted), name
        archive.extractall(tmp_path / "installed")
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path / 'installed'}"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kammil", *command],
            capture_output=True,
            encoding="utf-8",
            env=environment,
            check=False,
        )

    (command,) = re.findall(r"kammil complete \"(.*?)\" --model my-dialect", PAGE)
    done = run("complete", command, "--model", "my-dialect", "--temperature", "0")
    said = done.stdout.rstrip("\n")
    assert said and kammil.load(trained).complete(command, temperature=0).text.startswith(said)
    refused = run("info", "my-dialct")
    assert refused.returncode == 2 and "my-dialect" in refused.stderr and "levantine" in refused.stderr


def test_two_packages_of_one_name_are_both_named(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained, tmp_path / "one" / "model_one")
    shutil.copytree(trained, tmp_path / "two" / "model_two")
    monkeypatch.syspath_prepend(package(tmp_path / "one", "first-of-two", "ours = model_one\nlevantine = model_one"))
    monkeypatch.syspath_prepend(package(tmp_path / "two", "second-of-two", "ours = model_two\nits = model_two"))
    with pytest.raises(FolderError, match=r" and ") as caught:
        kammil.load("ours")
    assert all(package in str(caught.value) for package in ("first-of-two", "second-of-two"))
    assert kammil.load("its").complete("شو", seed=1) == kammil.load(trained).complete("شو", seed=1)
    shutil.copytree(trained, "ours")  # a folder comes first
    assert folders.locate(Path("ours")) == Path("ours") and kammil.load("ours")


def test_no_package_takes_the_name_of_a_bundled_model_or_costs_it_time(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained, tmp_path / "one" / "model_one")
    monkeypatch.syspath_prepend(package(tmp_path / "one", "a-namesake", "levantine = model_one"))
    assert folders.locate(Path("levantine")).parent.parent == Path(kammil.__file__).parent
    assert not folders.installed.cache_info().misses  # all packages are searched for other names alone
    assert "levantine" in folders.installed()


@pytest.mark.parametrize("value", ["no_such_module", "statistics", "os.path", "model_one.inner", "m one", ""])
def test_an_entry_that_names_no_folder_at_the_top_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    (tmp_path / "model_one" / "inner").mkdir(parents=True)
    (tmp_path / "model_one" / "__init__.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(package(tmp_path, "odd", f"odd = {value}"))
    with pytest.raises(FolderError, match="there is no model folder at odd"):
        kammil.load("odd")


@pytest.mark.parametrize("entry", [b"broken", b"odd = __main__", b"\xff = model_one"])
def test_one_odd_package_costs_no_other_its_name(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, entry: bytes
) -> None:
    shutil.copytree(trained, tmp_path / "good" / "model_one")
    for name, entries in (("good", "ours = model_one"), ("odd", "")):
        monkeypatch.syspath_prepend(package(tmp_path / name, name, entries))
    (tmp_path / "odd" / "odd-1.0.dist-info" / "entry_points.txt").write_bytes(b"[kammil.models]\n" + entry + b"\n")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # as under a console script
    with pytest.warns(UserWarning, match=r"odd-1\.0"):
        assert folders.locate(Path("ours")) == tmp_path / "good" / "model_one"


def test_a_name_of_before_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(FutureWarning, match="levantine-open is levantine now"):
        assert folders.locate(Path("levantine-open")) == folders.locate(Path("levantine"))
    subprocess.run([sys.executable, "-m", "kammil", "info", "levantine-open"], check=True)
    out, said = capfd.readouterr()
    assert "levantine" in out and said.count("\n") == 1 and said.startswith("kammil: levantine-open")
