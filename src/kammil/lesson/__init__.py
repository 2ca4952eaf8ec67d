"""Tools of all parts of the lesson: the posts, a fair split, tables, figures, and checks of answers.

Nothing here is the subject of a part, so it may be skipped at a first reading.
"""

from __future__ import annotations

import html
import inspect
import json
import os
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch: small networks gain nothing, and figures stay the same

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import kammil
from kammil.data import near_duplicates, sources
from kammil.data.bloom import ExactTexts

CORPUS = os.environ.get("KAMMIL_LESSON_CORPUS", "sample")
"""Name of the texts: `sample` comes with the package; `arsentd-lev` are the notebook's tweets, if you have them."""
_introduced = 0
NAMES = {" ": "space", "\n": "newline", "\u200c": "joiner"}
"""Labels on an axis for characters that are not seen."""


def posts() -> list[str]:
    """Return all posts of the corpus, as they were written."""
    where = "Country = 'lebanon'" if CORPUS == "arsentd-lev" else None
    return sources.texts(CORPUS, where=where)


def split(texts: Sequence[str], share: float = 0.2, seed: int = 0, *, fair: bool = True) -> tuple[list[str], list[str]]:
    """Divide texts into a training part and a test part of about this share, in a random order.

    Texts that repeat each other stay on one side. If `fair`, the test part holds only texts that the bundled model
    `levantine` never read, so that one and the same test part is fair to every model of this lesson.
    """
    group = near_duplicates.groups(texts)
    unseen = np.setdiff1d(group, group[_read_by_levantine(texts)] if fair else ())  # groups of which no text was read
    if not len(unseen):
        say("`levantine` has read all of these texts, so compare no other model with it.")
        unseen = np.unique(group)
    chosen = np.random.default_rng(seed).permutation(unseen)[: round(share * len(texts))]
    first = {int(g): i for i, g in reversed(list(enumerate(group)))}  # of repeats, the test part keeps one
    test = [texts[first[int(g)]] for g in chosen]
    train = [texts[i] for i in np.flatnonzero(~np.isin(group, chosen)).tolist()]
    return [train[i] for i in np.random.default_rng(seed).permutation(len(train))], test


def _read_by_levantine(texts: Sequence[str]) -> NDArray[np.bool_]:
    levantine = kammil.load()
    files = levantine.model
    assert files is not None and files.seen is not None
    return ExactTexts(files.seen).contains([levantine.normalise(text) for text in texts])


def benchmark(name: str) -> dict[str, Any]:
    """Return what a benchmark of Kammil measured (`benchmarks/NAME.json` in the repository)."""
    return json.loads((Path(__file__).parent / "benchmarks.json").read_text("utf-8"))[name]


