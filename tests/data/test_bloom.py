"""The Bloom filter misses no run of the training texts, and takes few new ones for seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data import bloom
from kammil.data.bloom import (
    RUN,
    BloomFilter,
    ExactTexts,
    _codes,  # pyright: ignore[reportPrivateUsage]
    _hashes,  # pyright: ignore[reportPrivateUsage]
    build,
    learnt_texts,
)
from kammil.data.splits import leaks
from kammil.errors import FolderError
from kammil.text import fold

LETTERS = "ابتثجحخدذرزسشصضطظعغفقكلمنهوي"


@pytest.fixture(scope="module")
def seen(texts: list[str]) -> BloomFilter:
    return BloomFilter(bloom.build(texts[:300]))


@given(st.data())
def test_every_part_of_a_training_text_is_seen(seen: BloomFilter, texts: list[str], data: st.DataObject) -> None:
    letters = fold(data.draw(st.sampled_from([text for text in texts[:300] if len(fold(text)) >= RUN])))
    begin = data.draw(st.integers(0, len(letters) - RUN))
    end = data.draw(st.integers(begin + RUN, len(letters)))
    assert seen.novelty(letters[begin:end]) == "seen"


@given(st.data())
def test_what_is_not_a_letter_makes_no_difference(seen: BloomFilter, texts: list[str], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([text for text in texts[:300] if len(fold(text)) >= RUN]))
    noise = st.sampled_from(["", "", "", "ـ", " ", "!", "\u064e", "👍", "\u200f", "\n"])
    loud = "".join(letter + data.draw(noise) for letter in fold(text))
    assert seen.novelty(loud) == seen.novelty(text) == "seen"


def test_case_does_not_matter() -> None:
    seen = BloomFilter(bloom.build(["The Quick brown fox"]))
    assert seen.novelty("quick BROWN, Fox") == "seen"
    assert seen.novelty("quick brown dog") == "new"


def test_few_new_runs_are_taken_for_seen(seen: BloomFilter, texts: list[str]) -> None:
    generator = np.random.default_rng(1)
    known = "\n".join(fold(text) for text in texts[:300])
    drawn = ["".join(generator.choice(list(LETTERS), RUN)) for _ in range(4000)]
    new = [run for run in drawn if run not in known]
    wrong = sum(seen.novelty(run) == "seen" for run in new)
    # Two of at least 8 bits a run: (1 - exp(-1/4)) ** 2 is 4.9 %.
    assert 0 < wrong < 0.06 * len(new)


def test_a_new_text_of_thirty_letters_is_new(seen: BloomFilter) -> None:
    generator = np.random.default_rng(2)
    drawn = ["".join(generator.choice(list(LETTERS), 30)) for _ in range(1000)]
    assert all(seen.novelty(text) == "new" for text in drawn)


@given(st.lists(st.text(st.sampled_from(LETTERS), min_size=1, max_size=40), min_size=1, max_size=5), st.data())
def test_a_filter_of_any_size_misses_nothing(trained: list[str], data: st.DataObject) -> None:
    seen = BloomFilter(bloom.build(trained))
    assert all(seen.novelty(text) == "seen" for text in trained)
    text = data.draw(st.sampled_from(trained))
    if len(text) > RUN:
        assert seen.novelty(text[1:]) == "seen"
        # Half a copy is no copy: the runs across the seam are new, but for the chance of a Bloom filter.
        assert BloomFilter(bloom.build(["x"])).novelty(text) == "new"


@given(st.lists(st.text(st.sampled_from(LETTERS + " _!"), max_size=30), max_size=9), st.integers(1, 4))
def test_texts_noted_together_are_those_noted_one_by_one(trained: list[str], block: int) -> None:
    """The filter marks two places of each run, of a size that the number of different runs decides."""
    runs: set[int] = set()
    for letters in map(fold, trained):
        runs.update(int(h) for h in _hashes(_codes([letters]))[0])
    size = max(64, 1 << (8 * max(1, len(runs)) - 1).bit_length())
    marked = np.zeros(size, np.bool_)
    for run in runs:
        marked[[run % size, (run >> 32) % size]] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bloom, "_BLOCK", block)
        built = bloom.build(trained)
    np.testing.assert_array_equal(np.unpackbits(built["bits"].astype(np.uint8)).astype(np.bool_), marked)
    assert ExactTexts(built).contains(trained).all()


@given(st.integers(0, 3 << 26))
def test_a_filter_has_the_bits_that_its_runs_need(runs: int) -> None:
    """Eight bits a run up to a mebibyte, at least 1.75 in a larger one, and sixteen mebibytes at most."""
    size = bloom._size(runs)  # pyright: ignore[reportPrivateUsage]
    assert size.bit_count() == 1 and 64 <= size <= 1 << 27
    assert size <= bloom._size(runs + 1)  # pyright: ignore[reportPrivateUsage]
    if 8 <= runs <= 1 << 20:
        assert 8 * runs <= size < 16 * runs
    elif runs > 1 << 20:
        assert 1.75 * runs <= size <= 8 * runs or size == 1 << 27


@pytest.mark.parametrize("number", [100, 600])
def test_many_runs_are_told_from_new_ones_as_far_as_is_promised(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of a large filter are estimated, and it has at least 1.75 bits for each."""
    monkeypatch.setattr(bloom, "_SMALL_BITS", 1 << 12)
    generator = np.random.default_rng(3)
    drawn = ["".join(generator.choice(list(LETTERS), 60)) for _ in range(number + 300)]
    arrays, runs = bloom.build(drawn[:number]), 49 * number  # no run of a random text is in another one
    filter = BloomFilter(arrays)
    size = 8 * len(arrays["bits"])
    assert 1.75 * runs <= size < 3.5 * runs
    assert bloom._estimated(np.unpackbits(arrays["bits"].astype(np.uint8)) > 0) == pytest.approx(runs, rel=0.03)  # pyright: ignore[reportPrivateUsage]
    expected = (1 - np.exp(-2 * runs / size)) ** 2  # two bits of each run
    assert expected < 0.47 and filter.false_positives == pytest.approx(expected, rel=0.05)
    wrong = filter.contains(drawn[number:]).mean()
    assert wrong == pytest.approx(filter.false_positives, abs=0.02)
    assert filter.contains(drawn[:number]).all()


