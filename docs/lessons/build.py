"""Build the notebooks and pages of the lesson from their sources, or check that they are fresh.

A source is a Python file whose cells are marked by `# %%` (jupytext's percent format). `python docs/lessons/build.py`
executes the sources whose code does other things than that of their notebook, those whose notebook was made with
another model or other data, and those that are named, and writes for each a notebook (`.ipynb`, with outputs) and a
page (`.md`, its figures in `figures/`). Where only prose or formatting differs, outputs stay. `--prose` executes
nothing and writes what can be written without. `--check` writes nothing: it says which notebooks have other cells than
their source or were made with other files, and which pages are not those of their notebook.

A part that has a catalogue in `ar` gets a page in Arabic, too (`arabic.py`).

The first cell of every part, the benchmarks that `kammil.lesson` reads, and the minutes in README.md are written too.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import json
import os
import re
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER))
ROOT = FOLDER.parents[1]
MEASURED = ROOT / "src" / "kammil" / "lesson" / "benchmarks.json"
"""What `lesson.benchmark` reads, so that a notebook needs no clone."""
ADDRESS = runpy.run_path(str(ROOT / "hatch_build.py"))["ADDRESS"]
SOURCE = f"kammil[train] @ git+{ADDRESS}" if ADDRESS else "../..[train]"
"""What the first cell installs. Before the project has an address, it is the clone around the lesson."""
FIRST = f'''# %%
# The same first cell in every part: where Kammil is not installed yet, it installs it from SOURCE.
import importlib
import os
import subprocess
import sys

SOURCE = os.environ.get("KAMMIL_SOURCE", "{SOURCE}")  # a clone, a wheel or an address, as pip reads it
try:
    from kammil import lesson
except ImportError:
    print("installing Kammil from", SOURCE)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", SOURCE], check=True)
    importlib.invalidate_caches()
    from kammil import lesson

'''
"""The first cell of code of every part."""
MAX_BYTES = 300_000
"""Largest notebook: they are read in browsers and kept in the repository."""
WORDS, LINES = 200, 10
"""Words of prose and lines of code that are read in a minute."""


def sources() -> list[Path]:
    """Return the sources of the parts, in order, then that of the page about the notebook."""
    return [*sorted(FOLDER.glob("[1-7]_*.py")), *FOLDER.glob("the_notebook_mended.py")]


def benchmarks_read(source: Path) -> list[str]:
    """Return the names of the benchmarks whose figures a part shows."""
    return re.findall(r'lesson\.benchmark\("(\w+)"\)', source.read_text("utf-8"))


def measured() -> str:
    """Return the benchmarks that the parts read as one file of JSON."""
    names = sorted({name for source in sources() for name in benchmarks_read(source)})
    found = {name: json.loads((ROOT / "benchmarks" / f"{name}.json").read_text("utf-8")) for name in names}
    return json.dumps(found, separators=(",", ":")) + "\n"


def with_first_cell(text: str) -> str:
    """Return a source whose first cell of code is the one of all parts."""
    before, _, rest = text.partition("# %%\n")
    return before + FIRST + rest[rest.index("# %%") :]


def with_minutes(readme: str) -> str:
    """Return README.md with the minutes of reading and the seconds of computing of each part, and their sums."""
    import nbformat

    sums = [0, 0]
    for source in sources():
        cells_ = nbformat.read(source.with_suffix(".ipynb"), 4)
        words = sum(len(c.source.split()) for c in cells_.cells if c.cell_type == "markdown")
        lines = sum(len(c.source.splitlines()) for c in cells_.cells if c.cell_type == "code")
        row = (5 * round((words / WORDS + lines / LINES) / 5), cells_.metadata.get("seconds", 0))
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        page_ = re.escape(f"({source.stem}.md)")
        readme = re.sub(rf"(?m)^(\| .*{page_}.*\|)[^|]*\|[^|]*\|$", rf"\g<1> {row[0]} | {row[1]} |", readme)
    return re.sub(r"(?m)^(\| together .*\|)[^|]*\|[^|]*\|$", rf"\g<1> {sums[0]} | {sums[1]} |", readme)


def made_with(source: Path) -> dict[str, str]:
    """Return path and SHA-256 of the files, besides the code, on which the outputs of a source depend."""
    package = ROOT / "src" / "kammil"
    words = {"README.md", "metrics.json"}  # about the model, no part of it
    files = [path for path in (package / "pretrained" / "levantine").iterdir() if path.name not in words]
    files.append(package / "data" / "sample.txt")
    if re.search(r"\b(complete|samples|phrase)[(\"]", source.read_text("utf-8")):
        files.append(package / "completion" / "phrases.npz")
    files += [ROOT / "benchmarks" / f"{name}.json" for name in benchmarks_read(source)]
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


def execute(source: Path) -> list[str]:
    """Execute a source, write its notebook and draw its figures in Arabic, too; return the texts of the figures."""
    import nbformat
    from nbclient import NotebookClient

    notebook = read(source)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    os.environ["KAMMIL_LESSON_CORPUS"] = "sample"  # never the posts of real people
    before = processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.json"
        catalogue, translation = in_arabic(source)
        places = (str(catalogue), str(figures_of(translation)), str(texts))
        first = (
            f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import arabic; arabic.also_in_arabic{places}"
        )
        notebook.cells.insert(0, nbformat.v4.new_code_cell(first))
        NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(FOLDER)}}).execute()
        in_figures = json.loads(texts.read_text("utf-8")) if texts.exists() else []
    for figure in translation.parent.glob(f"figures/{source.stem}_*.png"):
        figure.write_bytes(fewer_colours(figure.read_bytes()))
    del notebook.cells[0]
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.execution_count = number
    notebook.metadata["seconds"] = round(processor_seconds() - before)
    finish(notebook, source)
    return in_figures


def processor_seconds() -> float:
    """Return the seconds that ended child processes, such as the kernel of a notebook, computed."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def finish(notebook: Any, source: Path) -> None:
    """Write an executed notebook, without what differs between two runs of the same code."""
    import nbformat

    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            if png := output.get("data", {}).get("image/png"):
                output["data"]["image/png"] = base64.b64encode(fewer_colours(base64.b64decode(png))).decode("ascii")
            if len(output.get("data", {})) > 1:
                output["data"].pop("text/plain", None)
            if "metadata" in output:
                output["metadata"] = {}
    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT)
    if len(text.encode("utf-8")) > MAX_BYTES:
        raise SystemExit(f"{source.stem}.ipynb would have {len(text):,} characters, and may have {MAX_BYTES:,}.")
    source.with_suffix(".ipynb").write_text(text + "\n", "utf-8")


