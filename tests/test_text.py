"""Text rules, folding, graphemes."""

from __future__ import annotations

import sys
import time
import unicodedata
from dataclasses import fields, replace

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from kammil.errors import FolderError
from kammil.models.blend.experts import in_word
from kammil.text import (
    HANDLE,
    MAX_OPEN_WORD,
    NUMBER,
    PERSONAL,
    RAW,
    UNSPACED_COMMON,
    UNSPACED_SCRIPTS,
    URL,
    TextRules,
    ends_unspaced,
    fold,
    fold_spelling,
    gives_way,
    graphemes,
    mask_numbers,
    open_word,
    personal_counts,
    role,
    space_after,
    stays,
    unspaced_runs,
    visible,
    visible_label,
    words,
)
from kammil.vocabulary import CharacterVocabulary

RULES = TextRules()
ANY = st.text(st.characters(codec=None))
TWITTER = st.lists(
    st.sampled_from(
        [
            "@abc",
            "a@b.co",
            "https://t.co/x",
            "www.a.b",
            " ",
            "ـ",
            "\u200d",
            "\u200f",
            "شو",
            "e\u0301",
            "👨‍👩‍👧",
            "0900123456",
            "+1",
            "9",
        ]
    )
).map("".join)
RULE_SETS = st.builds(TextRules, *([st.booleans()] * len(fields(TextRules))))


@given(RULE_SETS, ANY | TWITTER)
def test_normalising_twice_changes_nothing_more(rules: TextRules, text: str) -> None:
    once = rules.normalise(text)
    assert rules.normalise(once) == once


@given(ANY)
def test_raw_is_the_identity(text: str) -> None:
    assert RAW.normalise(text) == text


@given(ANY | TWITTER)
def test_normalised_text_is_composed_and_visible(text: str) -> None:
    seen = RULES.normalise(text)
    assert unicodedata.is_normalized("NFC", seen)
    assert "ـ" not in seen
    assert "  " not in seen
    assert not seen.startswith(" ")
    seen.encode("utf-8")  # no lone surrogate is left
    assert not {c for c in seen if unicodedata.category(c) == "Cc"}


# Marks of all kinds: of several classes, such as come apart, such as begin a run of their own.
MARKS = st.sampled_from("\u0301\u0323\u0344\u0f71\u0f72\u0f73\u064e\u0651\u0654\u093c\u20dd\u3099\U0001d165")
HEAPS = st.lists(MARKS | st.sampled_from("اeé"), min_size=20, max_size=120).map("".join)


@given(HEAPS)
def test_a_heap_of_marks_is_composed_as_the_standard_says(text: str) -> None:
    rule = replace(RAW, nfc=True)
    assert rule.normalise(text) == unicodedata.normalize("NFC", text)


EMAIL = regex.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


@given(st.text(st.sampled_from("ab.+-@@@ _ش\u0301"), max_size=30))
def test_addresses_are_what_the_plain_pattern_finds(text: str) -> None:
    assert fold(EMAIL.sub(" ", text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "seen", "letters"),
    [("a", 1_000_001, 1_000_000), (".", 1_000_001, 0), ("@a", 2, 0), ("\u0301\u0323", 1_000_001, 0)],
)
def test_a_million_characters_come_back(text: str, seen: int, letters: int) -> None:
    many = text * (1_000_000 // len(text)) + "@"  # what takes quadratic time would take an hour
    assert (len(RULES.normalise(many)), len(fold(many)), open_word(many)) == (seen, letters, "")
    assert len(words(many)) == (0 if text in (".", "\u0301\u0323") else many.count("a") if "@" in text else 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("كـــتير   حلو", "كتير حلو"),
        ("شوف https://t.co/abc؟ حلو", f"شوف {URL} حلو"),
        ("شكرا @some_one وkteer@example.org", f"شكرا {HANDLE} {HANDLE}"),
        ("\u200fمرحبا\u202c\ufeff", "مرحبا"),
        ("عائلة 👨‍👩‍👧", "عائلة 👨‍👩‍👧"),
        ("می‌خواهم", "می‌خواهم"),
        ("cafe\u0301", "café"),
        ("مرحبا ", "مرحبا "),
    ],
)
def test_each_rule_does_what_it_says(text: str, expected: str) -> None:
    assert RULES.normalise(text) == expected


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("nfc", "e\u0301"),
        ("invisible", "a\u200fb"),
        ("tatweel", "كـتير"),
        ("urls", "https://t.co/abc"),
        ("handles", "@abc"),
        ("spaces", "a  b"),
    ],
)
def test_each_rule_can_be_switched_off(rule: str, text: str) -> None:
    assert RULES.normalise(text) != text
    assert replace(RULES, **{rule: False}).normalise(text) == text