@given(st.lists(st.integers(0, 255), min_size=1, max_size=64).filter(lambda packed: len(packed).bit_count() == 1))
def test_chance_is_that_of_two_set_bits(packed: list[int]) -> None:
    bits = np.array(packed, np.uint8)
    assert BloomFilter({"bits": bits}).false_positives == pytest.approx(float(np.unpackbits(bits).mean()) ** 2)


def test_a_short_completion_is_judged_with_its_prompt() -> None:
    seen = BloomFilter(bloom.build(["شو حلو الشعور لما تنجح"]))
    assert seen.novelty("لما تن", "شو حلو الشعور ") == "seen"
    assert seen.novelty("لما تن", "شو حلو البحر ") == "new"
    assert seen.novelty("لما تن") == "new"
    assert seen.novelty("...", "شو حلو الشعور ") == "new"
    assert seen.novelty("", "شو حلو الشعور ") == "new"


@pytest.mark.parametrize("text", ["", "!!!", "👍👍", "https://t.co/abc"])
def test_a_text_without_letters_is_new(text: str) -> None:
    assert BloomFilter(bloom.build([text])).novelty(text) == "new"


@given(st.lists(st.text(st.characters(codec=None), max_size=30), max_size=4), st.text(st.characters(codec=None)))
def test_any_text_can_be_judged(trained: list[str], text: str) -> None:
    seen = BloomFilter(bloom.build(trained))
    assert seen.novelty(text, text) in {"seen", "new"}
    assert all(seen.novelty(known) == "seen" for known in trained if fold(known))


def test_the_filter_is_small_and_holds_no_text(texts: list[str]) -> None:
    arrays = bloom.build(texts)
    runs = {letters[i : i + RUN] for letters in map(fold, texts) for i in range(len(letters) - RUN + 1)}
    assert set(arrays) == {"bits", "texts"}
    assert arrays["texts"].nbytes <= 4 * len(texts)
    assert len(runs) <= arrays["bits"].nbytes < 2 * len(runs) + 8


