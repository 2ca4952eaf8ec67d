"""A file is replaced as a whole, and no other file with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kammil.errors import FolderError
from kammil.files import draft_of, write_atomic


@pytest.mark.parametrize("private", [True, False])
def test_a_draft_that_is_a_link_is_not_followed(tmp_path: Path, private: bool) -> None:
    """A stranger's folder may hold one, where `kammil report` writes."""
    path, other = tmp_path / "report.html", tmp_path / "other.txt"
    other.write_text("mine", "utf-8")
    draft_of(path).symlink_to(other)
    write_atomic(path, b"page", private=private)
    assert other.read_text("utf-8") == "mine"
    assert path.read_bytes() == b"page" and not path.is_symlink()
    assert not draft_of(path).exists()


def test_a_draft_that_cannot_be_removed_is_said(tmp_path: Path) -> None:
    draft_of(tmp_path / "a").mkdir()
    with pytest.raises(FolderError, match="cannot write"):
        write_atomic(tmp_path / "a", b"")
