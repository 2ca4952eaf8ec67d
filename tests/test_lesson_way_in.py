"""The way into the lesson that its README tells, from an empty folder: a file of its own, since it takes long."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tests.pages import blocks, typed

LESSONS = Path(__file__).parent.parent / "docs" / "lessons"


def way_in() -> list[str]:
    """The lines of the README's console block, without comments."""
    (console,) = (b for b in blocks((LESSONS / "README.md").read_text("utf-8")) if b.kind == "console")
    return [line.partition("  #")[0].strip() for line, _ in typed(console.code)]


def test_the_notebook_that_the_readme_opens_shows_a_figure_once_in_an_empty_folder(tmp_path: Path) -> None:
    (name,) = (line.split()[-1] for line in way_in() if line.startswith("jupyter"))
    notebook = nbformat.read(LESSONS / name, 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    last = next(i for i, cell in enumerate(code) if "lesson.show" in cell.source)
    notebook.cells = code[: last + 1]
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(shown) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_way_in_works_word_by_word_from_an_empty_folder(tmp_path: Path) -> None:
    """A kernel executes the notebook in place of `jupyter lab`, which waits for a browser; PyTorch is that of this
    environment, since its build for CUDA would be gigabytes."""
    clone, folder = tmp_path / "kammil", tmp_path / "empty"
    files = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(files, cwd=LESSONS.parents[1], capture_output=True, encoding="utf-8", check=True).stdout
    for path in (Path(name) for name in listed.splitlines() if (LESSONS.parents[1] / name).is_file()):
        (clone / path.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(LESSONS.parents[1] / path, clone / path)
    folder.mkdir()
    execute = "jupyter nbconvert --to notebook --execute --inplace"
    lines = [line.replace("jupyter lab", execute) for line in way_in()]
    assert sum(execute in line for line in lines) == 1
    (made,) = (i for i, line in enumerate(lines) if "-m venv" in line)
    site = Path(sysconfig.get_path("purelib"))
    lent = [str(path) for kind in ("torch*", "functorch*", "nvidia*", "triton*") for path in site.glob(kind)]
    lines.insert(made + 1, shlex.join(["ln", "-s", *lent, f".venv/lib/{site.parent.name}/site-packages/"]))
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    notebook = nbformat.read(next(folder.glob("*.ipynb")), 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "installing Kammil" in code[0].outputs[0]["text"]
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    assert "Traceback" not in done.stdout
    assert re.findall(r"^figure: (.*)", done.stdout, re.MULTILINE)
