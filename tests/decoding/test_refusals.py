"""Refusals: blocked words by their rules, strings against a search through all texts, copies by their definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.interrupts import interrupt

from kammil.completion.completer import Completer
from kammil.data import bloom
from kammil.data.blocklist import BlockedWord, Blocklist, Form
from kammil.data.bloom import RUN, BloomFilter
from kammil.decoding.refusals import ForbiddenStrings, NoCopy, Refusals, RefusalTable, WordBlock
from kammil.errors import OptionError
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.text import RAW, fold
from kammil.vocabulary import EOS, CharacterVocabulary

PIECES = ("", "", "", "", "a", "b", " ", "-", "á", "\u0301", "\ufb00")
IDS = {piece: id for id, piece in enumerate(PIECES) if piece}


def block(word: str, form: Form = "word") -> WordBlock:
    return WordBlock(Blocklist([BlockedWord(word, form=form)]), PIECES)


def refused(words: WordBlock, text: str) -> set[str]:
    """What must not follow a text, of which the first character was typed."""
    state = words.start(text[:1])
    for character in text[1:]:
        state = words.after(state, character)
    ids = words.refused(state)
    return set() if ids is None else {"end" if id == EOS else PIECES[id] for id in ids.tolist()}


def rows(table: RefusalTable, refusals: Refusals, texts: list[str]) -> list[list[bool]]:
    """What a table refuses behind each text, to which it is led id by id."""
    found: list[list[bool]] = []
    for text in texts:
        number = table.number(refusals.start(""))
        for character in text:
            assert table.learn([(number, IDS[character])])
            number = int(table._next[number, IDS[character]])  # pyright: ignore[reportPrivateUsage]
        found.append((table._next[number] < 0).tolist())  # pyright: ignore[reportPrivateUsage]
    return found


def test_an_interrupt_at_any_line_leaves_no_state_half_made() -> None:
    def made() -> tuple[RefusalTable, Refusals]:
        refusals = Refusals([block("ab"), block("ba", "stem")], PIECES)
        return RefusalTable(refusals, len(PIECES)), refusals

    first, others, modules = ["ab", "b"], ["ba", "a-b", "a", "-ab"], ("refusals.py", "blocklist.py")
    wanted = rows(*made(), [*others, *first])
    known = made()
    for line in range(1, interrupt(lambda: rows(*known, first), None, *modules) + 1):
        table, refusals = made()
        with pytest.raises(KeyboardInterrupt):
            interrupt(lambda: rows(table, refusals, first), line, *modules)  # noqa: B023
        assert rows(table, refusals, [*others, *first]) == wanted


def test_a_whole_word_must_not_end_but_may_go_on() -> None:
    words = block("ab")
    assert refused(words, "a") == set()
    assert refused(words, "ab") == {"end", " ", "-"}
    assert refused(words, "ab\u0301") == {"end", " ", "-"}
    assert refused(words, "aba") == set()


def test_the_last_letter_of_a_stem_is_refused_in_each_of_its_forms() -> None:
    assert refused(block("ba", "stem"), "b") == {"a", "á"}
    assert refused(block("ba", "stem"), "-b") == {"a", "á"}
    assert refused(block("ba", "stem"), "ab") == set()


def test_a_ligature_is_its_letters() -> None:
    words = block("ffa", "stem")
    assert refused(words, "-\ufb00") == {"a", "á"}
    assert refused(block("aff", "stem"), "-a") == {"\ufb00"}


def test_what_was_typed_whole_may_end() -> None:
    words = block("ab")
    assert words.refused(words.start("ab")) is None
    assert words.refused(words.after(words.start("ab"), "b")) is not None


def last(words: WordBlock, text: str) -> list[int]:
    """The ids that must not be the last one after a text that was typed."""
    ids = words.refused(words.start(text), 1)
    return [] if ids is None else ids.tolist()


def test_the_last_character_must_not_complete_a_word() -> None:
    words = block("ab")
    assert {PIECES[id] for id in last(words, "a")} == {"b"}
    assert last(words, "b") == []


@given(
    st.text("ab-", max_size=5), st.text("ab-", max_size=5), st.lists(st.text("ab-", min_size=1, max_size=3), max_size=3)
)
def test_forbidden_strings_are_refused_where_they_end(prompt: str, added: str, strings: list[str]) -> None:
    forbidden = ForbiddenStrings(strings, PIECES)
    state, text = forbidden.start(prompt), prompt
    for character in added:
        ids = forbidden.refused(state)
        wrong = {one for one in "ab-" if any((text + one).endswith(string) for string in strings)}
        assert {one for one in "ab-" if ids is not None and IDS[one] in ids} == wrong
        if character in wrong:
            return
        state, text = forbidden.after(state, character), text + character
        assert not forbidden.blocked(state)


def test_several_refusals_add_up() -> None:
    both = Refusals([block("ab"), ForbiddenStrings(["ba"], PIECES)], PIECES)
    state = both.after_id(both.start("a"), IDS["b"])
    assert both.blocked(state) and both.after_ids(both.start("a"), [IDS["b"], IDS["a"]]) is None
    ids = both.refused(state)
    assert ids is not None and {IDS["a"], IDS[" "], EOS} <= set(ids.tolist())


@pytest.mark.parametrize("prompt", ["", "a", "xa", "aa"])
def test_a_string_may_begin_with_what_the_model_cannot_write(prompt: str) -> None:
    strings = ForbiddenStrings(["xab"], PIECES)
    ids = strings.refused(strings.start(prompt))
    assert (ids is not None and IDS["b"] in ids) == (prompt == "xa")


# Letters, a double letter, marks that compose with what stands before them, vowel points, half a Korean syllable,
# and what makes addresses and handles, whose letters do not count.
ODD = [
    "",
    "a",
    "b",
    "e",
    "\u0301",
    "ا",
    "\u0653",
    "\u064e",
    "ß",
    "\u1112",
    "\u1161",
    "\u11ab",
    " ",
    "@",
    ".",
    "!",
    "_",
    "ﷺ",
]


def copied(text: str, k: int, runs: BloomFilter) -> bool:
    """Whether more than k letters in a row are copied, by their definition."""
    letters = fold(text)
    known = [bool(runs.contains([letters[i : i + RUN]]).all()) for i in range(len(letters) - RUN + 1)]
    return any(all(known[i : i + k + 1 - RUN + 1]) for i in range(len(letters) - k))


@st.composite
def cases(draw: st.DrawFn) -> tuple[BloomFilter, str]:
    """A filter of short texts over few characters, and a text made of parts of them."""
    texts = draw(st.lists(st.text(st.sampled_from(ODD[1:]), min_size=12, max_size=25), min_size=1, max_size=3))
    parts = st.sampled_from([*ODD, "http://", "www.", "b@a.b"])
    parts |= st.sampled_from(texts).flatmap(lambda t: st.integers(0, len(t)).map(lambda at: t[at:]))
    return BloomFilter(bloom.build(texts)), "".join(draw(st.lists(parts, max_size=3)))


@given(cases(), st.integers(RUN, 16))
@settings(max_examples=100)
def test_exactly_what_makes_a_copy_is_refused(case: tuple[BloomFilter, str], k: int) -> None:
    runs, text = case
    filter = NoCopy(k, runs, ODD)
    written = ""
    for character in [*text, ""]:
        refused = filter.refused(written)
        ids = set[int]() if refused is None else set(refused.tolist())
        assert [id in ids for id in range(len(ODD))] == [
            piece != "" and copied(written + piece, k, runs) for piece in ODD
        ]
        if copied(written + character, k, runs):
            return
        written += character


def reciter(texts: list[str], order: int = 10) -> Completer:
    """A model that says one of these texts by heart, with the filter of their runs at hand."""
    vocabulary = CharacterVocabulary.from_texts(texts)
    chosen = ngram_model.NGramSettings(order=order)
    _, artifacts = ngram_counting.fit([vocabulary.encode(text) for text in texts * 5], (), vocabulary.size, chosen)
    model = Completer(ngram_model.NGramModel(chosen, artifacts.weights), vocabulary, RAW)
    model.runs = BloomFilter(bloom.build(texts))
    return model


@pytest.mark.parametrize("k", [12, 17])
def test_no_more_than_k_letters_of_a_training_text_are_written(texts: list[str], k: int) -> None:
    model = reciter(texts[:100])
    known = [fold(text) for text in texts[:100]]
    recited, longest = 0, 0
    for text in texts[:6]:
        free = fold(model.complete(text[:8], temperature=0, length=60).text)
        recited += any(free[i : i + k + 1] in t for t in known for i in range(len(free) - k))
        for options in ({"temperature": 0.0}, {"temperature": 0.7}, {"best_of": 3}):
            letters = fold(model.complete(text[:8], length=60, no_copy=k, **options).text)  # pyright: ignore[reportArgumentType]
            parts = [letters[i : i + k + 1] for i in range(len(letters) - k)]
            assert not [part for part in parts if any(part in t for t in known)]
            longest = max(
                longest,
                *(
                    n
                    for n in range(k + 1)
                    if any(letters[i : i + n] in t for t in known for i in range(len(letters) - n + 1))
                ),
            )
    assert recited > 3
    assert longest == k


def test_a_model_without_a_filter_cannot_promise_it() -> None:
    model = reciter(["abc"])
    model.runs = None
    with pytest.raises(OptionError, match="no_copy is 12"):
        model.complete("", no_copy=12)


def test_a_filter_that_is_half_full_still_lets_most_pass() -> None:
    generator = np.random.default_rng(1)
    full = np.packbits(generator.random(1 << 16) < 0.55)
    pieces = ["", *"ابتثجحخدذرزسشصضطظعغفقكلمنهوي"]
    refusals = {}
    for k in (12, 16):
        filter, text, refused = NoCopy(k, BloomFilter({"bits": full}), pieces), "", 0
        for id in generator.integers(1, len(pieces), 1500).tolist():
            ids = filter.refused(text[-80:])
            is_refused = ids is not None and id in ids
            refused += is_refused
            text += "" if is_refused else pieces[id]
        refusals[k] = refused / 1500
    # q ** (k - 10) with q = 0.55 ** 2.
    assert 0.03 < refusals[12] < 0.12
    assert refusals[16] < 0.004


def test_a_mark_that_completes_a_copy_is_refused() -> None:
    """The letter that it joins belongs to no copy yet, and what stands before that is as long as may be."""
    letters, pieces = "abcdfghijklmn", ["", *"abcdfghijklmn", "하", "\u11ab"]
    filter = NoCopy(RUN + 1, BloomFilter(bloom.build([letters + "한"])), pieces)
    assert filter.refused(letters) is None  # a syllable without its end is no copy
    ids = filter.refused(letters + "하")
    assert ids is not None and ids.tolist() == [len(pieces) - 1]
