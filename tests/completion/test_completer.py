"""Writing and scoring: laws that hold for every prompt, every option and every family."""

from __future__ import annotations

import gc
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import regex
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.near_equals import assert_chosen_alike

import kammil
from kammil.completion.completer import Completer, Completion
from kammil.decoding.options import DecodingOptions, Options
from kammil.errors import FolderError, OptionError
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State
from kammil.models.family import NetworkLearner, export, family, load_model
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.text import RAW, TextRules, fold
from kammil.vocabulary import BOS, CODE_POINTS, EOS, PAD, CharacterVocabulary

ODD = st.text(st.sampled_from("\u0301\u064e\u200d\u200c\u202e\u2067\0\ud800\udfff👨👩🇱🇧 كشوم\n\ta@."), max_size=30)
PROMPTS = st.text(st.characters(codec=None), max_size=30) | ODD
# Letters that join, marks, joiners, flags, jamo, half a surrogate: whatever makes a grapheme of many code points.
PIECES = "ae\u0301\u064e\u200d👨👩🇱🇧ك\u0915\u094d\u0937\u1112\u1161\u11ab\ufe0f\u20e3\r\n \ud83d"


def counter(texts: Sequence[str], order: int, rules: TextRules = RAW) -> Completer:
    """A model that counts these texts, ready to write."""
    vocabulary = CharacterVocabulary.from_texts(texts)
    chosen = ngram_model.NGramSettings(order=order)
    _, artifacts = ngram_counting.fit([vocabulary.encode(text) for text in texts], (), vocabulary.size, chosen)
    return Completer(ngram_model.NGramModel(chosen, artifacts.weights), vocabulary, rules)


def reciter(text: str) -> Completer:
    """A model that, at temperature 0, says one text and nothing else."""
    return counter([text] * 20, order=8)


def fresh(model: Completer) -> Completer:
    """The same model, without a memory of earlier prompts."""
    return Completer(model.language_model, model.vocabulary, model.rules, model.model)


@pytest.fixture(scope="module")
def babbler() -> Completer:
    """A raw model of random texts of odd code points: it writes every sequence of them sooner or later."""
    generator = np.random.default_rng(5)
    return counter(["".join(generator.choice(list(PIECES), 40)) for _ in range(30)], order=2)


@st.composite
def options(draw: st.DrawFn, alphabet: str) -> Options:
    """Any options; stop strings of one to three of these letters."""
    values = Options(
        length=draw(st.integers(0, 40)),
        temperature=draw(st.sampled_from([0.0, 1e-310, 0.3, 0.7, 1.0, 2.0, 1e300])),
        top_k=draw(st.none() | st.integers(1, 6)),
        top_p=draw(st.sampled_from([1.0, 0.9, 0.4, 1e-9])),
        min_p=draw(st.sampled_from([0.0, 0.0, 0.05, 1.0])),
        stop=tuple(draw(st.lists(st.text(st.sampled_from(alphabet), min_size=1, max_size=3), max_size=4))),
        typical_p=draw(st.sampled_from([1.0, 1.0, 0.5, 1e-9])),
        seed=draw(st.integers(0, 2**64 - 1)),
    )
    chosen = draw(st.sets(st.sampled_from(sorted(values))))
    return cast(Options, {name: value for name, value in values.items() if name in chosen})


@st.composite
def rules(draw: st.DrawFn, alphabet: str) -> Options:
    """Options that say what may be written, and how it is found; on top of any others."""
    strings = st.lists(st.text(st.sampled_from(alphabet), min_size=1, max_size=3), max_size=2).map(tuple)
    values = Options(
        min_length=draw(st.integers(0, 12)),
        repetition_penalty=draw(st.sampled_from([1.0, 1.2, 0.8])),
        presence_penalty=draw(st.sampled_from([0.0, 1.0, -2.0])),
        frequency_penalty=draw(st.sampled_from([0.0, 0.3, -2.0])),
        forbid=draw(strings),
        best_of=draw(st.sampled_from([1, 1, 3])),
        whole_words=draw(st.booleans()),
        clause=draw(st.booleans()),
    )
    chosen = draw(st.sets(st.sampled_from(sorted(values)), min_size=1))
    return cast(Options, draw(options(alphabet)) | {name: value for name, value in values.items() if name in chosen})


