"""The page: one file, nothing from elsewhere, words whole, nothing of a text is markup."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.views.conftest import ParsedPage

import kammil
from kammil.completion.completer import Completer
from kammil.completion.explain import CharacterScore, Explanation, explain
from kammil.errors import FolderError
from kammil.text import visible, words
from kammil.views.heatmap import explanation_page as page
from kammil.views.heatmap import level, save

TEXTS = st.text(st.sampled_from("<>&\"'@S T\u202e\0\u200cشوم\u064e👨"), max_size=40) | st.just(
    "@@SCRIPT@@ </script><b>"
)


def explanation_of(text: str, before: str = "") -> Explanation:
    return Explanation(
        before,
        text,
        None,
        tuple(CharacterScore(c, i % 9, 2.0 ** -(i % 9), 1, (), ()) for i, c in enumerate([*text, ""])),
    )


@settings(max_examples=40)
@given(text=TEXTS, before=TEXTS, name=TEXTS)
def test_a_text_is_text(text: str, before: str, name: str) -> None:
    document = ParsedPage(page(explanation_of(text, before), name))
    plain = ParsedPage(page(explanation_of("a" * len(text)), "a"))
    assert [tag for tag, _ in document.tags if tag != "span"] == [tag for tag, _ in plain.tags if tag != "span"]
    assert document.texts["#text"] == [visible(text)]
    assert document.texts["#rows"][0].count("%") == len(text) + 1
    # No markup inside of a word, or its letters would not join.
    assert document.texts.get(".word", []) == [visible(text[begin:end]) for begin, end in words(text)]


def test_nothing_comes_from_elsewhere_and_one_script_may_run() -> None:
    content = page(explanation_of("شو رأيك"), "mine")
    document = ParsedPage(content)
    assert not {name for _, attributes in document.tags for name in attributes} & {
        "src",
        "href",
        "srcset",
        "onclick",
        "style",
        "action",
    }
    assert "://" not in content and "url(" not in content and "@import" not in content
    policy = next(value for value in document.attributes("meta", "content") if value and "script-src" in value)
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(document.texts[kind][0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_light_and_dark_and_both_directions() -> None:
    content = page(explanation_of("شو رأيك"), "mine")
    assert content.count('dir="auto"') == 2
    assert "prefers-color-scheme: dark" in content and "::highlight(l7)" in content
    assert content.count("innerHTML") == 0


def test_everything_that_is_known_stands_in_the_table(folder_of: Callable[[str], Path]) -> None:
    model: Completer = kammil.load(folder_of("blend"))
    explanation = explain(model, "شو رأيك", k=2)
    rows = re.findall(r"<tr data-level.*?</tr>", page(explanation, "mine"))
    for place, row in zip(explanation.places, rows, strict=True):
        assert f"{place.bits:.2f}" in row
        assert all(credit.expert in row for credit in place.credits)
        assert row.count("<bdi>") == 3
    assert all(
        f'class="l{level(place.bits)}"' in row for place, row in zip(explanation.places[:-1], rows, strict=False)
    )
    assert 'class="l0"' in rows[-1]  # the end, however surprising: a text may be shown before it is finished


def test_a_page_that_is_there_is_not_cut_off_by_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.html"
    path.write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FolderError, match="No space"):
        save(explanation_of("شو"), "mine", path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev")
def test_a_page_goes_down_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("there.html")
    save(explanation_of("شو"), "mine", tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there.html").read_text("utf-8").startswith("<!DOCTYPE")
    save(explanation_of("شو"), "mine", Path("/dev/null"))
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("name", ["missing/a.html", "x" * 300, "a\0"])
def test_a_page_that_cannot_be_written_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(FolderError, match=r"cannot write .*name another"):
        save(explanation_of("شو"), "mine", tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_levels() -> None:
    assert [level(bits) for bits in (-0.1, 0, 0.99, 1, 6.9, 7, 40)] == [0, 0, 0, 1, 6, 7, 7]
