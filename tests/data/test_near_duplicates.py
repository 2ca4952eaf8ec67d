"""Near-duplicate groups: the rule against a brute-force oracle, every script, bad cases at size, the benchmark."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data import near_duplicates, sources
from kammil.data.near_duplicates import QUOTATION_RULE, VERSION_RULE, Rule, loose_key, resembling
from kammil.errors import OptionError
from kammil.text import fold

PHRASES = (
    "صباح الخير يا لبنان الحبيب",
    "لا إله إلا الله وحده لا شريك له",
    "شو حلو الشعور لما تصحى بكير",
    "#السعودية_العظمى",
    "नमस्ते दुनिया, आप कैसे हैं आज",
    "สวัสดีชาวโลก วันนี้เป็นอย่างไรบ้าง",
    "שָׁלוֹם עֲלֵיכֶם מַלְאֲכֵי הַשָּׁרֵת",
    "人生若只如初见,何事秋风悲画扇。等闲变却",
    "hahahahahahahahahahahaha",
    "😂😂",
    "https://t.co/AbC",
    "@someone",
    "  ",
    "!",
)
PIECES = st.one_of(st.sampled_from(PHRASES), st.text(alphabet="ابتabcकกא人1٣ .َ😂", max_size=12))
TEXTS = st.lists(st.lists(PIECES, max_size=5).map("".join), max_size=14)
RULES = st.builds(
    Rule,
    st.sampled_from([1, 2, 3, 5, 15]),
    st.sampled_from([0.05, 0.3, 0.5, 1.0]),
    st.sampled_from([1, 1, 2, 8]),
    longer=st.booleans(),
)


def shingles(text: str, length: int) -> frozenset[str]:
    folded = fold(text)
    if not folded:
        return frozenset({"no letters: " + "".join(text.split())})
    if len(folded) < length:
        return frozenset({"short: " + folded})
    return frozenset(folded[i : i + length] for i in range(len(folded) - length + 1))


def near(first: str, second: str, rule: Rule) -> bool:
    a, b = (shingles(text, rule.shingle) for text in (first, second))
    size = (max if rule.longer else min)(len(a), len(b))
    same_key = near_duplicates.key(first) == near_duplicates.key(second)
    return same_key or len(a & b) >= max(rule.share * size - 1e-9, rule.min_shared)


def brute_force(texts: Sequence[str], rule: Rule) -> list[int]:
    group = list(range(len(texts)))
    for i, j in combinations(range(len(texts)), 2):
        if near(texts[i], texts[j], rule):
            group = [group[i] if g == group[j] else g for g in group]
    numbers: dict[int, int] = {}
    return [numbers.setdefault(g, len(numbers)) for g in group]


def bodies(count: int, length: int) -> list[str]:
    # 20,000 letters to draw from, so that no two bodies share a run by chance.
    letters = np.array([chr(0x4E00 + i) for i in range(20_000)])
    drawn = np.random.default_rng(length).integers(0, letters.size, (count, length))
    return ["".join(row) for row in letters[drawn].tolist()]


@contextmanager
def limits(tiny: bool) -> Generator[None]:
    """Keep the shipped limits, or set such small ones that few texts need several levels, partitions and blocks."""
    with pytest.MonkeyPatch.context() as patch:
        if tiny:
            patch.setattr(near_duplicates, "_FIRST_CAP", 1)
            patch.setattr(near_duplicates, "_BLOCK", 40)
            patch.setattr(near_duplicates, "_PARTITION", 30)
        yield


@pytest.mark.parametrize("tiny", [False, True])
@given(TEXTS, RULES)
def test_groups_are_those_of_brute_force(tiny: bool, texts: list[str], rule: Rule) -> None:
    with limits(tiny):
        found = near_duplicates.groups(texts, rule).tolist()
    assert found == brute_force(texts, rule)


@pytest.mark.parametrize("tiny", [False, True])
@given(st.lists(st.text(alphabet="اب", min_size=3, max_size=9), max_size=40), st.integers(1, 4))
def test_groups_are_those_of_brute_force_where_all_is_common(tiny: bool, texts: list[str], length: int) -> None:
    for share, min_shared, longer in product((0.3, 0.6, 0.9), (1, 3), (False, True)):
        rule = Rule(length, share, min_shared, longer=longer)
        with limits(tiny):
            found = near_duplicates.groups(texts, rule).tolist()
        assert found == brute_force(texts, rule)


@pytest.mark.parametrize("tiny", [False, True])
@given(TEXTS, TEXTS, RULES)
def test_partners_are_near_and_none_is_missed(tiny: bool, texts: list[str], among: list[str], rule: Rule) -> None:
    with limits(tiny):
        found = near_duplicates.nearest_duplicates(texts, among, rule).tolist()
    for text, partner in zip(texts, found, strict=True):
        expected = [i for i, source in enumerate(among) if near(text, source, rule)]
        copies = [i for i in expected if near_duplicates.key(among[i]) == near_duplicates.key(text)]
        assert partner in (copies[:1] or expected or [-1])


@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_texts_changes_no_group(texts: list[str], random: np.random.Generator) -> None:
    order = list(range(len(texts)))
    random.shuffle(order)
    before = near_duplicates.groups(texts)
    after = near_duplicates.groups([texts[i] for i in order])
    for (a, i), (b, j) in combinations(list(enumerate(order)), 2):
        assert (after[a] == after[b]) == (before[i] == before[j])


@given(TEXTS)
def test_overlap_is_what_the_rule_compares(texts: list[str]) -> None:
    for first, second in combinations(texts, 2):
        a, b = shingles(first, 15), shingles(second, 15)
        assert near_duplicates.overlap(first, second) == len(a & b) / min(len(a), len(b))


def test_the_threshold_is_thirty_percent_of_the_shorter_text() -> None:
    shorter = "abcdefghijklmnopqrstuvwx"  # 24 letters: 10 shingles, so 3 must be shared
    three = "abcdefghijklmnopq" + "1234567890" * 9
    two = "abcdefghijklmnop" + "0987654321" * 9
    assert near_duplicates.groups([shorter, three, two]).tolist() == [0, 0, 1]
    assert near_duplicates.overlap(shorter, three) == 0.3
    assert near_duplicates.overlap(shorter, two) == 0.2


def test_a_share_that_is_no_binary_fraction_is_met_exactly() -> None:
    text = "abcdefghijklmnopqrstuvwxyz0123456789āēī"  # 39 letters: 25 shingles, and 0.56 * 25 is 14.000000000000002
    assert near_duplicates.groups([text, text[:28] + "9" * 40], Rule(share=0.56)).tolist() == [0, 0]
    assert near_duplicates.groups([text, text[:27] + "9" * 40], Rule(share=0.56)).tolist() == [0, 1]


def test_groups_are_chains_and_partners_are_direct() -> None:
    first, link, last = "abcdefghijklmnopqrst", "abcdefghijklmnopqrst0123456789ABCDEFGHIJ", "0123456789abcdefghij"
    assert near_duplicates.groups([first, last, link]).tolist() == [0, 0, 0]
    assert near_duplicates.nearest_duplicates([first, link], [last]).tolist() == [-1, 0]


def test_short_texts_match_whole_or_not_at_all() -> None:
    texts = ["صباح الخير", "صباح الخير!! 🌹", "صَباحُ الخَير @you", "صباح الخير يا أحلى ناس بالدنيا كلها", "صباح"]
    assert near_duplicates.groups(texts).tolist() == [0, 0, 0, 1, 2]


def test_texts_without_letters_match_as_they_stand() -> None:
    texts = ["😂 😂", "😂😂\n", "😂", "!!!", "", " \t", "\u200f", "https://t.co/a", "https://t.co/b", "...", "!!!"]
    assert near_duplicates.groups(texts).tolist() == [0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 2]
    assert {near_duplicates.key(text) for text in ("", " \t", "\u200f")} == {" "}


@pytest.mark.parametrize(
    ("text", "copy", "different"),
    [
        ("إِنَّ اللهَ مَعَ الصَّابِرِينَ دائماً", "ان الله مع الصابرين دائما".replace("ان", "إن", 1), "الحمد لله رب العالمين"),
        ("नमस्ते दुनिया आप कैसे हैं", "नमस्ते, दुनिया! आप कैसे हैं?", "मुझे हिंदी बोलना बहुत पसंद है"),
        ("สวัสดีชาวโลกวันนี้เป็นอย่างไรบ้าง", "สวัสดี ชาวโลก วันนี้เป็นอย่างไรบ้าง 🙏", "ฉันชอบกินข้าวผัดกับไข่ดาวมาก"),
        ("שָׁלוֹם עֲלֵיכֶם מַלְאֲכֵי הַשָּׁרֵת", "שלום עליכם, מלאכי השרת", "בוקר טוב לכולם ויום נעים"),
        ("人生若只如初见何事秋风悲画扇", "人生若只如初见,何事秋风悲画扇。", "床前明月光,疑是地上霜。举头望明月"),
        (
            "Guten Morgen liebe Leute, schöner Tag",
            "GUTEN MORGEN LIEBE LEUTE SCHÖNER TAG",
            "Bis morgen dann, ihr Lieben",
        ),
    ],
)
def test_copies_are_found_in_any_script(text: str, copy: str, different: str) -> None:
    assert near_duplicates.groups([text, different, copy]).tolist() == [0, 1, 0]


def test_nothing_in_nothing_out() -> None:
    assert near_duplicates.groups([]).tolist() == []
    assert near_duplicates.nearest_duplicates([], ["a"]).tolist() == []
    assert near_duplicates.nearest_duplicates(["a"], []).tolist() == [-1]


@pytest.mark.parametrize(("shingle", "share"), [(0, 0.3), (15, 0.0), (15, 1.1), (15, float("nan"))])
def test_options_out_of_range_are_named(shingle: int, share: float) -> None:
    with pytest.raises(OptionError, match=str(share) if shingle else "0"):
        Rule(shingle, share)


@pytest.mark.parametrize("tiny", [False, True])
def test_a_common_phrase_joins_texts_that_share_more_than_it(tiny: bool) -> None:
    phrase, *shared = bodies(4, 20)
    # Two texts with the same 40 letters share 26 of 106 shingles, and must share 32.
    texts = [phrase + shared[i % 3] + body for i, body in enumerate(bodies(6, 80))]
    with limits(tiny):
        assert near_duplicates.groups(texts).tolist() == [0, 1, 2, 3, 4, 5]
        assert near_duplicates.groups([*texts, phrase + "ab"]).tolist() == [0] * 7
        assert near_duplicates.nearest_duplicates([*texts, phrase + "ab"], texts[:1]).tolist() == [
            0,
            -1,
            -1,
            -1,
            -1,
            -1,
            0,
        ]


# 20,000 texts hold 200 million pairs: comparing them all takes minutes, well over these limits.


@pytest.mark.timeout(60)
def test_fifty_thousand_identical_texts_are_one_group() -> None:
    assert not near_duplicates.groups(["شو حلو الشعور لما تصحى بكير"] * 50_000).any()


@pytest.mark.timeout(60)
def test_a_hashtag_in_twenty_thousand_texts_joins_none_of_them() -> None:
    texts = [f"{body} #اليوم_الوطني_السعودي" for body in bodies(20_000, 60)]
    assert near_duplicates.groups(texts).tolist() == list(range(20_000))
    # But a text that is little more than the hashtag is near to each of them, and so joins them all.
    assert not near_duplicates.groups([*texts, "اب #اليوم_الوطني_السعودي"]).any()
    found = near_duplicates.nearest_duplicates([*texts, "اب #اليوم_الوطني_السعودي"], texts[:1]).tolist()
    assert found == [0, *[-1] * 19_999, 0]


@pytest.mark.timeout(60)
def test_boilerplate_in_twenty_thousand_texts_is_one_group() -> None:
    assert not near_duplicates.groups(
        [f"حالة الطقس اليوم في مدينة بيروت وضواحيها {body}" for body in bodies(20_000, 20)]
    ).any()


@pytest.mark.timeout(60)
def test_two_out_of_ten_hashtags_make_forty_five_groups() -> None:
    tags = bodies(10, 20)  # 6 shingles each; a text has 36 and must share 11
    pairs = list(combinations(range(10), 2))
    texts = [tags[pairs[i % 45][0]] + body + tags[pairs[i % 45][1]] for i, body in enumerate(bodies(20_000, 10))]
    assert near_duplicates.groups(texts).tolist() == [i % 45 for i in range(20_000)]


def test_the_fixed_benchmark_is_reproduced(data_dir: Path) -> None:
    tsv = data_dir / "ArSenTD-LEV.tsv"
    split = Path(os.environ.get("KAMMIL_BENCHMARK", data_dir.parent / "benchmark" / "lev30.json"))
    if not split.is_file():
        pytest.skip("neither KAMMIL_BENCHMARK nor the folder beside KAMMIL_DATA_DIR holds lev30.json")
    with tsv.open(encoding="utf-8", newline="") as file:
        texts = [row["Tweet"] for row in csv.DictReader(file, delimiter="\t")]
    parts = json.loads(split.read_text(encoding="utf-8"))
    rows = [row for part in ("test", "validation", "train", "train_other") for row in parts[part]]
    group = near_duplicates.groups(texts)
    assert len(rows) == 129 + 64 + 454 + 2033
    assert group.max() + 1 == len(rows)
    assert len(set(group[rows].tolist())) == len(rows)  # each group has one row in one part


def test_a_pair_whose_shared_runs_stand_in_two_blocks_is_not_missed() -> None:
    """The share of the longer text requires more shared runs than one block holds."""
    creed, hello = "لا إله إلا الله وحده لا شريك له", "नमस्ते दुनिया, आप कैसे हैं आज"
    texts = [
        creed + "hahahahahahahahahahahaha",
        "@someone!" + creed,
        hello + "شو حلو الشعور لما تصحى بكيرصباح الخير يا لبنان",
    ]
    among = ["😂😂" + hello + creed + "שָׁלוֹם עֲלֵיכֶם מַלְאֲכֵי הַשָּׁרֵת"]
    rule = Rule(3, 0.3, longer=True)
    with limits(tiny=True):
        found = near_duplicates.nearest_duplicates(texts, among, rule)
    assert found.tolist() == [0 if near(text, among[0], rule) else -1 for text in texts]


# ---- texts that must not be learnt from

# Eight words of nonsense that share no run, so that two texts share exactly the words that both hold.
WORDS = ("ابتثجحخد", "ذرزسشصضط", "ظعغفقكلم", "نهويبجدم", "تثخذزشضظ", "غقلنوحرس", "صطعفكمهي", "جذسطغكنو")
FORMULA = "الحمد لله رب العالمين"


def excluded_texts(texts: list[str], among: list[str]) -> list[bool]:
    found: list[bool] = resembling(texts, among).tolist()
    return found


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=12), st.integers(0, 12))
def test_all_direct_pairs_go_and_whatever_is_their_version(texts: list[str], first: int) -> None:
    texts, among = texts[first:], texts[:first]
    similar = (near_duplicates.nearest_duplicates(texts, among) >= 0) | (
        near_duplicates.nearest_duplicates(texts, among, QUOTATION_RULE) >= 0
    )
    version = near_duplicates.groups(texts, VERSION_RULE).tolist()
    excluded = {version[i] for i in range(len(texts)) if similar[i]}
    assert excluded_texts(texts, among) == [number in excluded for number in version]


def test_a_quotation_with_words_changed_is_found_in_any_spelling() -> None:
    quoted = (
        "الجارة القديمة حكت مبارح لكل أهل الضيعة انو "
        "الطريق الجديدة رح تصير جاهزة قبل العيد الكبير وانو المختار وعد بعرس"
    )
    quoting = (
        "الجاره القديمه خبرت مبارح لكل اهل الحارة انو "
        "الطريق الجديده بدا تصير جاهزه بعد العيد الكبييير وانو المختار حلف بعرس"
    )
    assert near_duplicates.overlap(quoted, quoting) < near_duplicates.MIN_SHARE
    assert excluded_texts([quoting], [quoted]) == [True]


def test_a_formula_in_two_texts_leaves_neither_out() -> None:
    first, second = f"{FORMULA} {WORDS[0]} {WORDS[1]}", f"{FORMULA} {WORDS[2]} {WORDS[3]}"
    shared = len(near_duplicates.shingles(loose_key(first), 8) & near_duplicates.shingles(loose_key(second), 8))
    assert shared >= QUOTATION_RULE.share * len(
        near_duplicates.shingles(loose_key(first), 8)
    )  # 40 %, but not 16 of them
    assert shared < QUOTATION_RULE.min_shared
    assert excluded_texts([second], [first]) == [False]


def test_a_version_of_what_goes_goes_and_what_shares_a_part_with_it_stays() -> None:
    test = " ".join(WORDS[:4])
    direct = " ".join([*WORDS[1:4], *WORDS[5:]])
    version = " ".join([WORDS[4], WORDS[3], *WORDS[5:]])
    part = " ".join([*WORDS[5:], WORDS[0][::-1]])
    texts = [direct, version, part]
    assert near_duplicates.groups(texts).tolist() == [0, 0, 0]
    assert (near_duplicates.nearest_duplicates(texts, [test]) >= 0).tolist() == [True, False, False]
    assert excluded_texts(texts, [test]) == [True, True, False]


def test_a_chain_through_a_formula_ends_at_the_formula() -> None:
    test = f"{WORDS[0]} {WORDS[5]} {WORDS[6]} {FORMULA}"
    texts = [f"{FORMULA} 🌹", f"{FORMULA} {WORDS[1]} {WORDS[2]} {WORDS[3]} {WORDS[4]}"]
    assert near_duplicates.groups([test, *texts]).tolist() == [0, 0, 0]
    assert excluded_texts(texts, [test]) == [True, False]


def test_nothing_resembles_nothing() -> None:
    assert excluded_texts([], ["a"]) == excluded_texts([], []) == []
    assert excluded_texts(["a", "b"], []) == [False, False]


@pytest.mark.parametrize(("row", "like"), [(642, 1291), (2509, 1829)])
def test_the_benchmark_holds_two_quotations_that_the_rule_of_splits_misses(data_dir: Path, row: int, like: int) -> None:
    split = sources.benchmark()
    tweets = sources.rows(split["dataset"]).texts
    train = [*split["train"], *split["train_other"]]
    texts = [tweets[i] for i in train]
    assert row in split["test"]
    assert (near_duplicates.nearest_duplicates(texts, [tweets[row]]) < 0).all()
    assert [i for i, out in zip(train, excluded_texts(texts, [tweets[row]]), strict=True) if out] == [like]


def test_many_texts_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{WORDS[i % 8]} {WORDS[i * 3 % 8]} {WORDS[i * i % 8]}" for i in range(30)]
    at_once = excluded_texts(texts, texts[4:6])
    assert any(at_once) and not all(at_once)
    monkeypatch.setattr("kammil.data.near_duplicates._COMPARED", 7)
    assert excluded_texts(texts, texts[4:6]) == at_once
    assert excluded_texts([], texts) == []
    alone = [f"{word} {word[::-1]} {word[3:]}{word[:3]}" for word in WORDS]  # none is another's version
    monkeypatch.setattr("kammil.data.near_duplicates._COMPARED", 3)
    assert excluded_texts(alone, alone) == [True] * len(alone)
