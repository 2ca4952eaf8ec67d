"""Suggestions against brute force: every continuation is enumerated, and those that begin with a word are summed up."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from inspect import signature
from typing import Any, get_type_hints

import numpy as np
import pytest
import regex
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kammil.completion.character_classes import CharacterClasses
from kammil.completion.completer import Completer, Session
from kammil.completion.suggestions import GhostKeywords, ListKeywords, Suggestion, SuggestOptions
from kammil.completion.unsolicited import is_function_word
from kammil.completion.word_search import MIN_ENDING_OF_COMPLETE, WordSearch
from kammil.errors import FolderError, OptionError
from kammil.language_model import LanguageModel, LogProbabilities, State, select_rows
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.text import RAW, open_word, words
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

ODD = st.text(st.sampled_from("\u0301\u064e\u200d\u200c\u202e\u2067\0\ud800👨👩🇱🇧🏽 كشوم\n\ta@.#_٣"), max_size=12)
PROMPTS = st.text(st.characters(codec=None), max_size=12) | ODD
STRANGE = "漢"
PIECES = "ab_1\u0301\u064e\u200c\u200d🏽👩 ,(#\ufe0f"

# The oracle's own idea of words, by expression: what is appended, up to where a word is closed by what follows.
# A last sign may hide a space and a word behind it; no word begins with a mark, none ends in a joiner.
INSIDE = r"[\p{L}\p{M}\p{N}_\u200c\u200d]"
ENDING = regex.compile(
    rf"({INSIDE}*[\p{{L}}\p{{M}}\p{{N}}_])(?:[^\p{{L}}\p{{M}}\p{{N}}_\u200c\u200d\p{{GCB=Extend}}]|\Z)"
)
CLOSED = regex.compile(r"[^\p{L}\p{M}\p{N}_\u200c\u200d\p{GCB=Extend}]|\Z")
WORD = regex.compile(rf"((?:[\p{{L}}\p{{N}}_])(?:{INSIDE}*[\p{{L}}\p{{M}}\p{{N}}_])?)"
                     r"(?:[^\p{L}\p{M}\p{N}_\u200c\u200d\p{GCB=Extend}]|\Z)")  # fmt: skip


def counter(texts: Sequence[str], order: int = 3) -> Completer:
    """A raw model that counts these texts."""
    vocabulary = CharacterVocabulary.from_texts(texts)
    chosen = ngram_model.NGramSettings(order=order)
    _, artifacts = ngram_counting.fit([vocabulary.encode(text) for text in texts], (), vocabulary.size, chosen)
    return Completer(ngram_model.NGramModel(chosen, artifacts.weights), vocabulary, RAW)


def continuations(model: Completer, prefix: str, length: int) -> dict[str, float]:
    """Every text of `length` characters after a prefix, or of fewer and its end ("$"), with its probability.

    UNK shows as a letter of no text.
    """
    probabilities: dict[str, float] = {}
    ids = np.array([[BOS, *model.vocabulary.encode(prefix)]])
    scores, state = model.language_model.forward(ids, model.language_model.initial_state(1), last=1)  # (1, 1, V)
    log_probabilities, level = scores[:, 0], [("", 1.0)]
    pieces = {UNK: STRANGE} | dict(enumerate(model.vocabulary.characters, SPECIALS))
    for depth in range(length):
        along = [math.exp(row[EOS]) for row in log_probabilities]
        probabilities |= {text + "$": p * end for (text, p), end in zip(level, along, strict=True)}
        level = [
            (text + piece, p * math.exp(row[id]))
            for (text, p), row in zip(level, log_probabilities, strict=True)
            for id, piece in pieces.items()
        ]
        if depth + 1 < length:
            num_texts = len(level) // len(pieces)
            parents = np.arange(num_texts).repeat(len(pieces))
            log_probabilities, state = model.language_model.step(
                np.array([*pieces] * num_texts), select_rows(state, parents)
            )
    return probabilities | dict(level)


def enumerated(model: Completer, prefix: str, length: int) -> tuple[dict[str, float], dict[str, float], float]:
    """What may be added, of less than `length` characters, and the sum over all continuations that add it; within a
    word the next words, too; and how probably that word is complete."""
    inside = bool(regex.search(rf"[\p{{L}}\p{{N}}_]{INSIDE}*\Z", prefix))
    sign = bool(prefix) and not inside and not prefix[-1].isspace()
    sums: defaultdict[str, float] = defaultdict(float)
    spaced: defaultdict[str, float] = defaultdict(float)
    space = word = complete = 0.0
    for text, p in continuations(model, prefix, length).items():
        ended = text.endswith("$")
        body = text[:-1] if ended else text
        complete += p if inside and CLOSED.match(body) else 0
        space += p if body.startswith(" ") else 0
        word += p if regex.match(rf"(?!{STRANGE})[\p{{L}}\p{{N}}_]", body) else 0
        for found, into in ((body, sums), (body[1:] if body.startswith(" ") else "", spaced)):
            match = (ENDING if inside and into is sums else WORD).match(found)
            # without its end, a text that a word reaches the end of says nothing about that word
            if match and (ended or match.end() > match.end(1)):
                into[(" " if into is spaced else "") + match[1]] += p
    assume(not sign or abs(space - word) > 1e-5)  # as probable as each other: rounding decides
    chosen = spaced if sign and space > word else sums
    assume(abs(complete - 0.5) > 1e-5)
    known = {text: p for text, p in chosen.items() if STRANGE not in text}
    assume(complete < 0.5 or all(abs(p - MIN_ENDING_OF_COMPLETE) > 1e-5 for p in known.values()))
    return known, {text: p for text, p in spaced.items() if STRANGE not in text} if inside else {}, complete


def one_slot(words: dict[str, float]) -> list[float]:
    """The probability of each word; of those that differ in points, or in a stretched letter, the highest."""
    found: defaultdict[str, float] = defaultdict(float)
    for word, p in words.items():
        plain = regex.sub(r"(\p{L})\1{2,}", r"\1", regex.sub(r"[\u064e\u200c ]", "", word))
        found[plain] = max(found[plain], p)
    return list(found.values())


def best(true: tuple[dict[str, float], dict[str, float], float], k: int, threshold: float = 0.0) -> list[float]:
    """The probabilities of what should be suggested."""
    first, then = (sorted((p for p in one_slot(some) if p >= threshold), reverse=True) for some in true[:2])
    if true[2] > 0.5:
        first, then = then, [p for p in first if p >= MIN_ENDING_OF_COMPLETE]
    return [*first[:k], *then[: max(0, k - len(first))]]


ALL = 1 << 12
"""A width that drops nothing."""


def search(
    model: Completer, prefix: str, k: int, threshold: float, width: int, longest: int
) -> list[tuple[str, float]]:
    """What a search adds to a prefix."""
    ids = np.array([[BOS, *model.vocabulary.encode(prefix)]])
    log_probabilities, state = model.language_model.forward(ids, model.language_model.initial_state(1), last=1)
    work = WordSearch(model.language_model, model.character_classes, k, threshold, width, longest)
    (found,) = work.run([prefix], log_probabilities[:, -1], state)
    return [(model.vocabulary.decode(ids), p) for ids, p, *_ in found]


TEXTS = st.lists(st.text(st.sampled_from("ab\u064e\u200c ,"), min_size=1, max_size=12), min_size=1, max_size=6)


@given(TEXTS, st.text(st.sampled_from("ab\u064e\u200c ,"), max_size=5), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=50)
def test_the_k_best_are_those_of_all_continuations(texts: list[str], prefix: str, order: int, k: int) -> None:
    model = counter(texts, order)
    true = enumerated(model, prefix, 4)
    found = search(model, prefix, k, 0.0, ALL, 3)
    assert [p for _, p in found] == pytest.approx(best(true, k), rel=1e-4)
    exact = true[0] | true[1]
    for text, p in found:
        assert p == pytest.approx(exact[text], rel=1e-4)
    for width in (1, 2):
        for text, p in search(model, prefix, k, 0.0, width, 3):
            assert p == pytest.approx(exact[text], rel=1e-4)  # a narrow search may miss a word, and misjudges none


@given(TEXTS, st.text(st.sampled_from("ab\u064e\u200c ,"), max_size=5), st.floats(0.001, 0.9))
def test_the_threshold_takes_nothing_else_away(texts: list[str], prefix: str, threshold: float) -> None:
    model = counter(texts)
    true = enumerated(model, prefix, 4)
    found = search(model, prefix, 4, threshold, ALL, 3)
    assume(all(abs(p - threshold) > 1e-6 for some in true[:2] for p in some.values()))
    assert [p for _, p in found] == pytest.approx(best(true, 4, threshold), rel=1e-4)


@given(TEXTS, st.lists(st.text(st.sampled_from("ab ,"), max_size=5), min_size=1, max_size=4))
def test_prefixes_searched_together_are_searched_alone(texts: list[str], prefixes: list[str]) -> None:
    model = counter(texts)
    length = max(map(len, prefixes))
    padded = [prefix.rjust(length, "a") for prefix in prefixes]  # of one length, to be read in one call
    ids = np.array([[BOS, *model.vocabulary.encode(prefix)] for prefix in padded])
    log_probabilities, state = model.language_model.forward(ids, model.language_model.initial_state(len(ids)), last=1)
    together = WordSearch(model.language_model, model.character_classes, 3, 0.001).run(
        padded, log_probabilities[:, -1], state
    )
    for prefix, found in zip(padded, together, strict=True):
        alone = search(model, prefix, 12, 0.001, WordSearch(model.language_model, model.character_classes).width, 32)
        if open_word(prefix):  # a longer list has more endings, and fewer next words
            alone = search(model, prefix, 3, 0.001, WordSearch(model.language_model, model.character_classes).width, 32)
        assert [word.probability for word in found] == pytest.approx([p for _, p in alone[:3]])
        words = [
            model.vocabulary.decode(ids) for ids, *_ in found
        ]  # of two as probable as each other, either may stand
        assert len(set(words)) == len(words)
        assert [dict(alone)[word] for word in words] == pytest.approx([word.probability for word in found])


def test_a_list_is_proven_unless_the_width_drops_what_could_win() -> None:
    model = counter(["ab ab aab abb bab baa", "bb aa ba"])
    ids = np.array([[BOS]])
    log_probabilities, state = model.language_model.forward(ids, model.language_model.initial_state(1), last=1)
    for width, sure in ((1, 0), (ALL, 1)):
        work = WordSearch(model.language_model, model.character_classes, 3, 0.0, width, 40)
        work.run([""], log_probabilities[:, -1], state)
        assert work.optimal == sure
        assert work.steps <= 40


@given(TEXTS, st.text(st.sampled_from("ab ,"), max_size=6), st.integers(1, 5), st.sampled_from([0.0, 0.02, 0.1, 0.3]))
def test_a_phrase_is_the_best_word_and_then_the_best_word(
    texts: list[str], prefix: str, most: int, threshold: float
) -> None:
    model = counter(texts)
    prefix = model.normalise(prefix)
    phrase = model.phrase(prefix, words=most, threshold=threshold)
    shown = prefix + phrase.added
    assert phrase.probability == pytest.approx(
        probability(model, prefix, phrase.added) if phrase.added else 1, rel=1e-3
    )
    done = probability(model, prefix, "") if open_word(prefix) else 0.0
    first = model.suggest(prefix, 1, threshold=threshold)
    assume(all(abs(suggestion.probability - done) > 1e-6 for suggestion in first))
    first = [suggestion for suggestion in first if suggestion.probability > done]  # or it is more probably complete
    new = [end for _, end in words(shown) if end > len(prefix)]
    assert len(new) <= most and (new[-1:] == [len(shown)] or not new)
    before = prefix.removesuffix(open_word(prefix)).rstrip()
    used = [open_word(prefix), open_word(before)]
    paid = 1.0
    for i, end in enumerate(new):
        at = new[i - 1] + 1 if i else len(prefix)
        added = model.suggest(shown[:at], 1, threshold=0.0)[0].added if i else first[0].added
        assert shown[at:end] == added
        assert open_word(shown[:end]) not in used
        used.append(open_word(shown[:end]))
        paid, earlier = probability(model, prefix, shown[len(prefix) : end]), paid
        assert paid / earlier >= threshold * (1 - 1e-3)
    spaced = " " in model.vocabulary.characters
    if len(new) < most and (spaced or not new):  # what would come next is there already, or not likely enough
        more = model.suggest(shown + " ", 1, threshold=0.0) if new else first
        for suggestion in more:
            there = shown + " " * bool(new) + suggestion.added
            rare = probability(model, prefix, there[len(prefix) :]) / paid <= threshold * (1 + 1e-3)
            assert rare or open_word(there) in used


@pytest.mark.parametrize(
    ("options", "message"), [({"words": 0}, "words is 0"), ({"threshold": 2.0}, "threshold is 2.0")]
)
def test_a_phrase_that_cannot_be(options: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        counter(["ab"]).phrase("a", **options)  # pyright: ignore[reportArgumentType]


# ---- all families


def probability(model: Completer, prefix: str, text: str) -> float:
    """Return the probability of a text and of the end of a word after it, read in one call."""
    seen = model.vocabulary.encode(model.normalise(prefix))
    ids = model.vocabulary.encode(text)
    read, _ = model.language_model.forward(
        np.array([[BOS, *seen, *ids]]), model.language_model.initial_state(1), last=len(ids) + 1
    )
    along = read[0].astype(np.float64)
    characters = model.vocabulary.characters
    closing = [
        EOS,
        *(i for i, c in enumerate(characters, SPECIALS) if not regex.match(rf"{INSIDE}|\p{{GCB=Extend}}", c)),
    ]
    return math.exp(along[np.arange(len(ids)), ids].sum()) * float(np.exp(along[-1, closing]).sum())


@pytest.mark.parametrize("prefix", ["", "شو ", "شو", "شو في", "مرحبا، ", "مرحبا،", "#", "لبنان_", "hi ش", "漢", "٣"])
def test_probabilities_are_those_of_the_model(model: Completer, prefix: str) -> None:
    found = model.suggest(prefix, k=5, threshold=0.001, correct=False)
    assert found
    for s in found:
        assert s.probability == pytest.approx(probability(model, prefix, s.added), rel=2e-3)


@given(st.lists(st.sampled_from(["من", "وعلى", "في", "إلى", "كبير", "بيت"]), min_size=1, max_size=40))
def test_of_three_next_words_one_says_something(nexts: list[str]) -> None:
    model = counter([f"شو {word}" for word in nexts], 4)
    true = {s.text: s.probability for s in model.suggest("شو ", 9, threshold=0.0)}
    found = model.suggest("شو ", 3, threshold=0.05)
    best = sorted((p for p in true.values() if p >= 0.05), reverse=True)[:3]
    content = max((p for word, p in true.items() if not is_function_word(word)), default=0.0)
    needed = (best[2] if len(best) == 3 else 0.05) / 3
    assume(abs(content - needed) > 1e-6 and len(best) == len({*best}))
    if all(is_function_word(s.text) for s in found):
        assert [s.probability for s in found] == pytest.approx(best) and content < needed
    elif any(content == p for p in best):
        assert [s.probability for s in found] == pytest.approx(best)
    else:
        assert [s.probability for s in found] == pytest.approx([*best[:2], content])
    for k in (1, 2, 4, 5):
        longer = model.suggest("شو ", k, threshold=0.05)
        assert longer[:3] == found[:k] or k < 3
        assert len({s.text for s in longer}) == len(longer) <= k


@pytest.mark.parametrize("prefix", ["شو م", "شو من", ""])
def test_a_word_that_is_begun_gets_no_other(prefix: str) -> None:
    model = counter(["شو من", "شو من", "شو مع", "شو مع", "شو ما", "شو ما", "شو ملك"] * 3, 4)
    p = [s.probability for s in model.suggest(prefix, 3)]
    assert p == sorted(p, reverse=True)
    assert not is_function_word(model.suggest("شو ", 3)[-1].text)
    assert is_function_word(model.suggest("شو ", 3, forbid=["ملك"])[-1].text)


@given(PROMPTS, st.integers(1, 5))
@settings(max_examples=40)
def test_any_prefix_is_answered(model: Completer, prefix: str, k: int) -> None:
    check(model, prefix, model.suggest(prefix, k, threshold=0.001), k)


@given(st.text(st.sampled_from(PIECES), max_size=6), st.integers(1, 5))
@settings(max_examples=100)
def test_odd_code_points_make_whole_words(babbler: Completer, prefix: str, k: int) -> None:
    check(babbler, prefix, babbler.suggest(prefix, k, threshold=0.0), k)


@pytest.fixture(scope="module")
def babbler() -> Completer:
    """A raw model of random texts of odd code points."""
    generator = np.random.default_rng(5)
    return counter(["".join(generator.choice(list(PIECES), 40)) for _ in range(30)], order=2)


def check(model: Completer, prefix: str, found: Sequence[Suggestion], k: int) -> None:
    """What holds for every list."""
    assert len(found) <= k
    content = found[2:3] if found and all(is_function_word(s.text) for s in found[:2]) else []
    for next_word in (False, True):
        group = [s.probability for s in found if s.added.startswith(" ") == next_word and s not in content]
        assert group == sorted(group, reverse=True)
    assert sum(s.probability for s in found) <= 1 + 1e-5
    assert len({s.added for s in found}) == len({s.text for s in found}) == len(found)
    seen = model.normalise(prefix)
    for s in found:
        s.text.encode("utf-8")
        assert s.added.strip(" ")
        assert words(s.text) == [(0, len(s.text))]
        after = s.appended_to(seen)
        assert after.endswith(s.text)
        assert words(after)[-1] == (len(after) - len(s.text), len(after))
        ends = {match.end() for match in regex.finditer(r"\X", after + " ")}
        assert len(after) in ends


# ---- by example


@pytest.fixture(scope="module")
def teacher() -> Completer:
    """A model that was taught a few words."""
    return counter(["شو حلو، كتير حلو", "شو حلوة (كتير) #لبنان_حلو", "مَرْحَبا شو، كتير"] * 5, order=6)


@pytest.mark.parametrize(
    ("prefix", "text", "added"),
    [
        ("شو حل", "حلو", "و"),
        ("شو ", "حلو", "حلو"),
        ("شو حلو،", "كتير", " كتير"),  # after a comma comes a space
        ("شو حلوة (", "كتير", "كتير"),
        ("شو حلوة (كتير) #", "لبنان_حلو", "لبنان_حلو"),
        ("شو حلوة (كتير) #لبنان_", "لبنان_حلو", "حلو"),
        ("مَر", "مَرْحَبا", "ْحَبا"),  # a mark goes on with the letter before it
        ("مَ", "مَرْحَبا", "رْحَبا"),
    ],
)
def test_a_word_as_it_would_stand(teacher: Completer, prefix: str, text: str, added: str) -> None:
    best = teacher.suggest(prefix)[0]
    assert (best.text, best.added) == (text, added)
    assert 0.2 < best.probability < 1


def test_the_end_of_a_text_closes_a_word(teacher: Completer) -> None:
    model = counter(["حلو"] * 9)
    assert [s.text for s in model.suggest("ح", threshold=0.5)] == ["حلو"]
    assert model.suggest("حلو", threshold=0.05) == []  # it is complete, and an ending of nothing is no suggestion


def test_silence(teacher: Completer) -> None:
    assert teacher.suggest("شو حل", threshold=1) == []
    assert len(teacher.suggest("شو ", k=2)) == 2


@pytest.mark.parametrize("word", ["tomor", "привет", "ü"])
def test_no_ending_is_glued_to_letters_of_no_training_text(teacher: Completer, word: str) -> None:
    for prefix in (word, f"شو {word}"):
        assert all(s.added.startswith(" ") for s in teacher.suggest(prefix, threshold=0.0))
        assert teacher.phrase(prefix, threshold=0.0).added[:1] in ("", " ")


@pytest.mark.parametrize("k", [0, -1])
def test_a_wrong_k(teacher: Completer, k: int) -> None:
    with pytest.raises(OptionError, match=f"^k is {k}, but it must be "):
        teacher.suggest("شو", k)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, math.nan, math.inf])
def test_a_wrong_threshold(teacher: Completer, threshold: float) -> None:
    with pytest.raises(OptionError, match=f"^threshold is {threshold}, but it must be between 0 and 1"):
        teacher.suggest("شو", threshold=threshold)


class Broken(LanguageModel):
    """Gives no probabilities."""

    vocabulary_size = 8

    def initial_state(self, batch: int) -> State:
        return (np.zeros((batch, 1)),)

    def forward(self, ids: object, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        return np.full((len(state[0]), 1, 8), np.nan, np.float32), state


def test_a_model_without_probabilities() -> None:
    model = Completer(Broken(), CharacterVocabulary("abc "), RAW)
    with pytest.raises(FolderError, match="gives no probabilities"):
        model.suggest("a")


def test_what_ids_are_to_words() -> None:
    vocabulary = CharacterVocabulary("aش٣_\u064e\u200c\u200d🏽 ,#👩\ud800")
    classes = CharacterClasses.of(vocabulary)
    named = {c: i for i, c in enumerate(vocabulary.characters, SPECIALS)}

    def chosen(flags: object) -> set[str]:
        on = np.flatnonzero(np.asarray(flags))
        return {"EOS" if i == EOS else vocabulary.piece(i) for i in on.tolist()}

    assert chosen(classes.begin) == set("aش٣_")
    assert chosen(classes.continues) == set("aش٣_\u064e\u200c\u200d")
    assert chosen(classes.words) == set("aش٣_\u064e")
    assert chosen(classes.close) == {"EOS", *" ,#👩\ud800"}
    assert classes.space == named[" "]
    assert not classes.close[[PAD, UNK, BOS]].any()
    assert CharacterClasses.of(CharacterVocabulary("a")).space is None


def test_rows_are_all_that_is_asked_of_a_state(teacher: Completer) -> None:
    _, state = teacher.language_model.step(np.array([BOS]), teacher.language_model.initial_state(1))
    assert [len(array) for array in select_rows(state, np.array([0, 0, 0]))] == [3] * len(state)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"k": 0}, "k"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"words": 0}, "words"),
        ({"ghost": "loud"}, "ghost"),
        ({"forbid": "ab"}, "forbid"),
        ({"forbid": [""]}, "forbid"),
        ({"corect": True}, "corect"),
    ],
)
def test_an_error_names_the_option(options: Any, name: str) -> None:
    with pytest.raises(OptionError, match=name) as caught:
        SuggestOptions.of(**options)
    assert caught.value.option == name


def test_type_checkers_know_every_option() -> None:
    lists, ghosts = get_type_hints(ListKeywords), get_type_hints(GhostKeywords)
    assert {"k", *lists, *ghosts} == SuggestOptions.model_fields.keys()


def test_a_request_has_every_option_with_its_default() -> None:
    schemas = pytest.importorskip("kammil.server.api.schemas")
    request = schemas.SuggestRequest(prefix="").model_dump()
    for name, field in SuggestOptions.model_fields.items():
        if name != "words":  # called `phrase` there, 0 for none
            assert request[name] == (list(field.default) if name == "forbid" else field.default)


@pytest.mark.parametrize("name", ["complete", "samples", "stream", "suggest", "phrase"])
def test_a_session_asks_as_its_model_is_asked_but_for_the_text(name: str) -> None:
    of_model, of_session = (signature(getattr(kind, name)) for kind in (Completer, Session))
    text = next(each for each in of_model.parameters if each in ("prompt", "prefix"))
    assert [*of_session.parameters] == [each for each in of_model.parameters if each != text]
    assert getattr(Session, name).__doc__ == getattr(Completer, name).__doc__
