"""What a teacher gets from the lesson: exercises without solutions, slides, and marks by assertion."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

LESSONS = Path(__file__).parent.parent / "docs" / "lessons"
TEACHER = runpy.run_path(str(LESSONS / "teacher.py"))


def test_every_part_has_exercises_and_none_has_its_solution() -> None:
    exercises = (LESSONS / "exercises.md").read_text("utf-8")
    assert len(re.findall(r"^## \d\. ", exercises, re.MULTILINE)) == 7
    for path in (LESSONS / "solutions").glob("[1-7]_*.py"):
        checks, answers = exercises.count("lesson.check("), path.read_text("utf-8")
        assert checks >= 2
        given = [line for line in answers.splitlines() if re.match(r"\w+ = (?!\.\.\.|None)", line)]
        assert given
        assert not [line for line in given if line in exercises.splitlines()], path.name


def test_every_figure_is_a_slide_with_words() -> None:
    slides = (LESSONS / "slides.md").read_text("utf-8").split("\n---\n")[1:]
    shown = [re.findall(r"\]\(figures/(.*?)\)", slide) for slide in slides]
    figures = [path.name for path in (LESSONS / "figures").glob("[1-7]_*.png")]
    in_order = sorted(figures, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    assert [name for names in shown for name in names] == in_order
    for slide, names in zip(slides, shown, strict=True):
        assert len(names) == 1
        assert len(slide.strip().split("\n\n")) >= 3, names  # heading, figure, and a question or a sentence


def test_a_handed_in_notebook_is_marked_by_its_checks(tmp_path: Path) -> None:
    check = "from kammil import lesson\nlesson.check({}, 3, 'count')"
    cells = [
        new_code_cell("print('right')"),  # not an answer: it stands before the exercises
        new_markdown_cell("## What to keep\n\n## Exercises\n\n1. How many?"),
        *(new_code_cell(check.format(answer)) for answer in ("3", "3.0", "4", "...", "None", "unheard_of")),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    path = tmp_path / "student.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    assert TEACHER["mark"](path) == {"right": 2, "not yet": 1, "no answer": 2, "error": 1}