def test_rules_survive_their_mapping_and_refuse_strangers() -> None:
    assert TextRules.from_dict(RAW.to_dict()) == RAW
    with pytest.raises(FolderError, match="'emoji'"):
        TextRules.from_dict({"emoji": True})


@given(st.text(st.characters(codec=None, exclude_categories=["Cn"])))  # libraries differ in the Unicode they know
def test_fold_holds_letters_marks_and_digits_only(text: str) -> None:
    folded = fold(text)
    assert all(unicodedata.category(c)[0] in "LMN" for c in folded)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("مُحَمَّدٌ، كِتاب!", "محمد كتاب"),
        ("RT شوف https://t.co/a @x", "rt شوف"),
        ("ﷲ", "الله"),
        ("كتيـــر", "كتير"),
        ("שָׁלוֹם", "שלום"),
    ],
)
def test_copies_of_one_text_fold_alike(first: str, second: str) -> None:
    assert fold(first) == fold(second)


@pytest.mark.parametrize(("first", "second"), [("कि", "की"), ("กิน", "กัน"), ("한국", "한글")])
def test_different_words_of_other_scripts_stay_different(first: str, second: str) -> None:
    assert fold(first) != fold(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("أهلاً وسهلاً إلى آخره", "اهلا وسهلا الى اخره"),
        ("علي", "على"),
        ("علی كيفک", "علي كيفك"),
        ("السعادة", "السعاده"),
        ("مبروووووك", "مبروك"),
        ("هههههه", "هه" + "ه"),
    ],
)
def test_a_text_spelled_in_two_ways_folds_alike(first: str, second: str) -> None:
    assert fold(first) != fold(second)
    assert fold_spelling(first) == fold_spelling(second)


@pytest.mark.parametrize(("first", "second"), [("الله", "اله"), ("1000", "10"), ("كتب", "كتاب"), ("बब", "ब")])
def test_two_of_a_letter_are_spelling_and_digits_are_numbers(first: str, second: str) -> None:
    assert fold_spelling(first) != fold_spelling(second)


@given(ANY)
def test_folding_the_spelling_folds_no_less_than_the_fold(text: str) -> None:
    assert fold_spelling(text) == fold_spelling(fold(text))
    assert bool(fold_spelling(text)) == bool(fold(text))


@given(ANY)
def test_graphemes_join_back(text: str) -> None:
    assert "".join(graphemes(text)) == text


def test_graphemes_are_what_a_reader_counts() -> None:
    assert len(graphemes("مُحَمَّد")) == 4
    assert len(graphemes("👨‍👩‍👧🇱🇧")) == 2


WORDY = st.text(st.sampled_from("aش٣_\u064e\u200c\u200d\ufe0f🏽👩 ,#'"), max_size=10)


@given(ANY | WORDY)
def test_words_are_runs_of_what_belongs_to_words(text: str) -> None:
    done = 0
    for begin, end in words(text):
        assert done <= begin < end
        roles = [role(c) for c in text[begin:end]]
        assert roles[0] in {"letter", "unspaced"} and roles[-1] in {"letter", "unspaced", "mark"}
        assert not {"outside", "neither"} & set(roles)
        assert len(roles) == 1 or not {"letter", "unspaced"} & set(roles[1:]) or "unspaced" not in roles
        assert not {"letter", "unspaced"} & {role(c) for c in text[done:begin]}
        done = end
    assert not {"letter", "unspaced"} & {role(c) for c in text[done:]}


RUN = regex.compile(r"[\p{L}\p{N}_](?:[\p{L}\p{M}\p{N}_]|[\u200C\u200D]++(?=[\p{L}\p{M}\p{N}_]))*+")
IN_SCRIPT_WITHOUT_SPACES = regex.compile(
    "|".join(rf"\p{{Script={script}}}" for script in UNSPACED_SCRIPTS) + f"|[{UNSPACED_COMMON}ﾞﾟ]"
)


