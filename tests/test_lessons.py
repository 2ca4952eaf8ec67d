"""The lesson is executed: every part from first cell to last, with its claims and the solutions of its exercises.

What the parts claim stands in them as assertions, so a part that runs is a part whose claims hold.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from tests import needs

import kammil
from kammil import lesson
from kammil.data.bloom import ExactTexts
from kammil.decoding.filters import filters, log_softmax
from kammil.decoding.options import DecodingOptions

LESSONS = Path(__file__).parent.parent / "docs" / "lessons"
PARTS = sorted(path.stem for path in LESSONS.glob("[1-7]_*.py"))
PROGRAMS = [*PARTS, "the_notebook_mended"]


def builder(name: str = "build") -> ModuleType:
    """Import a module that builds the lesson."""
    spec = importlib.util.spec_from_file_location(name, LESSONS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_there_are_seven_parts() -> None:
    assert [part[0] for part in PARTS] == list("1234567")


def run(program: Path, folder: Path, corpus: str) -> str:
    """Run a part with the texts of a corpus; what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-W", "ignore", program],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "Agg", "KAMMIL_LESSON_CORPUS": corpus},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stdout
    return done.stdout


SOLUTIONS = {path.stem: path.read_text("utf-8") for path in (LESSONS / "solutions").glob("[1-7]_*.py")}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", PROGRAMS)
def test_a_part_runs_in_any_folder_leaves_its_figures_and_its_solutions_hold(part: str, tmp_path: Path) -> None:
    (tmp_path / "with solutions").mkdir()
    program = tmp_path / "with solutions" / f"{part}.py"
    text = (LESSONS / f"{part}.py").read_text("utf-8")
    program.write_text(text + "\nprint('the solutions:')\n" + SOLUTIONS.get(part, ""), "utf-8")
    said = run(program, tmp_path, "sample")
    assert "no answer yet" not in said.partition("the solutions:")[2]
    written = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert written == set(re.findall(r"^figure: (.*)", said, re.MULTILINE))
    assert written == {path.name for path in (LESSONS / "figures").glob(f"{part}_*.png")}