def fewer_colours(png: bytes) -> bytes:
    """Return a figure with 256 colours, less than a third of its size."""
    from PIL import Image

    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").quantize(dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def page(notebook: Any, path: Path, caption: str = "Figure {} of this part") -> dict[Path, bytes]:
    """Return the page of a notebook, and its figures in `figures` beside it: path -> content."""
    parts, files = [f"<!-- Written by docs/lessons/build.py from {path.stem}.py. -->"], dict[Path, bytes]()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", cell.source))  # a page leads to the next page
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                figure = Path(str(figures_of(path)).format(len(files) + 1))
                files[figure] = base64.b64decode(data["image/png"])
                parts.append(f"![{caption.format(len(files))}](figures/{figure.name})")
            elif "text/html" in data:
                parts.append(data["text/html"])
            elif "text/markdown" in data:
                parts.append(data["text/markdown"])
            else:
                text = output.get("text") or data.get("text/plain", "")
                parts.append(f"```text\n{text.rstrip()}\n```")
    text = "\n\n".join(re.sub(r"[ \t]+$", "", part, flags=re.MULTILINE).strip() for part in parts)
    return {path: (text + "\n").encode("utf-8"), **files}


def pages(source: Path, in_figures: list[str] | None = None) -> tuple[dict[Path, bytes], list[str]]:
    """Return the pages of a part in both languages with all that belongs to them, and what has no translation."""
    import nbformat

    import arabic

    notebook = nbformat.read(source.with_suffix(".ipynb"), 4)
    files = page(notebook, source.with_suffix(".md"))
    catalogue, translation = in_arabic(source)
    if not catalogue.exists():
        return files, []
    translator = arabic.Translator(catalogue)
    translated = arabic.translated(notebook, translator, str(figures_of(translation)))
    files |= page(translated, translation, "الشكل {} من هذا الجزء")
    files[catalogue] = arabic.update(translator, in_figures)
    return files, translator.missing


