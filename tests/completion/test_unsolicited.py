"""Tests of rulers, politics and formulas that ghost text and chosen completions leave out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.completion.unsolicited import is_function_word, strip_unsolicited, unsolicited_politics
from kammil.languages import known
from kammil.text import words


def entries(*names: str) -> list[str]:
    """The entries of lists of all languages."""
    return [entry for name in names for language in known().values() for entry in language.entries(name)]


FORMULAS = entries("formulas")


@pytest.mark.parametrize(
    ("text", "ghost", "shown"),
    [
        ("شفت مبارح ", "السنيورة عالتلفزيون", ""),
        ("شفت ال", "سنيورة", ""),
        ("شفت السن", "يورة", ""),  # the article begins no name
        ("شفت السني", "ورة", ""),  # a ruler is never finished
        ("وتر", "امب", ""),
        ("وترا", "مب", ""),
        ("الحمد", "لله", "لله"),  # a formula is
        ("قال ل", "بايدن", ""),
        ("شفت ", "بشار الأسد", ""),
        ("شفت ", "بشار الاسد", ""),  # as people spell it
        ("شفت بشار ", "الأسد", ""),
        ("شفت بشار", " الأسد", ""),
        ("شفت بشا", "ر الأسد", ""),
        ("شفت بشار ", "اليوم بشار الأسد", "اليوم"),
        ("شفت ", "بشار مبارح", "بشار مبارح"),  # somebody else
        ("مبارح ", "شفت بشار الأسد", "شفت"),
        ("بكرا ", "إن شاء الله", ""),
        ("بكرا ", "ان شاء الله", ""),
        ("بكرا ان ", "شاء الله", "شاء الله"),
        ("كيفك ", "اليوم الحمدلله", "اليوم"),
        ("", "الحمدلله", ""),
        ("لا حول ولا ", "قوة إلا بالله", "قوة إلا بالله"),
        ("حزب الله ", "كتير", "كتير"),  # it is there already
        ("يا ", "الله شو", "الله شو"),
        ("شو ", "الاخبار", "الاخبار"),
        ("قلت ", "لهم", "لهم"),  # اللهم is a word of its own, not an article and this
        ("قلت ", "اللهم", ""),
        ("شو", "", ""),
        ("شفت ", "#بشار_الأسد", ""),
        ("شفت #بشار", "_الأسد", ""),
        ("شفت ", "الشام #بشار_الأسد", "الشام"),
        ("the ", "#Erdogan_now", ""),
    ],
)
def test_what_is_shown(text: str, ghost: str, shown: str) -> None:
    assert strip_unsolicited(text, ghost) == shown


@pytest.mark.parametrize("entry", entries("rulers"))
def test_no_ruler_is_finished_whatever_is_typed(entry: str) -> None:
    for end in range(len(entry)):
        assert strip_unsolicited("شفنا مبارح " + entry[:end], entry[end:] + " كمان") == ""


@pytest.mark.parametrize("entry", FORMULAS)
def test_every_formula_waits_until_it_is_begun(entry: str) -> None:
    assert strip_unsolicited("شفنا مبارح ", entry + " كمان") == ""
    first, *others = entry.split()
    assert strip_unsolicited("شفنا مبارح و", entry) == ""
    if others:
        rest = " ".join(others)
        assert strip_unsolicited(f"شفنا مبارح {first} ", rest).startswith(others[0]) or rest in FORMULAS
    else:
        assert strip_unsolicited(f"شفنا مبارح {first[:-1]}", first[-1]) == first[-1]


@given(st.text("ابسيلنرهـ وّ\u200c😂", max_size=20), st.text("ابسيلنره ", max_size=20))
def test_what_is_shown_is_a_beginning_in_whole_words(text: str, ghost: str) -> None:
    shown = strip_unsolicited(text, ghost)
    assert ghost.startswith(shown)
    ends = {end - len(text) for _, end in words(text + ghost)} | {0, len(ghost)}
    assert len(shown) in ends


@pytest.mark.parametrize("entry", entries("rulers", "politics"))
def test_every_entry_is_brought_up_unless_the_text_speaks_of_such_things(entry: str) -> None:
    assert unsolicited_politics("شفنا مبارح ")(entry + " كمان")
    assert unsolicited_politics("شفنا مبارح و")(entry)
    assert not unsolicited_politics("شفنا مبارح ")("كمان")
    assert not unsolicited_politics(f"شفنا مبارح {entry} ")("كمان")
    assert not unsolicited_politics("كل الحكومات ")(entry)
    assert not unsolicited_politics(f"{entry} و")("حزب البعث")


EVERYDAY = [
    *("بحماس كبير", "صار صدام بين سيارتين", "لقمة هنية", "تنين طالبان", "ماكرون بالشوكولا", "شعر حريري", "تفاح جولاني"),
    *("سوق شعبي", "جو أسري", "انتو مسؤولين عنا", "مقاومة الأنسولين", "فستق إيراني", "قهوة أمريكية", "مرشح المي"),
    *("عروسي الحلوة", "حكام المباراة", "انقلاب الجو", "سياسة الشركة", "رئاسة القسم", "فساد الأكل", "أبو عمار جارنا"),
]
"""Everyday phrases with words that are also politics."""


@pytest.mark.parametrize(
    ("text", "completion", "brought_up"),
    [
        ("ماما انا بالطريق جب", "ران باسيل", True),  # across the place where the prompt ends
        ("بدي صحن ", "سلطة وحمص", False),
        ("سلمولي عال", "شعب", True),
        ("بكرا ", "إن شاء الله", False),  # only ghost text keeps from formulas
        ("شو رأيك بالانتخا", "بات", True),  # the text has not said it yet
        ("شو رأيك بالانتخابات ", "والحكومة", False),
        ("", "الجيش", True),
        *(("مبارح ", everyday, False) for everyday in EVERYDAY),
        ("", "", False),
    ],
)
def test_what_is_brought_up(text: str, completion: str, brought_up: bool) -> None:
    assert unsolicited_politics(text)(completion) == brought_up


def test_function_words() -> None:
    assert all(map(is_function_word, ["من", "ومن", "إلى", "الى", "وإنو", "علي", "وَ", "والله"]))
    assert not any(map(is_function_word, ["", "كبير", "ولد", "بيت", "واحد", "house", "the"]))