class Table:
    """A small table: HTML in a notebook, aligned text in a terminal. Arabic cells run from right to left."""

    def __init__(self, rows: Sequence[Sequence[object]], note: str = "") -> None:
        """Take rows of cells, the first being the heading, and a note that stands below."""
        self.rows, self.note = [[str(cell) for cell in row] for row in rows], note

    def _repr_html_(self) -> str:
        side = ' dir="auto" style="text-align:start"'  # at the right where a cell is Arabic
        head, *body = (
            "<tr>" + "".join(f"<td{side}>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows
        )
        head = head.replace("<td", "<th").replace("</td>", "</th>")
        note = f"<p><small>{html.escape(self.note)}</small></p>" if self.note else ""
        return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>{note}"

    def __repr__(self) -> str:
        widths = [max(len(row[i]) for row in self.rows) for i in range(len(self.rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in self.rows]
        return "\n".join([*lines, *([self.note] if self.note else [])])


def table(*rows: Sequence[object], note: str = "") -> None:
    """Show a table: the first row is its heading."""
    display(Table(rows, note))


class Sentence(str):
    """A sentence of the lesson with computed numbers: prose in a notebook, lines of text in a terminal."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return self

    def __str__(self) -> str:
        return textwrap.fill(self, 100)


def say(sentence: str) -> None:
    """Show a sentence whose numbers a cell has computed; it may hold Markdown."""
    display(Sentence(sentence))


def claim(holds: object, text: str) -> None:
    """Fail where a claim of the lesson does not hold for its own posts; with other texts, say so.

    The text is the claim without a full stop. What holds for all texts stands in the parts as an `assert`.
    """
    if CORPUS == "sample":
        assert holds, text
    elif not holds:
        say(f"With these texts it is not so: {text}.")


def check(answer: Any, expected: Any, hint: str = "look again at what the exercise asks") -> None:
    """Say whether the answer to an exercise is right: what is expected is a value, or a function that judges it.

    A number may be 1 % off where the expected one is no whole number.
    An answer that is None or `...` has not been given yet. A wrong one raises AssertionError with the hint.
    """
    if answer is None or answer is ...:
        print("no answer yet")
        return
    if callable(expected):
        right = expected(answer)
    elif isinstance(expected, str):
        right = answer == expected
    else:
        given, wanted = np.ravel(answer), np.ravel(expected)
        comparable = given.dtype.kind in "biufc" and given.size == wanted.size
        right = comparable and np.allclose(given, wanted, rtol=0 if wanted.dtype.kind in "iu" else 0.01)
    assert right, f"not yet: {hint}"
    print("right")


def introduce() -> None:
    """In a program, print the headings and questions of its prose that stand above the line that runs now."""
    global _introduced  # noqa: PLW0603  # lines of the program, which runs once
    file, line = getattr(sys.modules["__main__"], "__file__", None), 0
    for frame in inspect.stack(0):
        line = frame.lineno if frame.filename == file else line  # the outermost one, of the program itself
    if file is None or line <= _introduced:
        return
    above = Path(file).read_text("utf-8").splitlines()[_introduced:line]
    _introduced = line
    for told in re.findall(r"^# (##? .*|> (?:.*\n# > )*.*)$", "\n".join(above), re.MULTILINE):
        print("\n" + textwrap.fill(" ".join(re.sub(r"^(# )?> |\*\*", "", told, flags=re.MULTILINE).split()), 100))


def display(value: Any) -> None:
    """Show a value as the output of a cell; outside a notebook print it."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        introduce()
        print(value)
    else:
        from IPython.display import display as show

        show(value)


def show(figure: Figure) -> None:
    """Show a figure: in a notebook below its cell, in a program in a window, without a display as a file here."""
    if "inline" in plt.get_backend():
        display(figure)
        plt.close(figure)
    elif figure.canvas.required_interactive_framework:
        plt.show()
    else:
        name = f"{Path(getattr(sys.modules['__main__'], '__file__', 'figure.py')).stem}_{figure.number}.png"
        figure.savefig(name)
        introduce()
        print("figure:", name)


def letter(character: str) -> str:
    """Return the name of a character for an axis or a table."""
    return NAMES.get(character, character)


def percent(share: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * share:.1f} %"


class Sliders:
    """One distribution of the next character with sliders for temperature, top-k, top-p and min-p; needs no kernel."""

    def __init__(self, prompt: str, letters: Sequence[str], p: Sequence[float], shown: int = 14) -> None:
        """Take the prompt, the characters from the most probable down, and their probabilities."""
        data = {"prompt": prompt, "letters": list(letters), "p": [round(float(x), 7) for x in p], "shown": shown}
        # "<" cannot stand in a script as data: a letter might end it
        script = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
        template = (Path(__file__).parent / "sliders.html").read_text("utf-8")
        self.page = template.replace("/*DATA*/", script)

    def _repr_html_(self) -> str:
        lines = " ".join(line.strip() for line in self.page.splitlines() if not line.strip().startswith("//"))
        return (
            f'<iframe title="One next letter, four sliders" srcdoc="{html.escape(lines)}" '
            'style="width:100%;max-width:600px;height:640px;border:1px solid #ddd"></iframe>'
        )

    def __repr__(self) -> str:
        return "(a figure with sliders: open the notebook or the page)"
