"""`recipes/frames.py` and recipes/message-frames: every beginning with every end, and each fit to be learnt."""

from __future__ import annotations

from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

import frames
import gather
from frames import Frame
from kammil.data import sources
from kammil.data.blocklist import is_offensive
from kammil.errors import DataError
from kammil.text import fold

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "recipes" / "message-frames"
FILES = sorted(FOLDER.glob("*.txt"))
HALVES = st.lists(st.from_regex(r"[ابتج؟،]{1,3}( [ابتج]{1,3}){0,2}", fullmatch=True), min_size=1, max_size=4)
BLOCK = "+ ضاع مفتاح البيت\n+ ما عم لاقي مفتاح البيت\n- وبدي نسخة اليوم\n- ومين شافه؟\n- ، مين شافه؟\n"


def test_every_beginning_has_every_end(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("+ نعم\n- لا\n", "utf-8")
    (tmp_path / "a.txt").write_text(BLOCK, "utf-8")
    assert frames.from_folder(tmp_path) == [
        *(f"{beginning}{end}" for beginning in ("ضاع مفتاح البيت", "ما عم لاقي مفتاح البيت")
          for end in (" وبدي نسخة اليوم", " ومين شافه؟", "، مين شافه؟")),
        "نعم لا",
    ]  # fmt: skip


@given(st.lists(st.tuples(HALVES, HALVES), min_size=1, max_size=4))
def test_what_was_written_is_read(blocks: list[tuple[list[str], list[str]]]) -> None:
    lines = ["\n".join([*(f"+ {b}" for b in begin), *(f"- {e}" for e in ends)]) for begin, ends in blocks]
    with pytest.MonkeyPatch.context() as patched:
        content = "\n\n".join(lines) + "\n"

        def read_text(_path: Path, _encoding: str) -> str:
            return content

        patched.setattr(Path, "read_text", read_text)
        read = frames.read(Path("a.txt"))
    assert read == [Frame(tuple(begin), tuple(ends)) for begin, ends in blocks]
    assert [len(list(frame.texts())) for frame in read] == [len(begin) * len(ends) for begin, ends in blocks]


@given(HALVES, st.lists(st.from_regex(r"[ابتج]{1,3}", fullmatch=True), min_size=1, max_size=9), st.integers(1, 9))
def test_ends_take_turns(beginnings: list[str], ends: list[str], number: int) -> None:
    frame = Frame(tuple(beginnings), tuple(f"{i}{end}" for i, end in enumerate(ends)))
    texts = list(frame.texts(number))
    each = min(number, len(ends))
    assert len(texts) == len(beginnings) * each and set(texts) <= set(frame.texts())
    met = [sum(text.endswith(end) for text in texts) for end in frame.ends]
    assert max(met) - min(met) <= 1


@pytest.mark.parametrize("malformed", ["+ نعم\n", "- لا\n", "+ نعم\nبس\n- لا\n", "+ نعم \n- لا\n", "+نعم\n- لا\n"])
def test_a_malformed_block_is_named(tmp_path: Path, malformed: str) -> None:
    (tmp_path / "a.txt").write_text(BLOCK + "\n" + malformed, "utf-8")
    with pytest.raises(DataError, match=r"a\.txt"):
        frames.read(tmp_path / "a.txt")


def test_gather_keeps_all_of_them_but_what_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "a.txt").write_text(BLOCK, "utf-8")
    every = frames.from_folder(tmp_path / "frames")
    (tmp_path / "test.txt").write_text(every[0], "utf-8")
    out = tmp_path / "out.tsv"
    arguments = ["--frames", str(tmp_path / "frames"), "--out", str(out), "--exclude"]
    gather.main(arguments)
    assert list(sources.texts(out)) == every and set(sources.rows(out).sources or ()) == {"frames"}
    gather.main([*arguments, str(tmp_path / "test.txt")])
    assert every[0] not in sources.texts(out) and every[1] in sources.texts(out)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_frames_of_a_region_are_clean_and_repeat_nothing(file: Path) -> None:
    for frame in frames.read(file):
        assert min(len(frame.beginnings), len(frame.ends)) >= 5
        for halves in (frame.beginnings, frame.ends):
            assert len(set(map(fold, halves))) == len(halves)
        for text in (*frame.beginnings, *frame.ends, next(frame.texts())):
            assert regex.search(r"\p{Arabic}", text) and len(text) <= 90
            assert not regex.search(r"\d{7,}|https?:|@|#\w", text), "an address, a handle or a number of a person"
            assert not is_offensive(text)


def test_no_frame_shares_a_run_of_letters_with_a_prompt_of_the_benchmarks() -> None:
    prompts = [
        line
        for name in ("prompts", "prompts-plain", "prompts-frames")
        for line in _lines(ROOT / "benchmarks" / f"{name}.txt")
    ]
    runs = {fold(prompt)[i : i + 11] for prompt in prompts for i in range(len(fold(prompt)) - 10)}
    assert runs and FILES
    for text in frames.from_folder(FOLDER):
        letters = fold(text)
        assert not any(letters[i : i + 11] in runs for i in range(len(letters) - 10)), text


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines()
