"""Write what a teacher needs from the notebooks of the lesson, or mark the notebooks of a class.

`exercises.md` holds the exercises without solutions, `solutions.md` those of `solutions/`, `slides.md` the figures with
a question and a sentence each. `build.py` writes and checks them. `python docs/lessons/teacher.py FOLDER` executes
every notebook in a folder and says how many answers are right.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXERCISES = "## Exercises"
NEXT = re.compile(r"^(Next: |The (answers|solutions) stand ).*", re.MULTILINE | re.DOTALL)
"""How a part ends after its exercises."""
HEADS = {
    "exercises": """<!-- Written by docs/lessons/teacher.py. -->

# Exercises

The exercises of all parts, without solutions. Answer them in the notebook of their part: they use its names.

""",
    "solutions": """<!-- Written by docs/lessons/teacher.py. -->

# Solutions

The solutions of all [exercises](exercises.md). The test suite runs them, each where its part ends.

""",
    "slides": """<!-- Written by docs/lessons/teacher.py. -->

# Slides

The figures of all parts, each with the question before it and a sentence after it. A line begins a new slide, as
`pandoc -t revealjs -s slides.md -o slides.html` and Marp read it.

---

""",
}
SEPARATORS = {"exercises": "\n\n", "solutions": "\n\n", "slides": "\n\n---\n\n"}


def pages(folder: Path) -> dict[Path, bytes]:
    """Return the three pages of a folder with notebooks: path -> content."""
    import jupytext
    import nbformat

    parts = {path: nbformat.read(path, 4).cells for path in sorted(folder.glob("[1-7]_*.ipynb"))}
    exercises, solutions, slides = [], [], []
    for path, cells in parts.items():
        title = cells[0].source.partition("\n")[0].removeprefix("# ")
        exercises.append(f"## {title}\n\n[The part]({path.stem}.md)\n\n{_source(_exercises(cells))}")
        if (file := folder / "solutions" / f"{path.stem}.py").exists():
            text = _source(jupytext.read(file).cells)
            text = re.sub(r"^#.*\n+", "", text, count=1).replace("](../", "](")
            solutions.append(f"## {title}\n\n{text}")
        slides += [f"## {title}: {heading}\n\n{text}" for heading, text in _slides(path.stem, cells)]
    bodies = {"exercises": exercises, "solutions": solutions, "slides": slides}
    return {
        folder / f"{name}.md": (HEADS[name] + SEPARATORS[name].join(body).strip() + "\n").encode()
        for name, body in bodies.items()
    }


def _exercises(cells: list[Any]) -> list[Any]:
    """Return the cells of a part from its exercises on, without its last words."""
    import nbformat

    for number, cell in enumerate(cells):
        if cell.cell_type == "markdown" and EXERCISES in cell.source:
            first = nbformat.v4.new_markdown_cell(cell.source.partition(EXERCISES)[2].strip())
            return [first, *cells[number + 1 :]]
    return []


def _source(cells: list[Any]) -> str:
    """Return prose and code of cells as Markdown."""
    texts = [
        NEXT.sub("", cell.source).strip() if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
        for cell in cells
    ]
    return "\n\n".join(text for text in texts if text)


def _slides(stem: str, cells: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield heading and text of a slide for each figure: the last question before it, and a sentence about it."""
    heading, question, above, number = "", "", "", 0
    for place, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            if headings := re.findall(r"^##+ (.*)", cell.source, re.MULTILINE):
                heading, question = headings[-1], ""
            if asked := re.findall(r"^> \*\*Guess first\.\*\*(?:.|\n>)*", cell.source, re.MULTILINE):
                question = " ".join(asked[-1].replace("\n>", " ").split())
            above = _sentence(re.sub(r"^#.*\n+", "", cell.source))
            continue
        outputs = [output.get("data", {}) for output in cell.outputs]
        said = [data["text/markdown"] for data in outputs if "text/markdown" in data]
        below = next((after.source for after in cells[place + 1 :] if after.cell_type == "markdown"), "")
        for data in outputs:
            if "image/png" in data:
                number += 1
                image = f"![Figure {number} of part {stem[0]}](figures/{stem}_{number}.png)"
                sentence = said[-1] if said else _sentence(below)
                yield heading, "\n\n".join(filter(None, (question, image, sentence or above)))
                question = ""


def _sentence(text: str) -> str:
    """Return the first sentence of prose, unless a heading or a list stands before it."""
    prose = " ".join(text.partition("\n\n")[0].split())
    return "" if prose.startswith(("#", ">", "-", "|")) else re.split(r"(?<=[.?!])\s", prose, maxsplit=1)[0]


def mark(notebook: Path) -> dict[str, int]:
    """Execute a student's notebook; count its answers that are right, not yet right, not given, and those that fail."""
    import nbformat
    from nbclient import NotebookClient

    student = nbformat.read(notebook, 4)
    place = {"metadata": {"path": str(notebook.parent)}}
    client = NotebookClient(student, timeout=1800, allow_errors=True, resources=place)
    client.execute(stderr=subprocess.DEVNULL)  # where the kernel writes its own warnings, none of them of the student
    outputs = [output for cell in _exercises(student.cells) for output in cell.get("outputs", ())]
    lines = "".join(output.get("text", "") for output in outputs).splitlines()
    errors = [output.evalue for output in outputs if output.output_type == "error"]
    wrong = sum(error.startswith("not yet") for error in errors)
    return {
        "right": lines.count("right"),
        "not yet": wrong,
        "no answer": lines.count("no answer yet"),
        "error": len(errors) - wrong,
    }


if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).glob("*.ipynb")):
        print(path.stem, *(f"{kind} {number}" for kind, number in mark(path).items()), sep="\t", flush=True)
