"""A list of blocked words is read line by line, and a wrong line is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from kammil.data.blocked_words import BlockedWord, read_list, read_list_file
from kammil.data.blocklist import Blocklist, is_offensive
from kammil.errors import DataError


def test_a_list_is_read_line_by_line() -> None:
    assert read_list("# words\n\nخبز\nbread\tinsult\tenglish\tword\n", "x") == (
        BlockedWord("خبز"),
        BlockedWord("bread", "insult", "english", "word"),
    )
    assert len(read_list("{a|b} c\tinsult\tenglish\tword", "x", patterns=True)) == 2
    assert not is_offensive("a b c")
    (entry,) = read_list("(a|) ~ {b|c}", "x")
    assert [match.entry for match in Blocklist([entry]).find("a b c")] == [entry]


@pytest.mark.parametrize("line", ["!!!", "a\tb\tc\td", "a\tb\tc\tword\te"])
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(DataError, match="line 2 of x"):
        read_list(f"good\n{line}\n", "x")


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "block.txt"
    with pytest.raises(DataError, match="cannot be read"):
        read_list_file(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read_list_file(file)
    file.write_bytes(b"a\n" * (1 << 16))
    with pytest.raises(DataError, match="shorten it"):
        read_list_file(file)
    file.write_text("خبز\n", encoding="utf-8")
    assert read_list_file(file) == (BlockedWord("خبز"),)
