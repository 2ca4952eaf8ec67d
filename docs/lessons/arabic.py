"""The lesson in Arabic: the executed notebooks, with the words of `ar/NAME.po` in place of the English ones.

Code and numbers are those of the English notebook, so they cannot differ. A message is a block of prose, a sentence, a
cell of a table, a line of output or a text of a figure; numbers that a cell has computed stand in it as {0}, {1}, ...
A translation that is equal to its message says that nothing is to be translated. `python docs/lessons/build.py` keeps
the catalogues (gettext's format, which Poedit and others open) complete and writes the pages in docs/ar/lessons.
"""

from __future__ import annotations

import base64
import copy
import html
import io
import json
import posixpath
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

FROM_PAGES = "../../lessons"
"""Where the English pages stand, as seen from those in Arabic."""
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")
SIGN = re.compile(r"(?<![\w)\u200e])[-+](?=\d)")
"""A sign before a number, which would jump behind it among Arabic letters."""
CELL = re.compile(r"(?<=>)[^<>]*[A-Za-z][^<>]*(?=<)")
WRAPPED = re.compile(r"\n(?![-*>|#<]|\d+\.| )")
"""A line break within a paragraph, which says nothing."""
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()((?!https?:|mailto:|#)[^)#\s]+)")
IN_FIGURE = "text of a figure"


def with_numbers_out(text: str) -> tuple[str, list[str]]:
    """Return a text with {0}, {1}, ... in place of its numbers, and the numbers."""
    numbers: list[str] = []

    def place(match: re.Match[str]) -> str:
        numbers.append(match[0])
        return f"{{{len(numbers) - 1}}}"

    return NUMBER.sub(place, text), numbers


def with_numbers_in(text: str, numbers: list[str]) -> str:
    """Undo `with_numbers_out`; a translation may name the numbers in another order, and nothing else in braces."""
    return re.sub(r"\{(\d+)\}", lambda match: numbers[int(match[1])], text)


class Translator:
    """Replaces messages by their translations, and notes what it met and what it lacked."""

    def __init__(self, path: Path) -> None:
        """Read a catalogue; one that does not exist is empty."""
        self.catalogue = read_po(io.BytesIO(path.read_bytes() if path.exists() else b""), locale="ar")
        self.words = {str(m.id): str(m.string) for m in self.catalogue if m.id and m.string}
        self.met: dict[str, bool] = {}  # message -> whether it stands in a figure
        self.missing: list[str] = []

    def __call__(self, text: str, figure: bool = False) -> str:
        """Return the translation of a text without computed numbers, or the text itself."""
        if not re.search(r"[A-Za-z]{2}", text):
            return text
        self.met[text] = self.met.get(text, True) and figure
        if text not in self.words:
            self.missing.append(text)
        return self.words.get(text, text)

    def computed(self, text: str, figure: bool = False) -> str:
        """Return the translation of a text with computed numbers."""
        template, numbers = with_numbers_out(text)
        translation = with_numbers_in(self(template, figure), numbers)
        return SIGN.sub("\u200e\\g<0>", translation) if re.search("[\u0621-\u064a]", translation) else translation

    def prose(self, text: str, translate: Callable[[str], str]) -> str:
        """Return Markdown with its blocks translated, code left as it is, and links as seen from the Arabic pages."""
        parts, end = [], 0
        for fence in [*FENCE.finditer(text), None]:
            for block in re.split(r"(\n{2,})", text[end : fence.start() if fence else len(text)]):
                parts.append(block if not block.strip() else LINK.sub(_moved, translate(WRAPPED.sub(" ", block))))
            if fence:
                parts.append(fence[0])
                end = fence.end()
        return "".join(parts)


def _moved(match: re.Match[str]) -> str:
    target = match[2]
    if re.fullmatch(r"[1-7]_\w+\.(ipynb|md)", target):  # a part, which is in Arabic too
        return match[0]
    return match[1] + posixpath.normpath(f"{FROM_PAGES}/{target}")


def translated(notebook: Any, translator: Translator, figures: str) -> Any:
    """Return a copy of an executed notebook in Arabic; `figures` is the path of those drawn for it, with `{}` for the
    number of each."""
    new, number = copy.deepcopy(notebook), 0
    for cell in new.cells:
        if cell.cell_type == "markdown":
            cell.source = translator.prose(cell.source, translator)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                number += 1
                if (png := Path(figures.format(number))).exists():
                    data["image/png"] = base64.b64encode(png.read_bytes()).decode()
            elif "text/html" in data and "<iframe" not in data["text/html"]:
                table = data["text/html"].replace("text-align:start", "text-align:right")  # cells of numbers, too
                data["text/html"] = CELL.sub(lambda m: html.escape(translator.computed(html.unescape(m[0]))), table)
            elif "text/markdown" in data:
                data["text/markdown"] = translator.prose(data["text/markdown"], translator.computed)
            elif "text" in output:
                output["text"] = "".join(map(translator.computed, output["text"].splitlines(keepends=True)))
    return new


def update(translator: Translator, in_figures: list[str] | None) -> bytes:
    """Return a catalogue of the messages that a translator met, and of those of figures, if the part was executed."""
    if in_figures is None:
        in_figures = [str(m.id) for m in translator.catalogue if IN_FIGURE in m.auto_comments]
    for text in in_figures:
        translator(text, figure=True)
    catalogue = Catalog(locale="ar")
    for message, figure in translator.met.items():
        catalogue.add(message, translator.words.get(message, ""), auto_comments=[IN_FIGURE] if figure else [])
    text = io.BytesIO()
    write_po(text, catalogue, width=100, omit_header=True)
    return text.getvalue()


@contextmanager
def figure_in(figure: Any, translate: Callable[[str], str]) -> Generator[None]:
    """Let the texts of a figure of Matplotlib be translated meanwhile."""
    from matplotlib.text import Text

    figure.canvas.draw()  # which makes the labels of ticks
    axes = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    ticks = {id(label) for axis in axes for label in axis.get_ticklabels()}
    texts = [text for text in figure.findobj(Text) if id(text) not in ticks]
    undo = list[Callable[[], Any]]()
    for axis in axes:
        names = [label.get_text() for label in axis.get_ticklabels()]
        if any(re.search("[A-Za-z]", name) and "$" not in name for name in names):
            undo += [
                partial(axis.set_major_locator, axis.get_major_locator()),
                partial(axis.set_major_formatter, axis.get_major_formatter()),
                partial(axis.set_view_interval, *axis.get_view_interval(), ignore=True),
            ]
            axis.set_ticks(axis.get_ticklocs(), [translate(name) for name in names])
    for text in texts:
        undo.append(partial(text.set_text, text.get_text()))
        text.set_text(translate(text.get_text()))
    yield
    for step in undo:
        step()


def also_in_arabic(catalogue: str, figures: str, texts: str) -> None:
    """Make `kammil.lesson.show` draw each figure in Arabic, too, and write the texts of all figures into a file."""
    from kammil import lesson

    translator, show, number = Translator(Path(catalogue)), lesson.show, 0

    def both(figure: Any) -> None:
        nonlocal number
        number += 1
        with figure_in(figure, partial(translator.computed, figure=True)):
            if translator.words:
                png = Path(figures.format(number))
                png.parent.mkdir(parents=True, exist_ok=True)
                figure.savefig(png, bbox_inches="tight", dpi=figure.dpi)
        Path(texts).write_text(json.dumps(list(translator.met)), "utf-8")
        show(figure)

    lesson.show = both
