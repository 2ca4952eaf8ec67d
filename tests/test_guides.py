"""The pages of docs/ are followed: their commands and their Python, in order, on texts that are few."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.pages import ROOT, MakeReader, Reader, blocks

from kammil.training.recipe import Recipe
from kammil.training.texts import prepare

DOCS = ROOT / "docs"
GUIDES = (
    "index.md",
    "start.md",
    "spreadsheet.md",
    "you-have-the-notebook.md",
    "chat.md",
    "train.md",
    "your-language.md",
    "figures.md",
    "report.md",
    "decoding.md",
    "profiles.md",
    "context.md",
    "serving.md",
    "playground.md",
    "editors.md",
    "family.md",
    "ar/index.md",
    "ar/start.md",
    "ar/context.md",
    "ar/lesson.md",
    "ar/you-have-the-notebook.md",
)
NOTEBOOK = ("you-have-the-notebook.md", "ar/you-have-the-notebook.md")
LONG = (*NOTEBOOK, "spreadsheet.md", "chat.md", "train.md", "report.md", "editors.md", "your-language.md")
TESTED_BY = {
    "publish-a-model.md": "test_publish_a_model.py",
    "embed.md": "exporting/test_embed.py",
    "export.md": "exporting/test_onnx.py",
    "tuning.md": "training/test_search.py",
    "pretrained.md": "models",
    "distributed.md": "training",
    "deploy.md": "server/test_deploy.py",
}
"""Pages whose snippets need more than a moment, or a machine of their own -> where they are tested."""
MODELS = {"serving.md": "my-model"}
"""Pages that go on with a model which the reader has trained before."""
TEXTS = {"report.md": ("posts.txt", "new-posts.txt"), "your-language.md": ("maltese.txt",)}
"""Pages that begin with files of the reader's texts, which they do not show."""

MADE = {
    **dict.fromkeys(NOTEBOOK, ("my-notebook/training.png", "chance-test.txt")),
    "train.md": ("my-model/training.png", "my-counter/model.json", "my-comparison/README.md", "from-python/README.md"),
    "spreadsheet.md": ("texts/test.txt", "my-model/README.md"),
}
"""Files that stand there after a page was followed."""


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeReader]:
    """Make a reader with an empty folder, and stop the server that it has started."""
    made: list[Reader] = []

    def make(files: Mapping[str, str]) -> Reader:
        made.append(Reader(tmp_path, monkeypatch, files))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def files(texts: list[str]) -> dict[str, str]:
    """What the files of the pages hold beyond the lines that they show."""
    rows = [
        f'2026-03-04,{("Rana", "Sami")[at % 2]},"{text.replace(chr(34), "")}"' for at, text in enumerate(texts[:120])
    ]
    rows[7] = rows[7].replace(" ", "\n", 1)  # a line break within a cell, and within a message
    chat = [f"12/31/25, 9:{10 + at % 50} PM - Rana: {text}" for at, text in enumerate(texts[:120])]
    chat[7] += f"\n{texts[7]}"
    return {"messages.csv": "\n".join(rows) + "\n", "chat.txt": "\n".join(chat) + "\n"}


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.long] if page in LONG else []) for page in GUIDES]
)
def test_what_a_page_says_works(
    page: str,
    reader: MakeReader,
    files: dict[str, str],
    texts: list[str],
    folder_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    if page in MODELS:
        shutil.copytree(folder_of("ngram"), tmp_path / MODELS[page])
    for at, name in enumerate(TEXTS.get(page, ())):
        (tmp_path / name).write_text("\n".join(texts[at::8]) + "\n", "utf-8")
    if page in NOTEBOOK:
        rows = [
            "Tweet\tCountry\tTopic",
            *(f"{text * 2}\tlebanon\tweather" for text in texts[:120]),
            "x\tsyria\tweather",
        ]
        (tmp_path / "ArSenTD-LEV.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    assert reader(files).follow(DOCS / page) > 0
    for made in MADE.get(page, ()):
        assert (tmp_path / made).stat().st_size > 0, made


def test_every_page_with_commands_is_tested() -> None:
    pages = [page for page in DOCS.rglob("*.md") if {"console", "python"} & {b.kind for b in blocks(page.read_text())}]
    names = {page.relative_to(DOCS).as_posix() for page in pages}
    names = {name for name in names if not name.startswith(("lessons/", "ar/lessons/"))}  # their notebooks are executed
    assert names <= {*GUIDES, *TESTED_BY}
    assert set(GUIDES) <= names
    for page, where in TESTED_BY.items():
        assert (ROOT / "tests" / where).exists(), page


def test_the_options_that_prose_names_exist() -> None:
    help_pages = (DOCS / "commands.md").read_text("utf-8")
    for page in [
        ROOT / "README.md",
        *(DOCS / name for name in GUIDES),
        DOCS / "embed.md",
        DOCS / "faq.md",
        DOCS / "deploy.md",
    ]:
        prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for span in re.findall(r"`((?:kammil |--)[^`]*)`", prose):
            for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", span):
                assert option in help_pages, f"{page.name}: {span}"
            for command in re.findall(r"^kammil ((?:data |profile )?[a-z]+)", span):
                assert f"## kammil {command}\n" in help_pages, f"{page.name}: {span}"


def test_what_a_page_says_of_links_and_handles(texts: list[str]) -> None:
    """What becomes of them, and that the options that the page names keep them."""
    page = (DOCS / "train.md").read_text("utf-8")
    assert "links become 🔗, handles and e-mail addresses 👤" in page and "`--without urls --without handles`" in page
    (rules,) = re.findall(r'rules=(\{"urls".*?\})', page)
    odd = [*texts[:40], "see https://a.example now @somebody me@a.example"]
    for options, seen in (({}, "see 🔗 now 👤 👤"), ({"rules": json.loads(rules.replace("False", "false"))}, odd[-1])):
        data = prepare(Recipe.of({"model": "ngram"} | options), odd, texts[40:42])
        assert data.train[-1] == seen


def test_the_chat_of_the_guide_is_read_as_it_says(files: dict[str, str], tmp_path: Path) -> None:
    from kammil.data import sources

    (shown,) = [block for block in blocks((DOCS / "chat.md").read_text("utf-8")) if block.title == "chat.txt"]
    (tmp_path / "chat.txt").write_text(shown.code, "utf-8")
    assert len(sources.texts(str(tmp_path / "chat.txt"))) == 2  # not the notice
    assert sources.texts(str(tmp_path / "chat.txt"), sender="Rana") == [
        shown.code.splitlines()[1].partition("Rana: ")[2]
    ]


def test_a_wrong_line_of_a_page_fails(reader: MakeReader, tmp_path: Path) -> None:
    """The reader notices: a command that fails, another output, a tool that it does not know."""
    page = tmp_path / "page.md"
    for line, message in (
        ("$ kammil suggest --no-such-flag", "no-such-flag"),
        ('$ kammil suggest "شو حل" -k 1 --model no-such-folder', "no-such-folder"),
        ("$ echo yes\nno", "and not"),
        ("$ rm -r /", "not known here"),
        ("$ pip install '.[nothing]'", "nothing"),
        ("$ make nothing", "nothing"),
    ):
        page.write_text(f"```console\n{line}\n```\n", "utf-8")
        with pytest.raises(AssertionError, match=re.escape(message)):
            reader({}).follow(page)
    for code in ("```python\nassert 1 == 2\n```\n", "```python\nprint(1)\n```\n\n```text\n2\n```\n"):
        page.write_text(code, "utf-8")
        with pytest.raises(AssertionError):
            reader({}).follow(page)