def boundaries(text: str) -> set[int]:
    """Where graphemes begin or end, by the Unicode rules."""
    return {0} | {match.end() for match in regex.finditer(r"\X", text)}


def check_writing(model: Completer, prompt: str, asked: Options) -> None:
    """What holds for every completion."""
    try:
        decoding = DecodingOptions.of(**asked)
        completion = model.complete(prompt, **asked)
    except OptionError as error:
        assert str(error).startswith(("min_length is", "best_of is"))
        with pytest.raises(OptionError):
            model.stream(prompt, **asked)
        return
    pieces = list(model.stream(prompt, **asked))
    assert "".join(pieces) == completion.text
    assert all(pieces)
    assert set(itertools.accumulate(map(len, pieces))) <= boundaries(completion.text)
    assert completion.prompt == prompt
    completion.text.encode("utf-8")
    assert set(completion.text) <= set(model.vocabulary.characters)
    assert len(completion.text) <= decoding.length
    assert len(completion.bits) == len(completion.text)
    assert all(math.isfinite(bits) and bits >= -1e-6 for bits in completion.bits)
    # Where all is forbidden that may follow, a text ends before its time; else it holds what was asked for.
    if not decoding.forbid:
        assert len(completion.text) >= decoding.min_length
    assert not [string for string in decoding.forbid if string in completion.text]
    assert not [stop for stop in decoding.stop if stop in completion.text[decoding.min_length :]]
    assert completion.finish_reason in (
        {"length", "end", "stop"} if decoding.stop or decoding.clause else {"length", "end"}
    )
    again = model.complete(prompt, **asked)
    assert (again.text, again.finish_reason) == (completion.text, completion.finish_reason)
    assert again.bits == pytest.approx(completion.bits, abs=1e-5)  # BLAS may round by where an array lies in memory
    if decoding.best_of > 1 or decoding.clause:
        return
    if decoding.whole_words:
        plain = model.complete(prompt, **(asked | {"whole_words": False}))
        assert plain.text.startswith(completion.text)
        assert plain.finish_reason == completion.finish_reason
        assert bool(plain.text) == bool(completion.text)
        completion, decoding = plain, decoding.model_copy(update={"whole_words": False})
    check_against_no_stop(model, completion, decoding)


def check_against_no_stop(model: Completer, completion: Completion, decoding: DecodingOptions) -> None:
    """With stop strings a model writes what it writes without them, up to the first one that is whole."""
    # Ten more, so that no grapheme is cut where the shorter text ends.
    longer = decoding.model_copy(update={"stop": (), "length": decoding.length + 10}).model_dump()
    free = model.complete(completion.prompt, **longer).text[: decoding.length]
    found = [(free.find(stop, decoding.min_length), stop) for stop in decoding.stop]
    ends = [(at + len(stop), at) for at, stop in found if at >= 0]
    if ends:
        first = min(end for end, _ in ends)
        assert completion.finish_reason == "stop"
        assert completion.text == free[: min(at for end, at in ends if end == first)]
    else:
        assert completion.finish_reason != "stop"
        # A last grapheme that the length cuts is left out.
        assert free.startswith(completion.text)
        assert len(regex.findall(r"\X", free[len(completion.text) :])) <= 1
        assert free == completion.text or completion.finish_reason == "length"


# ---- writing


@given(PROMPTS)
@settings(max_examples=50)
def test_any_prompt_is_completed_streamed_and_scored(model: Completer, prompt: str) -> None:
    check_writing(model, prompt, {"length": 8})
    score = model.score(prompt)
    assert score.text == model.normalise(prompt)
    assert len(score.bits) == len(score.text) + 1
    assert all(math.isfinite(bits) for bits in score.bits)


@given(st.text(st.sampled_from("شو حلكم"), max_size=5), options(" اليوم"))
def test_the_laws_of_writing_hold_for_every_option(model: Completer, prompt: str, asked: Options) -> None:
    check_writing(model, prompt, asked)


@given(st.text(st.sampled_from(PIECES), max_size=5), options(PIECES))
@settings(max_examples=300)
def test_the_laws_of_writing_hold_for_odd_code_points(babbler: Completer, prompt: str, asked: Options) -> None:
    check_writing(babbler, prompt, asked)


