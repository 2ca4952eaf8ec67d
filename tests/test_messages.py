"""`recipes/messages`: lines that may be learnt, none of them twice, none of what is held out."""

from __future__ import annotations

from pathlib import Path

import pytest
import regex

from kammil.data.blocklist import is_offensive
from kammil.data.near_duplicates import groups, resembling
from kammil.text import fold

ROOT = Path(__file__).parent.parent
MESSAGES = ROOT / "recipes" / "messages"
FILES = sorted(MESSAGES.glob("*.txt"))
HELD_OUT = (MESSAGES / "held-out" / "test.txt").read_text("utf-8").splitlines()
LINES = [line for file in FILES for line in file.read_text("utf-8").splitlines()]


def test_there_is_a_file_of_every_region_that_gather_knows() -> None:
    named = regex.findall(r"`(messages_\w+)\.txt`", (MESSAGES / "README.md").read_text("utf-8"))
    assert sorted(named) == [file.stem for file in FILES]
    assert min(len(file.read_text("utf-8").splitlines()) for file in FILES) > 1000


@pytest.mark.parametrize("file", [*FILES, MESSAGES / "held-out" / "test.txt"], ids=str)
def test_every_line_is_one_clean_arabic_text(file: Path) -> None:
    for line in file.read_text("utf-8").splitlines():
        assert line == " ".join(line.split())
        assert 8 <= len(line) <= 300 and regex.search(r"\p{Arabic}", line)
        assert not regex.search(r"\d{7,}|https?:|@|#\w", line), "an address, a handle or a number of a person"
        assert not is_offensive(line)


def test_no_line_is_there_twice() -> None:
    every = [*LINES, *HELD_OUT]
    assert len(set(groups(every))) == len(every)


@pytest.mark.long
def test_what_is_held_out_is_new() -> None:
    assert not any(resembling(LINES, HELD_OUT))


def test_no_line_shares_a_run_of_letters_with_a_prompt_of_the_benchmark() -> None:
    prompts = map(fold, (ROOT / "benchmarks" / "prompts.txt").read_text("utf-8").splitlines())
    runs = {prompt[i : i + 11] for prompt in prompts for i in range(len(prompt) - 10)}
    assert runs
    for line in map(fold, [*LINES, *HELD_OUT]):
        assert not any(line[i : i + 11] in runs for i in range(len(line) - 10))