def in_arabic(source: Path) -> tuple[Path, Path]:
    """Return where the Arabic catalogue of a part stands, and its page."""
    return source.parent / "ar" / f"{source.stem}.po", source.parents[1] / "ar" / "lessons" / f"{source.stem}.md"


def figures_of(page: Path) -> Path:
    """Return where the figures of a page stand, with `{}` for the number of each."""
    return page.parent / "figures" / f"{page.stem}_{{}}.png"


def differing(old: Any, new: Any) -> str:
    """Return the names of the files that were others when the old notebook was made."""
    before, now = old.metadata.get("made_with", {}), new.metadata["made_with"]
    return ", ".join(sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)))


def stale() -> list[str]:
    """Return a sentence for every notebook and page that is not fresh."""
    import nbformat

    import teacher

    sentences, expected = [], set[Path]()
    if MEASURED.read_text("utf-8") != measured():
        sentences.append(f"{MEASURED.name} has other figures than benchmarks; run: python docs/lessons/build.py")
    for source in sources():
        if (text := source.read_text("utf-8")) != with_first_cell(text):
            sentences.append(f"{source.name} begins with another cell; run: python docs/lessons/build.py")
        notebook = source.with_suffix(".ipynb")
        old, new = nbformat.read(notebook, 4) if notebook.exists() else None, read(source)
        if old is None or cells(old) != cells(new):
            sentences.append(f"{notebook.name} has other cells than {source.name}; run: python docs/lessons/build.py")
            continue
        if others := differing(old, new):
            sentences.append(f"{notebook.name} was made with other {others}; run: python docs/lessons/build.py")
            continue
        files, missing = pages(source)
        for path, content in files.items():
            expected.add(path)
            if not path.exists() or path.read_bytes() != content:
                name = path.relative_to(ROOT).as_posix()
                sentences.append(f"{name} is not what {notebook.name} says; run: python docs/lessons/build.py")
        if missing:
            sentences.append(f"{source.stem}.po translates {len(missing)} messages not, such as {missing[0]!r}")
    for path, content in teacher.pages(FOLDER).items():
        if not path.exists() or path.read_bytes() != content:
            sentences.append(f"{path.name} is not what the notebooks hold; run: python docs/lessons/build.py")
    readme = FOLDER / "README.md"
    if not sentences and readme.exists() and (text := readme.read_text("utf-8")) != with_minutes(text):
        sentences.append("README.md names other minutes; run: python docs/lessons/build.py")
    folders = {path.parent for path in expected if path.suffix == ".png"}
    left = {figure for folder in folders for figure in folder.glob("*.png")} - expected
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
    new.metadata["seconds"] = old.metadata.get("seconds", 0)
    path.write_text(nbformat.writes(new, version=nbformat.NO_CONVERT) + "\n", "utf-8")
    return True


def main(arguments: list[str]) -> None:
    """Build or check."""
    import teacher

    if "--check" in arguments:
        for sentence in (sentences := stale()):
            sys.stderr.write(sentence + "\n")
        raise SystemExit(1 if sentences else 0)
    MEASURED.write_text(measured(), "utf-8")
    for source in sources():
        source.write_text(with_first_cell(source.read_text("utf-8")), "utf-8")
        in_figures = None
        if source.stem in arguments or not (keep_outputs(source) or arguments):
            in_figures = execute(source)
        if source.with_suffix(".ipynb").exists():
            files, missing = pages(source, in_figures)
            for folder in {path.parent for path in files}:
                for old in set(folder.glob(f"{source.stem}_*.png")) - set(files):
                    old.unlink()
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if missing:
                sys.stderr.write(f"{source.stem}.po: {len(missing)} messages are to be translated\n")
    for path, content in teacher.pages(FOLDER).items():
        path.write_bytes(content)
    if (readme := FOLDER / "README.md").exists():
        readme.write_text(with_minutes(readme.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