@given(st.text(st.sampled_from(PIECES), max_size=5), rules(PIECES))
@settings(max_examples=200)
def test_the_laws_of_writing_hold_under_every_rule(babbler: Completer, prompt: str, asked: Options) -> None:
    check_writing(babbler, prompt, asked)


@given(st.text(st.sampled_from("شو حلكم"), max_size=5), rules("اليوم "))
@settings(max_examples=20)
def test_every_model_keeps_to_the_rules(model: Completer, prompt: str, asked: Options) -> None:
    check_writing(model, prompt, asked)


def test_no_copy_needs_a_filter_and_copies_no_more(model: Completer, texts: list[str]) -> None:
    known = [fold(model.normalise(text)) for text in texts[:240]]
    for text in texts[:3]:
        written = fold(model.complete(text[:10], temperature=0, length=40, no_copy=12).text)
        assert not [i for i in range(len(written) - 12) if any(written[i : i + 13] in seen for seen in known)]


@given(st.integers(0, 10_000), st.lists(st.tuples(st.integers(0, 30), st.integers(1, 4)), min_size=1, max_size=3))
def test_whatever_is_written_can_stop_it(babbler: Completer, seed: int, parts: list[tuple[int, int]]) -> None:
    free = babbler.complete("", temperature=1, seed=seed).text
    stops = [free[at : at + length] for at, length in parts if free[at : at + length]]
    # Beginnings of stop strings that come up without their ends.
    stops += [stop + "a" for stop in stops]
    check_writing(babbler, "", {"temperature": 1, "seed": seed, "stop": stops})


UNITS = ["ش", "a b ", "\u0301", "\u202e", "\ud800", "\0", "👨‍👩‍👧", "@a ", "漢"]


def check_a_long_prompt(model: Completer, prompt: str) -> None:
    assert len(model.complete(prompt, length=5, temperature=0).bits) <= 5
    score = model.score(prompt)
    assert len(score.bits) == len(model.normalise(prompt)) + 1
    assert all(math.isfinite(bits) for bits in score.bits)


def test_a_prompt_of_ten_thousand_characters(model: Completer) -> None:
    check_a_long_prompt(model, "".join((unit * 1200)[:1200] for unit in UNITS)[:10_000])


@pytest.mark.parametrize("unit", UNITS)
def test_a_prompt_that_repeats_itself_ten_thousand_times(folder_of: Callable[[str], Path], unit: str) -> None:
    check_a_long_prompt(kammil.load(folder_of("ngram")), (unit * 10_000)[:10_000])


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("aab", ["ab"], "a"),
        ("aabab", ["abab"], "a"),
        ("abcabd", ["abd"], "abc"),
        ("abc", ["bc", "abc"], ""),
        ("abc", ["c", "b"], "a"),
        ("abc", ["abcd"], "abc"),
        ("abcd", ["bcx", "d"], "abc"),
        ("x👨\u200d👩y", ["👩"], "x👨\u200d"),
        ("xe\u0301y", ["\u0301"], "xe"),
        ("🇱🇧🇸🇾z", ["🇸"], "🇱🇧"),
        ("👍\U0001f3fdb", ["👍\U0001f3fdb"], ""),
    ],
)
def test_a_stop_string_ends_the_text_before_it(text: str, stop: list[str], expected: str) -> None:
    model = reciter(text)
    completion = model.complete("", temperature=0, stop=stop)
    assert completion.text == expected
    assert completion.finish_reason == ("end" if expected == text else "stop")
    assert "".join(model.stream("", temperature=0, stop=stop)) == expected


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("abc", ["a", "b", "c"]),
        ("e\u0301a", ["e\u0301", "a"]),
        ("👨\u200d👩\u200d👧!", ["👨\u200d👩\u200d👧", "!"]),
        ("🇱🇧🇸🇾", ["🇱🇧", "🇸🇾"]),
        ("مُحَ", ["مُ", "حَ"]),
        ("\u1112\u1161\u11ab\u1100", ["\u1112\u1161\u11ab", "\u1100"]),
    ],
)
def test_a_stream_brings_one_grapheme_at_a_time(text: str, pieces: list[str]) -> None:
    assert list(reciter(text).stream("", temperature=0)) == pieces


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [("a👨\u200d👩b", 3, "a"), ("a👨\u200d👩b", 2, "a👨"), ("a🇱🇧", 2, "a"), ("🇱🇧🇸🇾", 3, "🇱🇧"), ("🇱🇧", 1, "")],
)
def test_a_cut_grapheme_is_left_out(text: str, length: int, expected: str) -> None:
    completion = reciter(text).complete("", temperature=0, length=length)
    assert (completion.text, completion.finish_reason) == (expected, "length")
    assert len(completion.bits) == len(expected)