NOT_SO = "With these texts it is not so"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "part",
    [pytest.param(part, marks=getattr(pytest.mark, "corpora" if part[0] in "47" else "long")) for part in PROGRAMS],
)
def test_a_part_runs_to_its_end_with_english_sentences(part: str, tmp_path: Path) -> None:
    pages = [path.read_text("utf-8") for path in sorted(LESSONS.parent.glob("*.md"))]
    prose = re.sub(r"(?ms)^```.*?^```|^\s*[|#<].*?$|[`*\[\]]|\(\S+\)", "", "\n\n".join(pages))
    sentences = {re.sub(r"\s+", " ", each).strip("- ") for each in re.split(r"(?<=[.?!:;])\s+", prose)}
    long = sorted(each for each in sentences if 60 <= len(each) <= 200)
    assert len(long) >= 600
    corpus = tmp_path / "english.txt"
    corpus.write_text("".join(f"{each}\n" for each in long[:: len(long) // 600][:600]), "utf-8")
    said = run(LESSONS / f"{part}.py", tmp_path, str(corpus))
    assert (NOT_SO in said) >= (part[0] in "156")  # what `levantine` does with Arabic


@pytest.mark.corpora
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", PROGRAMS)
def test_a_part_runs_to_its_end_with_the_tweets_of_the_notebook(part: str, tmp_path: Path, data_dir: Path) -> None:
    run(LESSONS / f"{part}.py", tmp_path, "arsentd-lev")


def test_a_program_prints_its_headings_and_questions_before_its_answers(tmp_path: Path) -> None:
    program = tmp_path / "part.py"
    program.write_text(
        "# %% [markdown]\n# # A part\n#\n# Prose.\n#\n# > **Guess first.** How\n# > many?\n"
        "# %%\nfrom kammil import lesson\ndef answer():\n    lesson.say('Two.')\nanswer()\n"
        "# %% [markdown]\n# ## Later\n# %%\nlesson.table(('a', 'b'))\n# # Never run up to\n",
        "utf-8",
    )
    printed = run(program, tmp_path, "sample").split("\n")
    assert [line for line in printed if line] == ["# A part", "Guess first. How many?", "Two.", "## Later", "a  b"]


def test_a_claim_fails_for_the_sample_and_says_elsewhere_that_it_is_not_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson.claim(True, "it is so")
    with pytest.raises(AssertionError, match="it is so"):
        lesson.claim(False, "it is so")
    monkeypatch.setattr(lesson, "CORPUS", "my.txt")
    lesson.claim(True, "it is so")
    assert capsys.readouterr().out == ""
    lesson.claim(np.bool_(False), "it is so")
    assert capsys.readouterr().out == f"{NOT_SO}: it is so.\n"


def test_a_split_keeps_copies_on_one_side_and_a_fair_test_part_unread(capsys: pytest.CaptureFixture[str]) -> None:
    model = kammil.load()
    assert model.model is not None
    read = ExactTexts(model.model.seen)
    texts = lesson.posts()[:300] * 2
    were_read = read.contains([*map(model.normalise, texts)])
    unread = [text for text, was_read in zip(texts, were_read, strict=True) if not was_read]
    for fair, among in ((True, unread), (False, texts)):
        train, test = lesson.split(texts, 0.1, fair=fair)
        assert train and test and not {*train} & {*test} and len({*test}) == len(test)
        assert {*test} <= {*among} and {*train, *test} <= {*texts}
    assert capsys.readouterr().out == ""
    known = [text for text, was_read in zip(texts, were_read, strict=True) if was_read]
    assert lesson.split(known)[1] and "levantine" in capsys.readouterr().out


@pytest.mark.parametrize("part", PARTS)
def test_a_part_asks_before_it_measures_and_its_solutions_pass_its_checks(part: str) -> None:
    text = (LESSONS / f"{part}.py").read_text("utf-8")
    assert text.count("**Guess first.**") >= 3
    checks = checked(text[text.index("# ## Exercises") :])
    assert len(checks) >= 2
    assert checks <= checked(SOLUTIONS[part])


def checked(code: str) -> set[str]:
    """The calls of lesson.check."""
    calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    return {ast.unparse(call) for call in calls if ast.unparse(call.func) == "lesson.check"}


def test_a_random_row_stands_in_every_table_of_scores() -> None:
    """Scores are what a cell writes in per cent or bits beside names of models or settings."""
    for part in PARTS:
        text = (LESSONS / f"{part}.py").read_text("utf-8")
        assert "random (1/V" in text or "chance (1/V)" in text, part


def test_the_glossary_has_forty_words_and_each_stands_in_the_part_that_it_names() -> None:
    rows = re.findall(
        r"^\| (.+) \| (.+) \| (.+) \| \[(\d)\]\((\w+)\.md\) \|$", (LESSONS / "glossary.md").read_text("utf-8"), re.M
    )
    assert len({word for word, *_ in rows}) == 40
    assert [part for *_, part, _ in rows] == sorted(part for *_, part, _ in rows)
    for word, arabic, meaning, part, name in rows:
        assert re.search("[\u0600-\u06ff]", arabic) and meaning
        assert part == name[0] and word.lower() in (LESSONS / f"{name}.md").read_text("utf-8").lower(), word


def test_notebooks_and_pages_are_fresh() -> None:
    assert builder().stale() == []


def test_new_prose_keeps_the_outputs_and_new_code_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = builder()
    copy = tmp_path / "lessons"
    (copy / "figures").mkdir(parents=True)
    for path in [*LESSONS.glob("3_*.*"), *(LESSONS / "figures").glob("3_*.png")]:
        (copy / path.relative_to(LESSONS)).write_bytes(path.read_bytes())
    monkeypatch.setattr(build, "FOLDER", copy)
    monkeypatch.setattr(build, "MEASURED", copy / "benchmarks.json")
    build.main(["--prose"])
    assert build.stale() == []
    (source,) = copy.glob("3_*.py")
    before = json.loads(source.with_suffix(".ipynb").read_text("utf-8"))
    text = source.read_text("utf-8").replace("# %% [markdown]\n# #", "# %% [markdown]\n# # New:", 1)
    source.write_text(text, "utf-8")
    assert len(build.stale()) == 1
    build.main(["--prose"])
    assert build.stale() == []
    after = json.loads(source.with_suffix(".ipynb").read_text("utf-8"))
    assert [cell.get("outputs") for cell in before["cells"]] == [cell.get("outputs") for cell in after["cells"]]
    assert source.with_suffix(".md").read_text("utf-8").count("# New:") == 1
    source.write_text(text.replace("torch.manual_seed(0)", "torch.manual_seed(9)"), "utf-8")
    assert not build.keep_outputs(source)
    build.main(["--prose"])
    assert len(build.stale()) == 1
    (copy / "figures" / "3_the_network_9.png").write_bytes(b"")
    source.write_text(text, "utf-8")
    assert build.stale() == ["3_the_network_9.png belongs to no page; delete it"]


def test_a_notebook_made_with_another_model_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = builder()
    for name in ("ROOT", "FOLDER"):
        monkeypatch.setattr(build, name, tmp_path)
    monkeypatch.setattr(build, "MEASURED", tmp_path / "benchmarks.json")
    names = ("pretrained/levantine/weights.safetensors", "data/sample.txt", "completion/phrases.npz")
    paths = [tmp_path / "src" / "kammil" / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1")
    source = tmp_path / "1_part.py"
    source.write_text(build.FIRST + "# %%\nstr.complete()\n", "utf-8")
    build.finish(build.read(source), source)
    build.main(["--prose"])
    assert build.stale() == []
    for path in paths:
        path.write_bytes(b"2")
        assert [path.name in sentence for sentence in build.stale()] == [True]
        assert not build.keep_outputs(source)
        path.write_bytes(b"1")


def test_a_notebook_is_small_and_has_no_errors() -> None:
    for part in PROGRAMS:
        text = (LESSONS / f"{part}.ipynb").read_text("utf-8")
        assert len(text.encode("utf-8")) < 300_000, part
        assert '"output_type": "error"' not in text, part
        assert str(LESSONS) not in text and tempfile.gettempdir() not in text, part


def test_the_split_keeps_repeats_together_and_tests_with_what_levantine_never_read() -> None:
    posts = [post for post in lesson.posts() if len(post) >= 60][:300]
    posts += [f"@reader {post}" for post in posts[:60]]
    train, test = lesson.split(posts)
    assert not {post.removeprefix("@reader ") for post in train} & {post.removeprefix("@reader ") for post in test}
    assert lesson.split(posts) == (train, test)


def test_a_sentence_is_prose_in_a_notebook_and_lines_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lesson.say("The model is right in `42` cases. " * 8)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100
    shell: Any = InteractiveShell()
    data, _ = shell.display_formatter.format(lesson.Sentence("**42** cases"))
    assert data["text/markdown"] == "**42** cases"


def even(answer: int) -> bool:
    return answer % 2 == 0


def test_an_answer_is_missing_wrong_or_right(capsys: pytest.CaptureFixture[str]) -> None:
    for missing in (None, ...):
        lesson.check(missing, 5)
    lesson.check(3.02, 3.0)
    lesson.check((1.53, 3), (1.5288, 3.0))
    lesson.check([1, 2], [1, 2])
    lesson.check("ab", "ab")
    lesson.check(4, even)
    assert capsys.readouterr().out.splitlines() == ["no answer yet"] * 2 + ["right"] * 5
    wrong = (
        (4, 5),
        (999, 1000),
        (3.05, 3.0),
        ("a", "b"),
        ([1, 2], [1, 3]),
        (3, even),
        ("4", 4),
        ([4, 4], 4),
        ([4], [4, 4]),
    )
    for answer, expected in wrong:
        with pytest.raises(AssertionError, match="count again"):
            lesson.check(answer, expected, "count again")


def test_a_table_runs_in_the_direction_of_its_cells_and_is_escaped() -> None:
    table: Any = lesson.Table([("a", "b"), ("<b>", "شو")], note="1 < 2")
    html = table._repr_html_()
    assert 'dir="auto"' in html and "&lt;b&gt;" in html and "1 &lt; 2" in html and "<th" in html


@pytest.mark.parametrize(
    "values", [(1.0, 9, 1.0, 0.0), (0.5, 9, 1.0, 0.0), (1.5, 4, 1.0, 0.0), (1.0, 9, 0.7, 0.0), (0.8, 8, 0.9, 0.1)]
)
@pytest.mark.long
def test_the_sliders_compute_what_the_library_computes(values: tuple[float, int, float, float]) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip(needs.CHROMIUM)
    p = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.06, 0.05, 0.03, 0.01])
    figure: Any = lesson.Sliders("شو ", [*"ابتثجحخدذ"], list(p), shown=9)
    temperature, k, mass, share = values
    options = DecodingOptions(temperature=temperature, top_k=None if k == 9 else k, top_p=mass, min_p=share)
    rows = np.log(p)[None]
    for change in filters(options):
        rows = change(rows)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_content(figure._repr_html_())
        frame = page.frames[-1]
        frame.wait_for_selector(".row")
        for name, value in zip(("temperature", "top-k", "top-p", "min-p"), values, strict=True):
            frame.evaluate(
                "([name, value]) => { const input = document.getElementById(name); input.value = value;"
                " input.dispatchEvent(new Event('input')); }",
                [name, value],
            )
        shown = frame.evaluate("current()")
        browser.close()
    assert np.allclose(shown, np.exp(log_softmax(rows))[0], atol=1e-6)


arabic = builder("arabic")


@given(st.text())
def test_computed_numbers_come_back_into_a_sentence(text: str) -> None:
    template, numbers = arabic.with_numbers_out(text)
    if "{" not in text:
        assert arabic.with_numbers_in(template, numbers) == text


CATALOGUE = """msgid "See [part 4](4_teacher_forcing.ipynb) and [the figures](../figures.md)."
msgstr "[الجزء 4](4_teacher_forcing.ipynb) و[الأرقام](../figures.md)."

msgid "{0} of {1} are right"
msgstr "من {1} أصاب {0}"

msgid "right"
msgstr "صواب"
"""


def test_a_part_in_arabic_has_the_numbers_of_the_english_one(tmp_path: Path) -> None:
    path = tmp_path / "part.po"
    path.write_text(CATALOGUE, "utf-8")
    translator = arabic.Translator(path)
    code = nbformat.v4.new_code_cell("x = 1 # right")
    table = "<table><tr><td>right</td><td>3 of 12 are right</td><td>شو</td></tr></table>"
    code.outputs = [
        nbformat.v4.new_output("display_data", {"text/html": table}),
        nbformat.v4.new_output("stream", text="3 of 12 are right"),
    ]
    prose = "See [part 4](4_teacher_forcing.ipynb) and\n[the figures](../figures.md).\n\nWhat is new?"
    new = arabic.translated(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose), code]), translator, ""
    )
    assert "](4_teacher_forcing.ipynb)" in new.cells[0].source and "](../../figures.md)" in new.cells[0].source
    assert new.cells[1].source == code.source
    html, text = new.cells[1].outputs
    assert "<td>صواب</td><td>من 12 أصاب 3</td>" in html["data"]["text/html"]
    assert text["text"] == "من 12 أصاب 3"
    assert translator.missing == ["What is new?"]
    path.write_bytes(arabic.update(translator, ["accuracy"]))
    again = arabic.Translator(path)
    assert again.words == translator.words
    assert "accuracy" in {m.id for m in again.catalogue}


def test_figures_are_drawn_in_arabic_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = list[str]()

    def keep(figure: Figure) -> None:
        shown.append(figure.axes[0].get_title())

    (tmp_path / "part.po").write_text(CATALOGUE, "utf-8")
    monkeypatch.setattr(lesson, "show", keep)
    arabic.also_in_arabic(str(tmp_path / "part.po"), str(tmp_path / "figures" / "part_{}.png"), str(tmp_path / "texts"))
    figure = Figure()
    axes = figure.subplots()
    axes.set_title("right")
    axes.set_xticks([0, 1], ["3 of 12 are right", "later"])
    lesson.show(figure)
    assert shown == ["right"] and [t.get_text() for t in axes.get_xticklabels()] == ["3 of 12 are right", "later"]
    assert (tmp_path / "figures" / "part_1.png").read_bytes().startswith(b"\x89PNG")
    assert set(json.loads((tmp_path / "texts").read_text("utf-8"))) == {"right", "{0} of {1} are right", "later"}
