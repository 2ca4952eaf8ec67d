"""The cleaning of corpora: each rule by examples, and the laws that hold for every text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data.cleaning import CleaningRules
from kammil.data.sources import sample

ALL = CleaningRules(arabic_tokens=True, emoji_names=True, punctuation=True)
PIECES = st.sampled_from(
    [
        *(
            "شو",
            "الأخبار",
            "USER",
            "URL",
            "<url>",
            "NUM",
            "مستخدم",
            "وسم",
            "رابط",
            "RT @a:",
            "RT 👤",
            "@name",
            "👤",
            "🔗",
        ),
        *("https://t.co/x", "www.a.com", "htt…", "&amp;", "&lt;", "lt;", "&", "#38;", '"', '""', "\\", "\\u", ":joy:"),
        *(":no_such_name:", ":", ".", "…", "؟", "!", "(", ")", "«", "»", " ", "  ", "\t", "\u200f", "a", "5"),
    ]
)
ANY = st.text(max_size=40) | st.lists(PIECES, max_size=14).map("".join) | st.lists(PIECES, max_size=10).map(" ".join)


@given(ANY)
def test_cleaning_is_idempotent_and_never_longer(text: str) -> None:
    for rules in (CleaningRules(), ALL):
        cleaned = rules.clean(text)
        assert rules.clean(cleaned) == cleaned
        assert len(cleaned) <= len(text)


def test_plain_texts_stay_as_they_are() -> None:
    assert [text for text in sample() if CleaningRules().clean(text) != text] == []
    spaced = CleaningRules(emoji_names=True, punctuation=True)
    assert [text for text in sample() if spaced.clean(text) != text] == []


@pytest.mark.parametrize(
    "text",
    [
        "بتحكي معي؟ ",
        'قال "طيب" وراح على "البيت"',
        '"يا ريت"',
        "شو هاد :) والله :D",
        "دوام 7:30:15 وبعدين  فراغ",
        "R&D; AT&T والباقي",
        "SUPERUSER و @USER_1 و #URL",
        "مستخدم جديد رح يسجل",
        "السعر < 5 > 3",
        "ركض http://a.b/c وبعدين رجع",
        "@ahmad بتعرف @rana؟",
        "",
    ],
)
def test_the_default_rules_leave_what_people_write(text: str) -> None:
    assert CleaningRules().clean(text) == text


@pytest.mark.parametrize(
    ("rule", "text", "cleaned"),
    [
        ("retweets", "RT @someone: شو هالحكي", "شو هالحكي"),
        ("retweets", "RT @a: RT @b_c: لا يا شيخ", "لا يا شيخ"),
        ("tokens", "USER شفت هاد URL", "👤 شفت هاد 🔗"),
        ("tokens", "رقمي NUM NEWLINE والله EMOJI", "رقمي والله"),
        ("tokens", "خبر <url> اليوم", "خبر 🔗 اليوم"),
        ("arabic_tokens", "مستخدم شو رأيك وسم عمان_اليوم استفهام رابط", "👤 شو رأيك #عمان_اليوم ؟ 🔗"),
        ("entities", "ناطر .~&lt;3 &amp;amp; بس", "ناطر .~<3 & بس"),
        ("quotes", '"قال لي ""يلا"" ورحنا"', 'قال لي "يلا" ورحنا'),
        ("quotes", '\\"شو هاد\\"', '"شو هاد"'),
        ("quotes", "نيالك بين أهلك \\", "نيالك بين أهلك"),
        ("emoji_names", "ضحك :joy::joy: وفلوس:face_with_tears_of_joy:", "ضحك 😂😂 وفلوس😂"),
        ("emoji_names", "خلص :female_sign::no_such_name: يلا", "خلص ♀ يلا"),
        ("punctuation", "الله يسلمك . . . يا صاحبي ، شو ( يعني ) ؟ !", "الله يسلمك... يا صاحبي، شو (يعني)؟!"),
        ("punctuation", "حلو :) و « طيب » :D", "حلو :) و «طيب» :D"),
        ("runs", "@a @b @c_d شو الأخبار", "@a شو الأخبار"),
        ("runs", "👤 👤👤 شو الأخبار https://t.co/abc 🔗", "👤 شو الأخبار"),
        ("runs", "خبر عاجل http://t.co/ab…", "خبر عاجل"),
        ("runs", "خبر عاجل ht…", "خبر عاجل"),
    ],
)
def test_each_rule_by_itself(rule: str, text: str, cleaned: str) -> None:
    none = dict.fromkeys(CleaningRules.__dataclass_fields__, False)
    assert CleaningRules(**none).clean(text) == text
    assert CleaningRules(**{**none, rule: True}).clean(text) == cleaned
    assert ALL.clean(ALL.clean(text)) == ALL.clean(text)
