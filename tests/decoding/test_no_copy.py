"""No verbatim copy: the filter against a plain search, and the promise that it gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kammil.completion.completer import Completer
from kammil.data import bloom
from kammil.data.bloom import RUN, BloomFilter
from kammil.decoding.no_copy import NoCopy
from kammil.errors import OptionError
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.text import RAW, fold
from kammil.vocabulary import CharacterVocabulary

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
        refused = filter.refused_ids(written)
        mask = [False] * len(ODD) if refused is None else refused.tolist()
        assert mask == [piece != "" and copied(written + piece, k, runs) for piece in ODD]
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
        for options in ({"temperature": 0.0}, {"temperature": 0.7}, {"beams": 4}, {"best_of": 3}):
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
            mask = filter.refused_ids(text[-80:])
            refused += mask is not None and bool(mask[id])
            text += pieces[id] if mask is None or not mask[id] else ""
        refusals[k] = refused / 1500
    # q ** (k - 10) with q = 0.55 ** 2.
    assert 0.03 < refusals[12] < 0.12
    assert refusals[16] < 0.004


def test_a_mark_that_completes_a_copy_is_refused() -> None:
    """The letter that it joins belongs to no copy yet, and what stands before that is as long as may be."""
    letters, pieces = "abcdfghijklmn", ["", *"abcdfghijklmn", "하", "\u11ab"]
    filter = NoCopy(RUN + 1, BloomFilter(bloom.build([letters + "한"])), pieces)
    assert filter.refused_ids(letters) is None  # a syllable without its end is no copy
    mask = filter.refused_ids(letters + "하")
    assert mask is not None and np.flatnonzero(mask).tolist() == [len(pieces) - 1]