@given(ANY | WORDY | st.text(st.characters(codec="utf-8"), max_size=12))
def test_words_of_scripts_with_spaces_are_runs_of_letters(text: str) -> None:
    text = IN_SCRIPT_WITHOUT_SPACES.sub("", text)
    assert words(text) == [match.span() for match in RUN.finditer(text)]
    assert not ends_unspaced(text) and unspaced_runs(text) == []


@pytest.mark.parametrize(
    ("text", "expected", "unfinished"),
    [
        ("我用Python写OK吗", ["我", "用", "Python", "写", "OK", "吗"], ""),
        ("我用Pyth", ["我", "用", "Pyth"], "Pyth"),
        ("3月5日", ["3", "月", "5", "日"], ""),
        ("ที่นี่น้ำ", ["ที่", "นี่", "น้ำ"], ""),  # marks, and the vowel AM, belong to their letters
        ("コーヒーをﾊﾞ", ["コ", "ー", "ヒ", "ー", "を", "ﾊﾞ"], ""),
        ("обʼєкт", ["обʼєкт"], "обʼєкт"),  # Script_Extensions has this apostrophe in Thai
        ("한국어", ["한국어"], "한국어"),
    ],
)
def test_words_of_scripts_without_spaces_are_letters(text: str, expected: list[str], unfinished: str) -> None:
    assert [text[begin:end] for begin, end in words(text)] == expected
    assert open_word(text) == unfinished
    assert ends_unspaced(text) == (not unfinished)


def test_runs_without_spaces() -> None:
    assert unspaced_runs("我们OK吗，ที่นี่") == [[0, 1, 2], [4, 5], [6, 9, 12]]


@given(ANY | WORDY)
def test_an_open_word_is_the_one_that_a_letter_would_go_on_with(text: str) -> None:
    begin, end = words(text + "a")[-1]
    assert end == len(text) + 1
    assert open_word(text) == text[begin:]


@given(ANY, ANY, ANY | WORDY)
def test_an_open_word_is_looked_for_near_the_end_alone(first: str, second: str, text: str) -> None:
    """So a key costs the same however long the word has become."""
    for filling in ("a", "\u064e", "\u200d"):
        end = text + filling * MAX_OPEN_WORD
        assert open_word(first + end) == open_word(second + end)
    assert open_word(text + "a" * MAX_OPEN_WORD) == "a" * MAX_OPEN_WORD
    assert open_word("a" + "\u064e" * (MAX_OPEN_WORD - 1)) == "a" + "\u064e" * (MAX_OPEN_WORD - 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("شو حلو، كتير", ["شو", "حلو", "كتير"]),
        ("#لبنان_ينتفض!", ["لبنان_ينتفض"]),
        ("مَرْحَبا ya 3ammi", ["مَرْحَبا", "ya", "3ammi"]),
        ("می\u200cخواهم \u200cx\u200d", ["می\u200cخواهم", "x"]),
        ("❤️ 👨\u200d👩\u200d👧 5️⃣", ["5️⃣"]),
        ("don't", ["don", "t"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in words(text)] == expected


def test_all_rooms_mean_the_same_letters() -> None:
    assigned = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) != "Cn"]
    vocabulary = CharacterVocabulary(assigned)
    counted = in_word(vocabulary)[-len(assigned) :].tolist()
    assert counted == [role(c) in {"letter", "unspaced", "mark"} for c in vocabulary.characters]


