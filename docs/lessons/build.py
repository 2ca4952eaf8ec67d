"""Build the notebooks and pages of the lesson from their sources, or check that they are fresh.

A source is a Python file whose cells are marked by `# %%` (jupytext's percent format). `python docs/lessons/build.py`
executes the sources whose code does other things than that of their notebook, those whose notebook was made with
another model or other data, and those that are named, and writes for each a notebook (`.ipynb`, with outputs) and a
page (`.md`, its figures in `figures/`). Where only prose or formatting differs, outputs stay. `--prose` executes
nothing and writes what can be written without. `--check` writes nothing: it says which notebooks have other cells than
their source or were made with other files, and which pages are not those of their notebook.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
FIGURES = FOLDER / "figures"
MAX_BYTES = 300_000
"""Largest notebook: they are read in browsers and kept in the repository."""


def sources() -> list[Path]:
    """Return the sources of the parts, in order."""
    return sorted(FOLDER.glob("[1-7]_*.py"))


def made_with(source: Path) -> dict[str, str]:
    """Return path and SHA-256 of the files, besides the code, on which the outputs of a source depend."""
    package = ROOT / "src" / "kammil"
    words = {"README.md", "metrics.json"}  # about the model, no part of it
    files = [path for path in (package / "pretrained" / "levantine").iterdir() if path.name not in words]
    files.append(package / "data" / "sample.txt")
    read = re.findall(r'lesson\.benchmark\("(\w+)"\)', source.read_text("utf-8"))
    files += [ROOT / "benchmarks" / f"{name}.json" for name in read]
    return {p.relative_to(ROOT).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}


def read(source: Path) -> Any:
    """Read a source as a notebook without outputs."""
    import jupytext

    notebook = jupytext.read(source)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "made_with": made_with(source),
    }
    for number, cell in enumerate(notebook.cells):
        cell.metadata = {}
        cell["id"] = f"cell-{number}"
    return notebook


def cells(notebook: Any) -> list[tuple[str, str]]:
    """Return kind and text of each cell."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def execute(source: Path) -> None:
    """Execute a source and write its notebook."""
    from nbclient import NotebookClient

    notebook = read(source)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    os.environ["KAMMIL_LESSON_CORPUS"] = "sample"  # never the posts of real people
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(FOLDER)}}).execute()
    finish(notebook, source)


def finish(notebook: Any, source: Path) -> None:
    """Write an executed notebook, without what differs between two runs of the same code."""
    import nbformat

    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            if len(output.get("data", {})) > 1:
                output["data"].pop("text/plain", None)
            if "metadata" in output:
                output["metadata"] = {}
    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT)
    if len(text.encode("utf-8")) > MAX_BYTES:
        raise SystemExit(f"{source.stem}.ipynb would have {len(text):,} characters, and may have {MAX_BYTES:,}.")
    source.with_suffix(".ipynb").write_text(text + "\n", "utf-8")


def page(path: Path) -> dict[Path, bytes]:
    """Return the page of a notebook and its figures: path -> content."""
    import nbformat

    parts, files = [f"<!-- Written by docs/lessons/build.py from {path.stem}.py. -->"], dict[Path, bytes]()
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", cell.source))  # a page leads to the next page
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                figure = FIGURES / f"{path.stem}_{len(files) + 1}.png"
                files[figure] = base64.b64decode(data["image/png"])
                parts.append(f"![Figure {len(files)} of this part](figures/{figure.name})")
            elif "text/html" in data:
                parts.append(data["text/html"])
            else:
                text = output.get("text") or data.get("text/plain", "")
                parts.append(f"```text\n{text.rstrip()}\n```")
    text = "\n\n".join(re.sub(r"[ \t]+$", "", part, flags=re.MULTILINE).strip() for part in parts)
    return {path.with_suffix(".md"): (text + "\n").encode("utf-8"), **files}


def differing(old: Any, new: Any) -> str:
    """Return the names of the files that were others when the old notebook was made."""
    before, now = old.metadata.get("made_with", {}), new.metadata["made_with"]
    return ", ".join(sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)))


def stale() -> list[str]:
    """Return a sentence for every notebook and page that is not fresh."""
    import nbformat

    sentences, expected = [], set[Path]()
    for source in sources():
        notebook = source.with_suffix(".ipynb")
        old, new = nbformat.read(notebook, 4) if notebook.exists() else None, read(source)
        if old is None or cells(old) != cells(new):
            sentences.append(f"{notebook.name} has other cells than {source.name}; run: python docs/lessons/build.py")
            continue
        if others := differing(old, new):
            sentences.append(f"{notebook.name} was made with other {others}; run: python docs/lessons/build.py")
            continue
        for path, content in page(notebook).items():
            expected.add(path)
            if not path.exists() or path.read_bytes() != content:
                sentences.append(f"{path.name} is not the page of {notebook.name}; run: python docs/lessons/build.py")
    left = set(FIGURES.glob("*.png")) - expected
    return sentences + [f"{path.name} belongs to no page; delete it" for path in sorted(left) if not sentences]


def meaning(code: str) -> str:
    """Return a form of code that does not depend on comments and line breaks."""
    return ast.dump(ast.parse(code))


def keep_outputs(source: Path) -> bool:
    """Write the prose of a source into its notebook, if the code of both is the same; say whether it is."""
    import nbformat

    path = source.with_suffix(".ipynb")
    if not path.exists():
        return False
    new, old = read(source), nbformat.read(path, 4)
    code = [[cell for cell in notebook.cells if cell.cell_type == "code"] for notebook in (new, old)]
    if differing(old, new) or [meaning(c.source) for c in code[0]] != [meaning(c.source) for c in code[1]]:
        return False
    for to, kept in zip(*code, strict=True):
        to.outputs, to.execution_count = kept.outputs, kept.execution_count
    path.write_text(nbformat.writes(new, version=nbformat.NO_CONVERT) + "\n", "utf-8")
    return True


def main(arguments: list[str]) -> None:
    """Build or check."""
    if "--check" in arguments:
        for sentence in (sentences := stale()):
            sys.stderr.write(sentence + "\n")
        raise SystemExit(1 if sentences else 0)
    FIGURES.mkdir(exist_ok=True)
    for source in sources():
        if source.stem in arguments or not (keep_outputs(source) or arguments):
            execute(source)
        if (notebook := source.with_suffix(".ipynb")).exists():
            files = page(notebook)
            for old in set(FIGURES.glob(f"{source.stem}_*.png")) - set(files):
                old.unlink()
            for path, content in files.items():
                path.write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
