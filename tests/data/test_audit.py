"""The audit against counts by hand, counts by independent code, and published counts of real tweets."""

from __future__ import annotations

import csv
import json
import math
import unicodedata
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data import near_duplicates
from kammil.data.audit import SCRIPTS, Keyword, audit, cautions, is_broken, keywords, script
from kammil.errors import DataError
from kammil.text import PERSONAL

LONG = "شو حلو الشعور لما تصحى بكير"
ANY = st.lists(st.text(max_size=12) | st.sampled_from([LONG, LONG + "!", "", " ", "a\ufffdb"]), min_size=1, max_size=12)


def test_a_few_texts_counted_by_hand() -> None:
    texts = [
        LONG,  # 0
        LONG,  # 1: exact
        LONG + "!!",  # 2: folded
        LONG + " والشمس طالعة",  # 3: near
        "ok 123",  # 4
        "",  # 5: empty
        "\u200f ",  # 6: empty, folded
        "bad\x00byte",  # 7: broken
    ]
    found = audit(texts)
    assert (found.texts, found.empty_rows, found.broken_rows) == (8, (5, 6), (7,))
    assert (found.empty, found.broken) == (2, 1)
    assert (found.exact_repeats, found.folded_repeats, found.near_repeats) == (1, 3, 4)
    assert (found.groups, found.largest_group) == (4, 4)
    assert found.examples == ((0, 3), (5, 6))  # one pair a group, near before copies
    assert found.lengths.min == 0
    assert found.lengths.max == len(texts[3]) == 40
    assert math.isclose(found.lengths.mean, found.characters / 8)
    assert found.lengths.median == (8 + 27) / 2
    assert found.inventory[0].char == " "
    assert found.inventory[0].name == "SPACE"
    assert {c.char: c.name for c in found.inventory}["\x00"] == "U+0000"
    assert found.lonely == tuple(sorted("!سطةok123bad\x00yte\u200f"))
    assert found.leaks is None
    assert found.personal == dict.fromkeys(PERSONAL, 0)
    assert audit(["رقمي 0900123456", "a@b.co و c@d.co"]).personal["e-mail addresses"] == 2


@given(ANY)
def test_the_figures_agree_with_each_other_and_with_a_plain_count(texts: list[str]) -> None:
    found = audit(texts)
    counts = Counter("".join(texts))
    assert {c.char: c.count for c in found.inventory} == dict(counts)
    assert [c.count for c in found.inventory] == sorted(counts.values(), reverse=True)
    assert (found.characters, found.distinct_characters) == (sum(map(len, texts)), len(counts))
    assert set(found.lonely) == {char for char in counts if sum(char in text for text in texts) == 1}
    assert tuple(found.scripts) == SCRIPTS
    assert math.isclose(sum(found.scripts.values()), 1.0 if counts else 0.0)
    assert found.exact_repeats <= found.folded_repeats <= found.near_repeats == found.texts - found.groups
    assert found.largest_group <= found.near_repeats + 1
    assert found.lengths.min <= found.lengths.low <= found.lengths.median <= found.lengths.high <= found.lengths.max
    for first, second in found.examples:
        assert first < second
        assert near_duplicates.overlap(texts[first], texts[second]) >= near_duplicates.MIN_SHARE
    assert len(found.examples) == min(3, sum(n > 1 for n in Counter(near_duplicates.groups(texts).tolist()).values()))


@given(ANY, ANY)
def test_the_report_is_json(texts: list[str], training: list[str]) -> None:
    found = audit(texts, training)
    read = json.loads(json.dumps(asdict(found)))
    assert found.leaks is not None
    assert read["leaks"]["near"] == found.leaks.near == len(found.leaks.near_rows)
    assert read["texts"] == found.leaks.total == len(texts)
    assert read["scripts"] == dict(found.scripts)
    assert [entry["count"] for entry in read["inventory"]] == [c.count for c in found.inventory]


def test_the_texts_are_the_held_out_part_and_the_others_the_training_part() -> None:
    found = audit(["a new text here", LONG + "؟", LONG], against=["x", LONG]).leaks
    assert found is not None
    assert (found.exact, found.total, found.exact_rows, found.near_sources) == (2, 3, (1, 2), (1, 1))


def test_no_text_is_an_error() -> None:
    with pytest.raises(DataError, match="no text"):
        audit([])


ARABIC = "السلام عليكم ورحمة الله، كيفك؟"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("text", [ARABIC, "Привет мир, как дела", "שלום לכולם", "สวัสดีชาวโลก", "人生若只如初见", "😂"])
def test_utf8_read_as_western_looks_broken(text: str, encoding: str) -> None:
    assert is_broken(text.encode("utf-8").decode(encoding, "ignore"))
    assert not is_broken(text)


def test_arabic_utf8_read_as_windows_arabic_looks_broken() -> None:
    assert is_broken(ARABIC.encode("utf-8").decode("cp1256"))


@pytest.mark.parametrize(("text", "encoding"), [(ARABIC, "cp1256"), ("Привет мир, как дела", "cp1251")])
def test_windows_pages_read_as_latin_look_broken(text: str, encoding: str) -> None:
    assert is_broken(text.encode(encoding).decode("latin-1"))