@given(ANY | TWITTER)
def test_what_is_shown_has_as_many_characters_and_moves_nothing(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    assert visible(shown) == shown
    shown.encode("utf-8")
    assert all(
        unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        for c in shown.replace("\u200d", "").replace("\u200c", "")
    )
    assert all(first == second for first, second in zip(text, shown, strict=True) if first.isprintable())


# ---- personal data

DIGITS = st.text(st.sampled_from("0123456789٠٩٤"), min_size=9, max_size=15)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("رقمي +963 900 123 456 هلق", f"رقمي {NUMBER} هلق"),
        ("00963900123456", NUMBER),
        ("0900123456", NUMBER),
        ("٠٩٠٠١٢٣٤٥٦", NUMBER),
        ("03/123456", NUMBER),
        ("+49 (0) 170-1234567", NUMBER),
        ("(0170) 1234567,", f"{NUMBER},"),
        ("DE89 3704 0044 0532 0130 00", NUMBER),
        ("4111 1111 1111 1111", NUMBER),
    ],
)
def test_numbers_of_phones_cards_and_accounts_are_masked(text: str, masked: str) -> None:
    assert TextRules(numbers=True).normalise(text) == masked
    assert TextRules().normalise(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "01/02/2023",
        "31.12.2023 23:59",
        "2023-12-31",
        "10.000.000 ليرة",
        "5000 6000 7000",
        "3-1",
        "08:30 - 10:45",
        "0,5",
    ],
)
def test_dates_prices_and_scores_are_no_phone_numbers(text: str) -> None:
    assert mask_numbers(text) == text


@given(st.lists(st.text(max_size=6) | DIGITS | st.sampled_from(["+963 900 123 456", "AB12 3456 7890"]), max_size=6))
def test_masking_is_idempotent_and_leaves_no_long_number(parts: list[str]) -> None:
    masked = mask_numbers("".join(parts))
    assert mask_numbers(masked) == masked
    assert not regex.search(r"\p{Nd}{9}", masked)


def test_what_is_personal_is_counted_once() -> None:
    text = "www.example.org/0900123456 a@example.org @a +963 900 123 456 و 0900123456 و AB12 3456 7890 1234"
    assert personal_counts(text) == dict(zip(PERSONAL, (1, 1, 1, 1, 2), strict=True))


def test_numbers_are_found_in_linear_time() -> None:
    for text in ("0 " * 10**5, "+" * 10**6, "AB12" + " ABCD" * 10**5, "1234 " * 10**5, "(0" * 10**5, "9" * 10**6):
        began = time.process_time()
        mask_numbers(text)
        assert time.process_time() - began < 10


def test_a_rule_that_is_off_by_default_is_stored_where_it_is_on() -> None:
    assert "numbers" not in TextRules().to_stored()
    assert TextRules.from_dict(TextRules(numbers=True).to_stored()) == TextRules(numbers=True)


@given(character=st.characters(codec=None))
def test_every_character_can_be_seen_by_itself(character: str) -> None:
    shown = visible_label(character)
    assert shown and all(c.isprintable() and c != " " for c in shown)


# ---- the space after an accepted word


def test_signs_that_stand_close_to_a_word() -> None:
    assert [c for c in "،؛؟.,!?:;)]}»”’…%٪۔。、！？）׃।" if not gives_way(c)] == []
    assert [c for c in " \n\t\u00a0" if not gives_way(c)] == []
    assert [c for c in "مa7_(«“[{\"'-/#@&😂🔗\u064e\u200c" if gives_way(c)] == []
    assert not gives_way("")
    assert gives_way("، شو") and not gives_way("م،")  # the first character decides


@pytest.mark.parametrize("word", ["漢", "ひらがな", "カタカナ", "คำ", "ຄໍາ", "ពាក្យ", "စကား", "x漢", "コーヒー", "ﾊﾞ"])
def test_scripts_without_spaces(word: str) -> None:
    assert space_after(word) == ""


@pytest.mark.parametrize("word", ["شو", "word", "слово", "शब्द", "단어", "שלום", "2024", "漢x", "#لبنان"])
def test_scripts_with_spaces(word: str) -> None:
    assert space_after(word) == " "


@pytest.mark.parametrize(
    ("after", "free"),
    [("", False), (" ", True), (" م", True), (" (م", True), ("،", False), (" ،", False), ("  م", False), ("-م", False)],
)
def test_a_space_that_the_text_has(after: str, free: bool) -> None:
    assert stays("شو" + after, 2) is free


@given(st.text(" ،ab😂", max_size=4))
def test_what_is_typed_behind_it_says_whether_it_stays(after: str) -> None:
    """Type the rest of the text after the word's space, and see whether the space is still there."""
    screen = "ab "
    for i, character in enumerate(after[1:] if after.startswith(" ") else after):
        screen = (screen[:-1] if i == 0 and gives_way(character) else screen) + character
    assert stays("ab" + after, 2) == (screen == "ab" + after and after.startswith(" "))
