"""Drawing against its definition, character by character, with refusals and penalties by plain search."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from kammil.completion.completer import Completer
from kammil.data.blocklist import BlockedWord, Blocklist
from kammil.decoding import sampling
from kammil.decoding.constraints import Constraints
from kammil.decoding.filters import FILTERS, Filter, filters
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.options import DecodingOptions
from kammil.decoding.refusals import WordBlock
from kammil.decoding.sampling import generate, keep_best
from kammil.errors import FolderError, OptionError
from kammil.language_model import LanguageModel
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.text import RAW
from kammil.vocabulary import BOS, EOS, PAD, UNK, CharacterVocabulary

LETTERS = "abc"
ORDER = ngram_model.NGramSettings(order=3)


@pytest.fixture(scope="module")
def tiny() -> Completer:
    """A model that counts over three letters."""
    vocabulary = CharacterVocabulary(LETTERS)
    chosen = ngram_model.NGramSettings(order=3)
    texts = ["abcabc", "aab", "cab", "bca", "acba", "bb", "c"]
    _, artifacts = ngram_counting.fit([vocabulary.encode(text) for text in texts], (), vocabulary.size, chosen)
    return Completer(ngram_model.NGramModel(chosen, artifacts.weights), vocabulary, RAW)


def next_probabilities(model: Completer, text: str, options: DecodingOptions) -> dict[str, float]:
    """What may follow, "" for the end, by the definitions, at temperature 1 without filters."""
    state = model.language_model.initial_state(1)
    ids = np.array([[BOS, *model.vocabulary.encode(text)]])
    row, _ = model.language_model.forward(ids, state, last=1)
    logits = {piece: float(row[0, 0, id]) for id, piece in enumerate(["", *LETTERS], EOS)}
    for letter, times in Counter(text).items():
        logits[letter] *= options.repetition_penalty
        logits[letter] -= options.presence_penalty + options.frequency_penalty * times
    allowed = [c for c in LETTERS if _possible(text + c, options)]
    if len(text) >= options.min_length:
        allowed.append("")
    weights = {c: math.exp(logits[c]) for c in allowed or [""]}
    return {c: weight / sum(weights.values()) for c, weight in weights.items()}


def _possible(text: str, options: DecodingOptions) -> bool:
    return len(text) <= options.length and not any(string in text for string in options.forbid)


def text_probabilities(model: Completer, options: DecodingOptions) -> dict[str, float]:
    """Every text and its probability."""
    made: defaultdict[str, float] = defaultdict(float)
    going = {"": 1.0}
    for _ in range(options.length):
        longer: dict[str, float] = {}
        for text, p in going.items():
            for c, share in next_probabilities(model, text, options).items():
                if c:
                    longer[text + c] = p * share
                else:
                    made[text] += p * share
        going = longer
    for text, p in going.items():
        made[text] += p
    return dict(made)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"forbid": ["ab", "c"]},
        {"forbid": ["cab", "a", "bb"]},
        {"min_length": 3},
        {"min_length": 2, "forbid": ["a", "b", "cc"]},
        {"repetition_penalty": 1.5},
        {"presence_penalty": 1.0, "frequency_penalty": -0.5},
        {"frequency_penalty": 2.0, "repetition_penalty": 0.5, "forbid": ["cc"]},
    ],
)
def test_texts_come_as_often_as_they_should(tiny: Completer, asked: dict[str, Any]) -> None:
    many = 4000
    draws = (tiny.samples("", 1000, temperature=1, length=4, seed=seed, **asked) for seed in range(many // 1000))
    drawn = Counter(one.text for texts in draws for one in texts)
    expected = text_probabilities(tiny, DecodingOptions.of(length=4, **asked))
    assert sum(expected.values()) == pytest.approx(1)
    assert set(drawn) <= {text for text, p in expected.items() if p > 0}
    for text, p in expected.items():
        assert abs(drawn[text] / many - p) < 5 * math.sqrt(p * (1 - p) / many) + 1e-3


@st.composite
def asked_of(draw: st.DrawFn) -> dict[str, Any]:
    strings = st.lists(st.text(LETTERS, min_size=1, max_size=2), max_size=2).map(tuple)
    return {
        "length": draw(st.integers(2, 5)),
        "min_length": draw(st.integers(0, 2)),
        "forbid": draw(strings),
        "repetition_penalty": draw(st.sampled_from([1.0, 1.3, 0.7, 10.0])),
        "presence_penalty": draw(st.sampled_from([0.0, 0.5, -2.0])),
        "frequency_penalty": draw(st.sampled_from([0.0, 0.5, -2.0])),
    }


@given(asked_of())
def test_greedy_takes_the_best_of_what_may_follow(tiny: Completer, asked: dict[str, Any]) -> None:
    made = tiny.complete("", temperature=0, **asked)
    text, options = "", DecodingOptions.of(**asked)
    while len(text) < options.length:
        following = next_probabilities(tiny, text, options)
        chosen = made.text[len(text) : len(text) + 1]
        assert following[chosen] == pytest.approx(max(following.values()))
        if not chosen:
            break
        text += chosen
    assert made.text == text


@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 99))
def test_the_best_of_many_is_the_most_probable(tiny: Completer, n: int, best_of: int, seed: int) -> None:
    if n > best_of > 1:
        with pytest.raises(OptionError, match=f"n is {n}, .*best_of is {best_of}"):
            tiny.samples("a", n, best_of=best_of)
        return
    drawn = tiny.samples("a", max(n, best_of), temperature=1, length=4, seed=seed)
    made = tiny.samples("a", n, best_of=best_of, temperature=1, length=4, seed=seed)
    if best_of == 1:
        assert made == drawn
        return

    def mean(text: str, reason: str) -> float:
        bits = tiny.score(text, given="a").bits
        return sum(bits) / len(bits) if reason == "end" else sum(bits[:-1]) / len(text)

    # Here every text is one word, so other texts begin with other words; those that were drawn twice come last.
    costs = {one.text: mean(one.text, one.finish_reason) for one in drawn if one.text}
    kept = [one.text for one in made if one.text]
    different = list(dict.fromkeys(kept))
    assert len(different) == min(n, len(costs))

    def rank(text: str) -> tuple[bool, bool, float]:
        return len(text) == 4 and len(set(text)) == 1, len(text) < 4 / 3, round(costs[text], 3)

    assert sorted(map(rank, different)) == sorted(map(rank, costs))[: len(different)]
    assert list(map(rank, kept)) == sorted(map(rank, kept))
    assert len(made) == n and not any(one.text for one in made[len(kept) :])
    assert [one.text for one in made] == [
        one.text for one in tiny.samples("a", n, best_of=best_of, temperature=1, length=4, seed=seed)
    ]
    assert "".join(tiny.stream("a", best_of=best_of, temperature=1, length=4, seed=seed)) == made[0].text


def written(text: str, bits: float) -> Hypothesis:
    """A text whose characters have these bits each."""
    made = Hypothesis(DecodingOptions(length=1000))
    for character in text:
        made.add(character, bits)
    return made


def test_a_text_that_writes_a_word_twice_is_kept_only_where_all_do() -> None:
    circle, other = written("no no no", 0.1), written("no, nobody", 3.0)
    assert keep_best([circle, other], 1) == [other]
    assert keep_best([circle], 1) == [circle]
    for twice in ("No way, no", "كُل كل", "a b a", "ﷲ الله", "_ _"):  # as they are compared
        assert keep_best([written(twice, 0.1), other], 1) == [other]
    for once in ("no now", "天天", "ไม่ไม่", "", "a-b", "_ __"):  # letters of a script without spaces are no words
        best = written(once, 0.1)
        assert keep_best([other, best], 1) == [best if once else other]
    assert keep_best([written("", 0.1), circle], 1) == [circle]  # any text is better than none


def test_a_run_of_one_sign_and_a_short_text_are_kept_last() -> None:
    def of_ten(text: str, bits: float) -> Hypothesis:
        made = Hypothesis(DecodingOptions(length=10))
        for character in text:
            made.add(character, bits)
        return made

    long, run, short, three = (of_ten(t, x) for t, x in (("so it", 3), ("so????", 1), ("so.", 2), ("so???", 2)))
    assert keep_best([run, short, long, three], 4) == [three, long, short, run]
    for circles in ("so 😭 😭 😭", "so ❤️ ❤️ ❤️", "so 👍🏽 👍🏽 👍🏽", "so - -  -", ". . . so"):
        assert keep_best([written(circles, 1), written("so it", 3)], 1)[0].text == "so it"
    for marks in ("so 😭😭😭", "so - - it", ". , . , ."):
        assert keep_best([written(marks, 1), written("so it", 3)], 1)[0].text == marks
    assert keep_best([of_ten("so i", 1), long], 1)[0].text == "so i"  # a third of ten and more is not short


def drawn(text: str, bits: float, prompt: str = "so ", *, end: bool = False) -> Hypothesis:
    """A text of `clause`, whose characters have these bits each."""
    made = Hypothesis(DecodingOptions.of(clause=True, length=len(text) + end), prompt)
    for character in text:
        if made.reason is None:
            made.add(character, bits)
    if end and made.reason is None:
        made.add(None, bits)
    return made


def test_of_clauses_the_surest_whole_one_is_kept() -> None:
    best_first = [
        drawn("he went home.", 2),
        drawn("he went home,", 3),
        drawn("he goes", 4, end=True),
        drawn("he goes to", 1),  # cut off by its length
        drawn(", he goes.", 1),  # goes on behind a clause
        drawn("they say so they say.", 1),  # twice the same
        drawn("home, home.", 1.5, "homes at home "),  # a word of the prompt
        drawn("x.", 0.1, "home"),  # no new word
    ]
    for at, one in enumerate(best_first):
        assert keep_best(best_first[at:][::-1], 1)[0].mean_bits == one.mean_bits
        assert keep_best(best_first[at:][::-1], 1)[0].text == one.text
    assert (
        keep_best([drawn("go on, go on.", 1), drawn("go up.", 2)], 1)[0].text == "go on"
    )  # short words may come again


def holding_ab(prompt: str) -> Callable[[str], bool]:
    del prompt
    return lambda text: "ab" in text


@given(st.integers(0, 10**6), st.sampled_from(["", "ab", "abc ", "c, a"]), st.booleans())
def test_texts_that_cannot_be_the_best_are_not_drawn_on(seed: int, prompt: str, picky: bool) -> None:
    """And the one that is chosen is the same as of all."""
    vocabulary = CharacterVocabulary("abc ,.")
    texts = ["abc, ab cab.", "ab ab", "cab. bca", "a, cb", "bb cc, abc.", "acb"]
    _, artifacts = ngram_counting.fit([vocabulary.encode(text) for text in texts], (), vocabulary.size, ORDER)
    model = ngram_model.NGramModel(ORDER, artifacts.weights)
    options = DecodingOptions.of(best_of=12, clause=True, whole_words=True, length=14, seed=seed)
    ids = np.array([[BOS, *vocabulary.encode(prompt)]])
    logs, state = model.forward(ids, model.initial_state(1), last=1)
    chosen: list[str] = []
    lengths: list[int] = []
    for n in (1, 2):  # of two no text is given up
        unwanted = holding_ab if picky else None
        constraints = Constraints(options, vocabulary, [], None, unwanted=unwanted, n=n).at(prompt)
        *_, every = sampling.generate(model, constraints, logs[:, 0], state, 12)
        chosen.append(keep_best(every, 1, constraints.unwanted)[0].text)
        lengths.append(sum(len(one.bits) for one in every))
    assert chosen[0] == chosen[1] and lengths[0] <= lengths[1]


def test_an_unwanted_text_is_kept_only_where_all_others_are_empty() -> None:
    named, circle, empty = written("the ruler", 0.1), written("so so so", 3), written("", 0.1)

    def unwanted(text: str) -> bool:
        return "ruler" in text

    assert keep_best([named, circle, empty], 1) == [named]
    assert keep_best([named, circle, empty], 1, unwanted) == [circle]
    assert keep_best([named, empty], 1, unwanted) == [named]
    assert keep_best([named, circle, empty], 3, unwanted) == [circle, named, empty]
    so, too = written("so it is", 1), written("so be it", 2)
    assert keep_best([named, so, too], 2, unwanted) == [so, too]  # though it begins with another word
    assert keep_best([named, so, too], 2) == [named, so]


def test_several_texts_that_are_kept_begin_differently() -> None:
    a, b, c, d, e = (written(t, x) for t, x in (("go on", 1), ("go up", 2), ("go on", 3), ("so it is", 4), ("", 5)))
    texts = [e, d, c, b, a]
    assert keep_best(texts, 1) == [a]
    assert keep_best(texts, 2) == [a, d]
    assert keep_best(texts, 3) == [a, b, d]  # an empty text begins with no word
    assert keep_best(texts, 4) == [a, b, d, e]
    assert keep_best(texts, 5) == [a, b, c, d, e]
    assert keep_best([a, c, b], 2) == [a, b]  # another text, if not another word


@given(
    st.lists(st.tuples(st.text("ab 天", max_size=6), st.integers(1, 9)), min_size=1, max_size=12), st.integers(1, 12)
)
def test_what_is_kept_is_ordered_and_the_first_is_the_best(drawn: list[tuple[str, int]], n: int) -> None:
    texts = [written(text, float(bits)) for text, bits in drawn]
    kept = keep_best(texts, n)
    assert len(kept) == min(n, len(texts)) and len({id(one) for one in kept}) == len(kept)
    assert kept[0] is keep_best(texts, 1)[0]
    places = [next(i for i, one in enumerate(keep_best(texts, len(texts))) if one is other) for other in kept]
    assert places == sorted(places)

    def firsts(some: list[Hypothesis]) -> set[str]:
        return {(regex.findall(r"[ab]+", one.text) or [""])[0] for one in some if one.text.strip()}

    assert len(firsts(kept)) == min(n, len(firsts(texts)))
    if n >= len(firsts(texts)):
        assert len({one.text for one in kept}) == min(n, len({one.text for one in texts}))


@pytest.mark.parametrize("options", [{"temperature": t} for t in (0, 0.7, 1, 2)] + [{"top_k": 2}])
def test_a_text_is_the_same_among_many(tiny: Completer, options: dict[str, Any]) -> None:
    """Also where one alone goes another way."""
    for seed in range(5):
        many = tiny.samples("a", 3, length=6, seed=seed, **options)
        for n in (1, 2):
            assert tiny.samples("a", n, length=6, seed=seed, **options) == many[:n]


def test_of_many_texts_some_are_written_after_the_others(tiny: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    together = tiny.samples("a", 5, length=6)

    def two(model: LanguageModel, rows: int, length: int) -> int:
        return 2

    monkeypatch.setattr(sampling, "max_rows", two)
    assert tiny.samples("a", 5, length=6) == together


@pytest.mark.parametrize("n", [1, 2])
def test_a_ruined_model_is_said(tiny: Completer, n: int) -> None:
    rules = Constraints(DecodingOptions(), tiny.vocabulary, tiny.vocabulary.unwritable, None)
    nothing = np.full((1, tiny.vocabulary.size), np.nan, np.float32)
    with pytest.raises(FolderError, match="no probabilities"):
        list(sampling.generate(tiny.language_model, rules, nothing, tiny.language_model.initial_state(1), n))


def test_nothing_is_drawn_where_nothing_is_asked_for(tiny: Completer) -> None:
    made = tiny.samples("a", 2, length=0)
    assert [(one.text, one.finish_reason, one.bits) for one in made] == [("", "length", ())] * 2
    assert "".join(tiny.stream("a", length=0)) == ""


def test_what_is_refused_wins_over_what_is_asked_for(tiny: Completer) -> None:
    made = tiny.complete("", min_length=4, length=4, forbid=list(LETTERS))
    assert (made.text, made.finish_reason, made.bits) == ("", "end", ())


def test_stop_strings_wait_for_what_is_asked_for(tiny: Completer) -> None:
    for seed in range(20):
        made = tiny.complete("", temperature=1, length=12, min_length=3, stop=["a"], seed=seed)
        assert len(made.text) >= 3
        assert "a" not in made.text[3:]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"min_length": 5, "length": 4}, "min_length is 5, but length is 4"),
        ({"preset": "best"}, "preset is 'best', but it must be one of: "),
    ],
)
def test_options_that_contradict_each_other(tiny: Completer, asked: dict[str, Any], message: str) -> None:
    for call in (tiny.complete, tiny.stream):
        with pytest.raises(OptionError) as caught:
            call("", **asked)
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)


def test_what_is_drawn_again_is_drawn_by_the_seed_of_its_own_text(tiny: Completer) -> None:
    """A blocked word is refused after the draw: a text must not take the seed of another one of the call."""
    block = WordBlock(Blocklist([BlockedWord("ab", form="stem")]), (*[""] * 4, *LETTERS))
    options = DecodingOptions(temperature=1.0, seed=3, length=6)
    rules = Constraints(options, tiny.vocabulary, (PAD, BOS, UNK), None, block=block)
    assert rules.only_temperature
    many, *others = ([*generate(tiny.language_model, rules, *tiny.after(""), n)][-1] for n in (40, 1, 2, 7))
    assert sum("ab" in text.text for text in many) > 5 and not any(text.text == "ab" for text in many)
    for few in others:
        assert [text.text for text in few] == [text.text for text in many[: len(few)]]


class WithOnly(DecodingOptions):
    """The options with one more, which keeps one id alone."""

    only: int | None = None


def test_a_filter_that_is_added_is_seen_everywhere(tiny: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    def only(id: int) -> Filter:
        return lambda rows: np.where(np.arange(rows.shape[1]) == id, rows, -np.inf)

    monkeypatch.setitem(FILTERS, "only", only)
    plain, first, second = (
        Constraints(options, tiny.vocabulary, tiny.vocabulary.unwritable, None)
        for options in (WithOnly(), WithOnly(only=4), WithOnly(only=5))
    )
    assert [len(filters(call.options)) for call in (plain, first, second)] == [1, 2, 2]
    assert [call.only_temperature for call in (plain, first, second)] == [True, False, False]
    row = np.log(np.full((1, tiny.vocabulary.size), 1 / 7, np.float32))
    for call, letter in ((first, "a"), (second, "b")):
        (text,) = next(generate(tiny.language_model, call, row, tiny.language_model.initial_state(1), 1))
        assert text.text == letter