@pytest.mark.parametrize("text", ["\ufffd", "a\x00", "\x1b[31m", "\ud83d alone", "\x7f", "\x9d", "dÃ©jÃ© vu", "itâ€™s"])
def test_damage_is_seen(text: str) -> None:
    assert is_broken(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tab\tline\r\nfeed\x0b\x0c\x1c\x85",
        "فقط؟ خطوط، شروط؛ «فقط»",
        "PERÚ”",
        "AMANHÃ…",
        "Döööööf ÄÄÄÄ",
        "été «où»",
        "Íþróttir Þórður",
        "naïve café – “quoted”",
        "👨\u200d👩\u200d👧 ❤\ufe0f 🏴\U000e0067\U000e007f",
        "می\u200cخواهم",
        "नमस्ते",
        "\u202bشو\u202c",
    ],
)
def test_sound_text_in_any_script_is_not_called_broken(text: str) -> None:
    assert not is_broken(text)


@pytest.mark.parametrize(
    ("chars", "name"),
    [
        ("شپ\u064e\u0640\ufefb", "Arabic"), ("aÉß", "Latin"), ("3٣३", "digits"), ("😂❤\ufe0f\U0001f3fd🇱", "emoji"),
        ("؟،.#_€✓«", "punctuation"), (" \t\u00a0\n", "space"), ("กক\u200d\x00\ud83dԱ", "other"),
        ("שךאָ\u05bcﬠ", "Hebrew"), ("Жёі\u0483", "Cyrillic"), ("Ωέἄ", "Greek"), ("हिन्दीॐ", "Devanagari"),
        ("人漢々〇", "Han"), ("ひらがなカタｶﾅーｰゝヽ", "kana"), ("한글ㅋㅎ", "Hangul"),
    ],
)  # fmt: skip
def test_characters_belong_to_one_script(chars: str, name: str) -> None:
    assert {script(char) for char in chars} == {name}


@pytest.mark.parametrize(
    ("texts", "length", "expected"),
    [
        (50, 80.0, []),
        (49, 80.0, ["Only 49 texts to learn from: with fewer than 50, figures say little about new texts."]),
        (1, 80.0, ["Only 1 text to learn from: with fewer than 50, figures say little about new texts."]),
        (300, 1.0, ["The texts have 1.0 characters on average: there is hardly anything in them to complete."]),
        (300, 4.0, []),
        (300, 2000.0, []),
        (
            30,
            50_000.0,
            ["Only 30 texts to learn from", "The texts have 50,000 characters on average, and Kammil is made"],
        ),
    ],
)
def test_few_texts_and_odd_lengths_bring_a_caution(texts: int, length: float, expected: list[str]) -> None:
    found = cautions(texts, length)
    assert len(found) == len(expected)
    assert all(s.startswith(start) and s.endswith(".") for s, start in zip(found, expected, strict=True))


def test_few_texts_beside_a_base_bring_a_caution() -> None:
    beside = (
        "Only 10 texts to learn from, beside those of the base: with fewer than 50, figures say little about new texts."
    )
    assert cautions(10, 80.0, has_base=True) == [beside]
    assert cautions(50, 80.0, has_base=True) == []


def test_real_tweets_repeat_as_published(data_dir: Path) -> None:
    with (data_dir / "ArSenTD-LEV.tsv").open(encoding="utf-8", newline="") as file:
        texts = [row["Tweet"] for row in csv.DictReader(file, delimiter="\t")]
    found = audit(texts)
    assert (found.texts, found.exact_repeats, found.groups) == (4000, 1191, 2680)
    assert (found.empty, found.broken) == (0, 0)
    assert found.scripts["Arabic"] > 0.6
    assert all(c.name == unicodedata.name(c.char) for c in found.inventory[:50])


# ---- words by which a source was collected


def corpus(flooded: int, size: int = 500, elsewhere: int = 0) -> tuple[list[str], list[str]]:
    """Texts of a source, some with the word, and as many of another source, some with the word too."""
    texts = [f"حكينا عن المعرض {i}" if i < flooded else f"حكينا شوي {i}" for i in range(size)]
    texts += [f"رحنا عالمعرض {i}" if i >= elsewhere else f"شفنا المعرض {i}" for i in range(size)]
    return texts, ["a"] * size + ["b"] * size


def test_a_keyword_is_a_word_of_a_tenth_of_one_source_and_of_hardly_any_other() -> None:
    texts, sources = corpus(50, elsewhere=25)
    assert keywords(texts, sources)[-1] == Keyword("المعرض", "a", 50, 0.1)
    assert "المعرض" not in {one.word for one in keywords(*corpus(49))}  # less than a tenth
    assert "المعرض" not in {one.word for one in keywords(*corpus(50, elsewhere=26))}  # everybody's
    assert keywords(*corpus(100, size=499)) == []  # too few texts to say


def test_a_word_that_is_as_frequent_elsewhere_is_no_keyword_of_a_large_source() -> None:
    for own, others, found in ((180, 20, False), (180, 10, True), (180, 11, False)):
        texts = [f"{'المعرض' if i < own else 'نص'} {i}" for i in range(900)]
        texts += [f"{'المعرض' if i < others else 'نص'} {i}" for i in range(100)]
        assert (keywords(texts, ["a"] * 900 + ["b"] * 100) != []) == found
    assert keywords(["المعرض"] * 900, ["a"] * 900) == []  # of one source alone nothing can be said


def test_the_largest_shares_come_first_and_short_words_are_none() -> None:
    found = keywords(*corpus(200))
    assert [one.word for one in found] == ["حكينا", "عالمعرض", "المعرض"]
    assert [one.share for one in found] == [1, 1, 0.4]