def test_finish_reasons(model: Completer) -> None:
    assert model.complete("شو", length=0) == Completion("شو", "", "length", ())
    assert list(model.stream("شو", length=0)) == []
    shortest = model.complete("شو", length=1, temperature=0)
    assert (len(shortest.text), shortest.finish_reason) == (1, "length")
    assert reciter("abc").complete("", temperature=0, length=3).finish_reason == "length"
    assert reciter("abc").complete("", temperature=0, length=4).finish_reason == "end"
    long = model.complete("شو", length=2000, temperature=1.5, seed=3)
    assert long.finish_reason == "end" or len(long.text) == 2000


def test_greedy_is_the_plain_loop(model: Completer) -> None:
    prompt = model.normalise("شو حلو ")
    state = model.language_model.initial_state(1)
    log_probabilities = np.zeros((1, 0))
    for id in [BOS, *model.vocabulary.encode(prompt).tolist()]:
        log_probabilities, state = model.language_model.step(np.array([id]), state)
    text, bits = "", list[float]()
    while len(text) < 60:
        allowed = [EOS, *range(EOS + 1, model.vocabulary.size)]
        best = max(allowed, key=lambda id: (log_probabilities[0, id], -id))
        if best == EOS:
            break
        text += model.vocabulary.characters[best - EOS - 1]
        bits.append(-float(log_probabilities[0, best]) / math.log(2))
        log_probabilities, state = model.language_model.step(np.array([best]), state)
    completion = model.complete(prompt, length=60, temperature=0)
    same = assert_chosen_alike(model, prompt, completion.text, text)
    assert completion.bits[:same] == pytest.approx(bits[:same], abs=1e-4)


def test_the_bits_are_those_of_the_score(model: Completer) -> None:
    prompt = model.normalise("شو حلو ال")
    completion = model.complete(prompt, length=25, temperature=1, seed=4)
    raw = Completer(model.language_model, model.vocabulary, RAW)  # what is written need not be normalised
    assert completion.bits == pytest.approx(raw.score(completion.text, given=prompt).bits[:-1], abs=1e-3)


def test_special_ids_and_lone_surrogates_are_never_written() -> None:
    # Most of what this model expects is a surrogate or, at the end of its rope, UNK.
    model = counter(["\ud800\udc00a", "\udfff\ud800b", "\ud800"] * 5, order=2)
    for seed in range(50):
        assert set(model.complete("\ud800", temperature=1.5, seed=seed).text) <= {"a", "b"}


# ---- seeds and kept state


def test_a_seed_decides_and_temperature_zero_needs_none(model: Completer) -> None:
    drawn = {model.complete("شو حل", temperature=1, seed=seed).text for seed in range(10)}
    assert len(drawn) > 1
    assert len({model.complete("شو حل", temperature=0, seed=seed).text for seed in range(10)}) == 1


@given(st.lists(st.sampled_from(["", "ش", "شو", "شو ", "شو حلو", "شو حلا", "مرحبا", "\ud800"]), max_size=6), st.data())
@settings(max_examples=30)
def test_earlier_calls_change_nothing(model: Completer, prompts: list[str], data: st.DataObject) -> None:
    expected = fresh(model).complete("شو حلو", temperature=1, seed=9)
    busy = fresh(model)
    half_read = busy.stream("شو حلو", temperature=1, seed=1)
    for prompt in prompts:
        match data.draw(st.sampled_from(["complete", "stream", "samples", "score"])):
            case "complete":
                busy.complete(prompt, seed=1)
            case "stream":
                list(busy.stream(prompt, length=3))
            case "samples":
                busy.samples(prompt, 2, length=3)
            case _:
                busy.score(prompt)
        next(half_read, None)
    again = busy.complete("شو حلو", temperature=1, seed=9)
    assert (again.text, again.finish_reason) == (expected.text, expected.finish_reason)
    assert again.bits == pytest.approx(expected.bits, abs=1e-3)
    assert "".join(busy.stream("شو حلو", temperature=1, seed=9)) == expected.text


