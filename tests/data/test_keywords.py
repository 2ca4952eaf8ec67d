"""Tests of the words by which a source was collected."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kammil.data import keywords as module
from kammil.data.keywords import Keyword, keywords, thinned


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
    assert thinned(["المعرض"] * 900, ["a"] * 900) == list(range(900))


def test_the_largest_shares_come_first_and_short_words_are_none() -> None:
    found = keywords(*corpus(200))
    assert [one.word for one in found] == ["حكينا", "عالمعرض", "المعرض"]
    assert [one.share for one in found] == [1, 1, 0.4]


def test_every_fortieth_of_the_texts_with_a_keyword_of_40_percent_stays() -> None:
    texts = [f"معرض{i % 10} المعرض" if i < 200 else f"نص {i}" for i in range(500)] + [f"نص {i}" for i in range(500)]
    sources = ["a"] * 500 + ["b"] * 500
    assert thinned(texts, sources) == [39, 79, 119, 159, 199, *range(200, 1000)]


def test_a_text_with_two_keywords_counts_for_the_larger() -> None:
    texts = ["الاولى الثانية"] * 100 + ["الاولى"] * 100 + ["نص"] * 300 + ["نص"]
    sources = ["a"] * 500 + ["b"]
    kept = thinned(texts, sources)  # 200 texts, of which every 40th stays, whether it has one word or both
    assert kept == [39, 79, 119, 159, 199, *range(200, 501)]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from(["كلمات", "حروفنا", "نص"]), max_size=3)), max_size=40
    )
)
def test_only_texts_with_a_keyword_are_left_out(rows: list[tuple[str, list[str]]]) -> None:
    texts, sources = [" ".join(words) for _, words in rows], [source for source, _ in rows]
    held = module.TEXTS
    module.TEXTS = 1
    try:
        found = {(one.source, one.word): one for one in keywords(texts, sources)}
        kept = thinned(texts, sources)
    finally:
        module.TEXTS = held
    assert kept == sorted(set(kept))
    for i, (text, source) in enumerate(zip(texts, sources, strict=True)):
        if not any((source, word) in found for word in text.split()):
            assert i in kept
    for source in "ab":
        every = {word: max(1, round(one.share / module.KEPT)) for (s, word), one in found.items() if s == source}
        own = [set(texts[i].split()) & every.keys() for i in kept if sources[i] == source]
        assert sum(map(bool, own)) <= sum(one.texts // every[word] for (s, word), one in found.items() if s == source)
    for one in found.values():
        assert one.texts == sum(one.word in t.split() for t, s in zip(texts, sources, strict=True) if s == one.source)