@pytest.mark.parametrize(
    "bits",
    [
        *(np.zeros(3, np.uint8), np.zeros((2, 2), np.uint8), np.zeros(8), np.zeros(0, np.uint8)),
        np.zeros(1 << 25, np.uint8),
    ],
)
def test_a_foreign_filter_is_refused(bits: np.ndarray) -> None:
    with pytest.raises(FolderError, match=r"seen\.safetensors"):
        BloomFilter({"bits": bits})
    with pytest.raises(FolderError, match=r"seen\.safetensors"):
        BloomFilter({})


def test_half_of_a_text_is_known_or_not(seen: BloomFilter, texts: list[str]) -> None:
    known = [text for text in texts[:300] if len(fold(text)) > 60]
    generator = np.random.default_rng(2)
    new = ["".join(generator.choice(list(LETTERS), 200)) for _ in known]
    assert all(map(seen.knows_half, known)) and not any(map(seen.knows_half, new)) and not seen.knows_half("")
    assert all(seen.knows_half(text + more[: len(fold(text)) // 2]) for text, more in zip(known, new, strict=True))
    assert not any(seen.knows_half(text + more[:200]) for text, more in zip(known, new, strict=True) if len(text) < 120)


@pytest.mark.parametrize(("ours", "theirs"), [(40, 300), (300, 40), (300, 300)])
def test_a_filter_goes_on_from_that_of_a_base(texts: list[str], ours: int, theirs: int) -> None:
    of_base = bloom.build(texts[:theirs])
    both = bloom.build(texts[300 : 300 + ours], known=of_base)
    seen, exact = BloomFilter(both), ExactTexts(both)
    every = [*texts[:theirs], *texts[300 : 300 + ours]]
    assert exact.contains(every).all()
    assert {seen.novelty(text) for text in every if len(fold(text)) >= RUN} == {"seen"}
    assert len(both["bits"]) >= len(of_base["bits"]) and seen.false_positives < 0.15


@pytest.mark.parametrize("bits", [None, 1 << 12])
def test_new_texts_are_new_however_short_and_however_full_the_filter(
    monkeypatch: pytest.MonkeyPatch, bits: int | None
) -> None:
    generator = np.random.default_rng(0)

    def drawn(length: int, number: int) -> list[str]:
        return ["".join(text) for text in generator.choice(list("ابتثجحخدرزسشصضطعغفقكلمنهوي"), (number, length))]

    if bits is not None:
        monkeypatch.setattr(bloom, "_MAX_BITS", bits)
    old = [*drawn(60, 200), *drawn(8, 20), "🍉"]
    arrays = bloom.build(old)
    assert learnt_texts(arrays, old).all()
    new = [text for length in (6, 12, 13, 20, 60) for text in drawn(length, 200)]
    assert learnt_texts(arrays, [*new, "🍋"]).mean() < 0.002


# ---- whole texts

TEXTS = st.lists(
    st.text(max_size=6)
    | st.sampled_from(["شو حلو", "شو حلو!", "شو", "#شو_حلو", "😂", "😂 ", "", "https://a.example", "a\ud800"]),
    min_size=1,
    max_size=8,
)


@given(TEXTS, TEXTS)
def test_a_text_stands_there_as_the_audit_says(training: list[str], held_out: list[str]) -> None:
    found = np.flatnonzero(ExactTexts(build(training)).contains(held_out)).tolist()
    assert tuple(found) == leaks(training, held_out).exact_rows


def test_a_short_text_within_a_longer_one_does_not_stand_there() -> None:
    texts = ExactTexts(build(["شو حلو الشعور لما تنجح بعد تعب طويل"]))
    assert texts.contains(["شو حلو الشعور لما", "شو حلو الشعور لما تنجح بعد تعب طويل؟"]).tolist() == [False, True]


def test_a_folder_from_before_keeps_no_texts() -> None:
    arrays = build(["a", "b"])
    assert ExactTexts(arrays).available
    older = ExactTexts({"bits": arrays["bits"]})
    assert not older.available and not older.contains(["a"]).any()


@pytest.mark.parametrize("texts", [np.zeros(3, np.uint8), np.zeros((2, 2), np.uint32), np.zeros(8)])
def test_foreign_hashes_are_refused(texts: np.ndarray) -> None:
    with pytest.raises(FolderError, match=r"seen\.safetensors"):
        ExactTexts({"texts": texts})