def test_two_streams_do_not_mix(model: Completer) -> None:
    training_text, other = model.stream("شو حلو", seed=1), model.stream("مرحبا ", seed=2)
    mixed = list(itertools.zip_longest(training_text, other, fillvalue=""))
    assert "".join(a for a, _ in mixed) == model.complete("شو حلو", seed=1).text
    assert "".join(b for _, b in mixed) == model.complete("مرحبا ", seed=2).text


def test_sessions_share_what_is_found_of_letters(model: Completer) -> None:
    reader = model.session().model.word_reader
    assert all(model.session().model.word_reader is reader for _ in range(2))


def test_a_long_prompt_is_read_in_parts_of_no_effect(model: Completer, texts: list[str]) -> None:
    prompt = " ".join(texts[:80])[:6000]
    grown = fresh(model)
    for end in (1, 100, 4096, 4097, 6000):
        grown.complete(prompt[:end], length=1)
    assert grown.complete(prompt, seed=3).text == fresh(model).complete(prompt, seed=3).text


def test_samples_stand_alone_and_begin_with_that_of_complete(model: Completer) -> None:
    together = model.samples("شو حل", 5, temperature=1, seed=2, length=20)
    assert len({sample.text for sample in together}) > 1
    alone = model.complete("شو حل", temperature=1, seed=2, length=20)
    assert (together[0].text, together[0].finish_reason) == (alone.text, alone.finish_reason)
    assert together[0].bits == pytest.approx(alone.bits, abs=1e-3)
    fewer = model.samples("شو حل", 3, temperature=1, seed=2, length=20)
    assert [sample.text for sample in fewer] == [sample.text for sample in together[:3]]


def test_samples_that_end_early_leave_the_others_alone() -> None:
    model = counter(["ab", "abcab", "cacbabc", "b"] * 3, order=3)
    together = model.samples("a", 12, temperature=1.5, seed=1)
    assert len({len(sample.text) for sample in together}) > 3
    for sample in together:
        assert sample.finish_reason == "end"
        assert sample.bits == pytest.approx(model.score(sample.text, given="a").bits[:-1], abs=1e-5)
    for n in range(1, 12):
        assert model.samples("a", n, temperature=1.5, seed=1) == together[:n]


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"length": -1}, {"stop": ("",)}, {"stop": "ab"}, {"seed": -1}]
)
def test_wrong_options_are_said_before_anything_is_written(model: Completer, wrong: Options) -> None:
    for call in (model.complete, model.stream):
        with pytest.raises(OptionError, match=next(iter(wrong))) as caught:
            call("شو", **wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="n is 0"):
        model.samples("شو", 0)


# ---- scoring


@given(PROMPTS | st.text(st.sampled_from("شو حلكم"), max_size=40), st.integers(0, 40))
def test_a_text_costs_the_sum_of_its_parts(model: Completer, text: str, at: int) -> None:
    normalised = model.normalise(text)
    a, b = normalised[:at], normalised[at:]
    assume(model.normalise(a) == a)
    given_a = model.score(b, given=a)
    assert given_a.text == b
    assert model.score(normalised).bits == pytest.approx([*model.score(a).bits[:-1], *given_a.bits], abs=1e-3)


@given(PROMPTS)
def test_unknown_characters_are_charged_in_full(model: Completer, text: str) -> None:
    score = model.score(text)
    for character, bits in zip(score.text, score.bits, strict=False):
        if character not in model.vocabulary.characters:
            assert bits > math.log2(CODE_POINTS - len(model.vocabulary.characters))
            assert bits < 100


def test_bits_per_character_leave_the_end_out(model: Completer) -> None:
    score = model.score("شو حلو")
    assert score.bits_per_character == pytest.approx(sum(score.bits[:6]) / 6)
    assert math.isnan(model.score("").bits_per_character)
    assert len(model.score("").bits) == 1


def even_network(size: int) -> Completer:
    """An untrained network over a, b, c, ..."""
    chosen = family("gru").learner()
    assert isinstance(chosen, NetworkLearner)
    torch.manual_seed(1)
    network = chosen.build(size, chosen.settings(**{"embedding": 4, "hidden": 5})).eval()
    for weights in network.parameters():
        weights.data.normal_()
    vocabulary = CharacterVocabulary("abcdefgh"[: size - 4])
    return Completer(load_model("gru", {}, export(network)), vocabulary, RAW)


@pytest.mark.parametrize("name", ["ngram", "gru"])
def test_all_texts_together_have_probability_one(name: str) -> None:
    model = counter(["ab", "aab", "", "bbbab"], order=3) if name == "ngram" else even_network(6)
    # "?" stands for any of the code points that are not covered, each of which costs the same.
    uncovered = CODE_POINTS - 2
    complete, longer, impossible = 0.0, 0.0, 0.0
    for length in range(5):
        for letters in itertools.product("ab?", repeat=length):
            bits = model.score("".join(letters)).bits
            unknown = letters.count("?")
            before = 2 ** -math.fsum(bits[:-1]) * uncovered**unknown
            complete += before * 2 ** -bits[-1]
            if length == 4:
                longer += before * (1 - 2 ** -bits[-1])
            # A network gives a little to ids that no text holds; a counter gives nothing.
            impossible += before * specials(model, "".join(letters)) if length < 4 else 0
    assert complete < 1
    assert complete + longer + impossible == pytest.approx(1, abs=1e-4)
    assert (impossible == 0) == (name == "ngram")


def specials(model: Completer, text: str) -> float:
    """Probability of PAD and BOS after a text."""
    ids = np.array([[BOS, *model.vocabulary.encode(text)]], np.int64)
    log_probabilities, _ = model.language_model.forward(ids, model.language_model.initial_state(1), last=1)
    return float(np.exp(log_probabilities[0, 0, [PAD, BOS]].astype(np.float64)).sum())


# ---- models that are none


class NotANumber(LanguageModel):
    """Gives NaN after every text, as a softmax does of scores that hold a NaN or an infinity."""

    vocabulary_size = 6

    def initial_state(self, batch: int) -> State:
        return (np.zeros((batch, 1), np.float32),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        return np.full((len(ids), ids.shape[1] if last is None else last, 6), np.nan, np.float32), state


def test_a_model_without_probabilities_is_refused() -> None:
    model = Completer(NotANumber(), CharacterVocabulary("ab"), RAW)
    for temperature in (0.0, 1.0):
        with pytest.raises(FolderError, match="no probabilities"):
            model.complete("ab", temperature=temperature)
    with pytest.raises(FolderError, match="no probabilities"):
        model.score("a?b")


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_fork_learns_by_itself(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    if engine == "reference":
        monkeypatch.setattr("kammil.models.blend.model.load_native", lambda: None)
    model, text = kammil.load(folder_of("blend")), "قطايف بالجوز والقشطة"
    never = model.score(text).bits_per_character
    model.learn("شي تاني")
    fork = model.fork()
    assert fork.score(text).bits_per_character == never  # it has learnt nothing
    fork.learn(text)
    knows = fork.score(text).bits_per_character
    assert knows is not None and never is not None and knows < never
    model.forget("شي تاني")
    assert model.score(text).bits_per_character == never
    del model  # the weights stay with the fork
    gc.collect()
    assert fork.score(text).bits_per_character == knows
    fork.forget(text)
    assert fork.score(text).bits_per_character == never


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_fork_may_know_what_was_learnt(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, engine: str, tmp_path: Path
) -> None:
    """Each goes on by itself from there, and a profile stays with the first."""
    if engine == "reference":
        monkeypatch.setattr("kammil.models.blend.model.load_native", lambda: None)
    first, second = "قطايف بالجوز والقشطة", "شي تاني"
    kammil.Profile(tmp_path / "me.jsonl").learn(first)
    model = kammil.load(folder_of("blend"), profile=tmp_path / "me.jsonl")
    before = (tmp_path / "me.jsonl").read_bytes()
    fork = model.fork(learnt=True)
    knows = model.score(first).bits
    assert fork.score(first).bits == knows and fork.user_allowed_words == model.user_allowed_words
    fork.learn(second)
    assert model.score(second).bits != fork.score(second).bits and model.score(first).bits == knows
    fork.forget(first)
    assert model.score(first).bits == knows != fork.score(first).bits
    assert (tmp_path / "me.jsonl").read_bytes() == before


def test_a_model_that_cannot_learn_is_not_forked(folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(OptionError, match="cannot learn"):
        kammil.load(folder_of("ngram")).fork()
