"""Figures against a slow count by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from tests.near_equals import assert_chosen_alike

from kammil.completion.completer import Completer
from kammil.evaluation import baselines
from kammil.evaluation.bootstrap import MIN_TEXTS, Interval
from kammil.evaluation.evaluate import evaluate
from kammil.evaluation.metrics import (
    TARGET,
    GreedyPredictions,
    Metrics,
    compute_metrics,
    continuations,
    first_word_right,
    greedy_predictions,
    half,
    next_word_counts,
    random_metrics,
    right_prefix,
    score_in_batches,
    spread,
    target_span,
)
from kammil.language_model import Artifacts, Ids, LanguageModel, LogProbabilities, State
from kammil.model_folder import ModelConfig, ModelFiles
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.text import RAW, words
from kammil.vocabulary import BOS, EOS, SPECIALS, UNK, CharacterVocabulary

ODD = ["ش", "!", "شو", "漢", "شو حلو漢", "  شو حلو الشعور لما تنجح بعد تعب طويل وتشوف ثمرة شغلك وصبرك قدام عينك  ", ""]


def stepped(model: Completer, text: str) -> list[list[float]]:
    """Log-probabilities after BOS and after each character, one character at a time."""
    state, rows = model.language_model.initial_state(1), list[list[float]]()
    for id in [BOS, *model.vocabulary.encode(text).tolist()]:
        row, state = model.language_model.step(np.array([id]), state)
        rows.append(row[0].tolist())
    return rows


def rank(row: list[float], id: int) -> int:
    """How many ids are more probable; an unknown character is never guessed."""
    return len(row) if id == UNK else sum(other > row[id] for other in row)


def greedy(model: Completer, prompt: str, length: int) -> list[str]:
    """The most probable characters one after the other, until the end."""
    written = list[str]()
    row, state = model.language_model.step(np.array([BOS]), model.language_model.initial_state(1))
    for id in model.vocabulary.encode(prompt).tolist():
        row, state = model.language_model.step(np.array([id]), state)
    for _ in range(length):
        best = max(range(EOS, row.shape[1]), key=lambda id: (row[0, id], -id))
        if best == EOS:
            break
        written.append(model.vocabulary.piece(best))
        row, state = model.language_model.step(np.array([best]), state)
    return written


def slow(model: Completer, texts: list[str]) -> dict[str, float]:
    """All figures, by their definitions."""
    totals = dict.fromkeys(
        ["target bits", "target", "bits", "characters", "end bits", "right", "hits", "1", "3", "5", "whole", "prefix"],
        0.0,
    )
    answers, truth = list[str](), list[str]()
    for text in texts:
        rows, ids = stepped(model, text), [*model.vocabulary.encode(text).tolist(), EOS]
        bits = model.score(text).bits
        half = len(text) // 2
        span = range(half, min(half + TARGET, len(text)))
        totals["bits"] += sum(bits[:-1])
        totals["end bits"] += bits[-1]
        totals["characters"] += len(text)
        totals["right"] += sum(rank(row, id) == 0 for row, id in zip(rows, ids, strict=True))
        totals["target"] += len(span)
        totals["target bits"] += sum(bits[i] for i in span)
        for k in (1, 3, 5):
            totals[str(k)] += sum(rank(rows[i], ids[i]) < k for i in span)
        answer = greedy(model, text[:half], TARGET)
        written = answer[: len(span)]
        totals["hits"] += sum(a == b for a, b in zip(written, text[half:], strict=False))
        right = next((k for k, i in enumerate(span) if "".join(written)[k : k + 1] != text[i]), len(span))
        totals["prefix"] += right
        totals["whole"] += right == len(span)
        answers.append("".join(answer))
        truth.append(text[half : span.stop])
    bleu = BLEU(tokenize="intl").corpus_score(answers, [truth])
    ended = (totals["bits"] + totals["end bits"]) / (totals["characters"] + len(texts))
    return {
        "target_bits_per_character": totals["target bits"] / totals["target"],
        "target_top1": totals["1"] / totals["target"],
        "target_top3": totals["3"] / totals["target"],
        "target_top5": totals["5"] / totals["target"],
        "bits_per_character": totals["bits"] / totals["characters"],
        "bits_per_character_with_end": ended,
        "perplexity": 2**ended,
        "top1": totals["right"] / (totals["characters"] + len(texts)),
        "free_running": totals["hits"] / totals["target"],
        "whole_target": totals["whole"] / len(texts),
        "right_prefix": totals["prefix"] / len(texts),
        "chrf": CHRF().corpus_score(answers, [truth]).score,
        "bleu": bleu.score if bleu.counts[3] else 0.0,
    }


def check(metrics: Metrics, expected: dict[str, float]) -> None:
    for name, value in expected.items():
        interval = getattr(metrics, name)
        assert isinstance(interval, Interval)
        assert interval.value == pytest.approx(value, rel=1e-4, abs=1e-9), name
        assert interval.low is not None and interval.high is not None
        assert interval.low <= interval.value * (1 + 1e-9), name
        assert interval.value <= interval.high * (1 + 1e-9), name


def test_all_figures_are_those_of_the_definitions(model: Completer, texts: list[str]) -> None:
    chosen = [*texts[240:250], *ODD]
    evaluation = evaluate(model, chosen)
    normalised = [text for text in (model.normalise(text).rstrip() for text in chosen) if text]
    check(evaluation.model, slow(model, normalised))
    assert evaluation.texts == len(normalised) == 16
    assert evaluation.characters == sum(map(len, normalised))
    assert evaluation.target_characters == sum(min(TARGET, len(text) - len(text) // 2) for text in normalised)
    known = set(model.vocabulary.characters)
    assert evaluation.unknown_characters == sum(c not in known for text in normalised for c in text) >= 2


def test_a_figure_is_a_ratio_of_sums(model: Completer) -> None:
    short, long = "شو", "شو حلو الشعور لما تنجح بعد تعب طويل"
    evaluation = evaluate(model, [short, long]).model
    bits = [sum(model.score(text).bits[:-1]) for text in (short, long)]
    assert evaluation.bits_per_character is not None
    assert evaluation.bits_per_character.value == pytest.approx(sum(bits) / (len(short) + len(long)), rel=1e-5)
    assert evaluation.bits_per_character.value != pytest.approx(
        (bits[0] / len(short) + bits[1] / len(long)) / 2, rel=1e-4
    )


def test_one_text_leaves_no_interval(model: Completer) -> None:
    evaluation = evaluate(model, ["شو حلو"]).model
    for name in slow(model, ["شو حلو"]):
        interval = getattr(evaluation, name)
        assert interval.low is None and interval.high is None


def test_more_guesses_hit_more(model: Completer, texts: list[str]) -> None:
    evaluation = evaluate(model, texts[240:260])
    for metrics in (evaluation.model, evaluation.baselines["unigram"], evaluation.baselines["3-gram"]):
        assert metrics.target_top1 is not None
        assert metrics.target_top3 is not None
        assert metrics.target_top5 is not None
        assert metrics.target_top1.value <= metrics.target_top3.value <= metrics.target_top5.value


def test_batches_change_no_trace(model: Completer, texts: list[str]) -> None:
    chosen = [text for text in (model.normalise(text).rstrip() for text in texts[:150]) if text]
    batched = score_in_batches(model.language_model, model.vocabulary, chosen)
    for text, trace in zip(chosen[::10], batched[::10], strict=True):
        assert trace.bits == pytest.approx(model.score(text).bits, abs=1e-3)


# ---- models made by hand


def shipped(
    train: list[str], build: Callable[[CharacterVocabulary, Artifacts], LanguageModel] | None = None
) -> Completer:
    """A raw counter of these texts with its baselines, as it would come from a folder."""
    vocabulary = CharacterVocabulary.from_texts(train)
    encoded = [vocabulary.encode(text) for text in train]
    chosen = ngram_model.NGramSettings(order=2)
    _, artifacts = ngram_counting.fit(encoded, (), vocabulary.size, chosen)
    files = ModelFiles(
        ModelConfig(format=1, family="ngram"),
        vocabulary,
        artifacts,
        seen={"bits": np.zeros(8, np.uint8)},
        baselines=baselines.count(encoded, vocabulary.size),
        metrics=dict[str, Any](),
        card="",
    )
    language_model = build(vocabulary, artifacts) if build else ngram_model.NGramModel(chosen, artifacts.weights)
    return Completer(language_model, vocabulary, RAW, files)


def values(metrics: Metrics, *names: str) -> list[float]:
    return [getattr(metrics, name).value for name in names]


def test_the_most_frequent_character() -> None:
    evaluation = evaluate(shipped(["aab", "ab b"]), ["aaab", "b"], target=2).baselines["most frequent"]
    # a and b are equally frequent: the first is answered. Targets: "ab", "b".
    assert values(evaluation, "target_top1", "free_running", "top1") == pytest.approx([1 / 3, 1 / 3, 3 / 7])
    assert evaluation.bits_per_character is None


def test_the_most_frequent_character_is_a_character() -> None:
    # The end of text is more frequent than any character, and has no letters to count.
    evaluation = evaluate(shipped(["a", "b", "c", "b"]), ["b", "a", "b"]).baselines["most frequent"]
    assert values(evaluation, "target_top1", "top1") == pytest.approx([2 / 3, 2 / 6])


class Reciter(LanguageModel):
    """Says some ids by position (a, b, c, ... unless told), whatever it reads: all figures are known."""

    def __init__(self, vocabulary: CharacterVocabulary, says: list[int] | None = None) -> None:
        self.vocabulary_size = vocabulary.size
        self._says = np.array(says or range(SPECIALS, vocabulary.size))

    def initial_state(self, batch: int) -> State:
        return (np.zeros((batch, 1), np.int64),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        position = state[0].astype(np.int64) + np.arange(ids.shape[1])  # (B, T)
        favourites = self._says[np.minimum(position, len(self._says) - 1)]
        p = np.full((*ids.shape, self.vocabulary_size), 0.5 / self.vocabulary_size, np.float32)
        p[np.arange(len(ids))[:, None], np.arange(ids.shape[1]), favourites] += 0.5
        return np.log(p)[:, -(last or ids.shape[1]) :], (state[0].astype(np.int64) + ids.shape[1],)


def test_figures_that_can_be_counted_on_fingers() -> None:
    model = shipped(["abcdefgh"], lambda vocabulary, _: Reciter(vocabulary))
    right, wrong = math.log2(1 / (0.5 + 0.5 / 12)), math.log2(12 / 0.5)
    evaluation = evaluate(model, ["abcx", "abdd"], target=2)
    assert evaluate(model, ["abcx ", "abdd  ", " "], target=2) == evaluation  # as files are read
    metrics = evaluation.model
    # Right are a, b, c of the first text and a, b, d of the second; both ends are not.
    assert values(metrics, "top1", "target_top1", "free_running") == pytest.approx([6 / 10, 2 / 4, 2 / 4])
    # "cd" is written for "cx" and for "dd": one letter and none before the first wrong one.
    assert values(metrics, "right_prefix", "whole_target", "first_word") == pytest.approx([1 / 2, 0, 0])
    assert [
        (p.texts, p.teacher_forced.value, p.free_running.value, p.difference.value) for p in evaluation.by_position
    ] == [(2, 1 / 2, 1 / 2, 0), (2, 1 / 2, 1 / 2, 0)]
    unknown = wrong + model.vocabulary.unknown_bits
    assert values(metrics, "bits_per_character") == pytest.approx([(6 * right + wrong + unknown) / 8], rel=1e-5)
    assert values(metrics, "target_bits_per_character") == pytest.approx([(2 * right + wrong + unknown) / 4], rel=1e-5)
    assert (evaluation.unknown_characters, evaluation.target_characters, evaluation.characters, evaluation.texts) == (
        1,
        4,
        8,
        2,
    )


def test_nothing_is_right_after_the_end() -> None:
    vocabulary = CharacterVocabulary("abc")
    a, b, c = vocabulary.encode("abc").tolist()
    # After the first half it says a, then that the text has ended, and then what would be right.
    evaluation = compute_metrics(Reciter(vocabulary, [a, b, c, a, EOS, c, EOS]), vocabulary, ["abcabc"], 30)
    assert values(evaluation, "free_running", "target_top1", "top1") == pytest.approx([1 / 3, 2 / 3, 6 / 7])


def test_a_random_guess_is_right_once_in_v() -> None:
    vocabulary, texts = CharacterVocabulary("abc"), ["abca", "a?b", "c"]  # V = 7; targets "ca", "?b" and "c"
    metrics = random_metrics(vocabulary, texts, 2)
    names = ("target_top1", "target_top3", "target_top5", "free_running", "top1", "whole_target", "right_prefix")
    whole, prefix = (7**-2 + 7**-1) / 3, (7**-1 + 7**-2 + 7**-1) / 3
    expected = [4 / 5 / 7, 12 / 5 / 7, 20 / 5 / 7, 4 / 5 / 7, 10 / 11 / 7, whole, prefix]
    assert values(metrics, *names) == pytest.approx(expected)
    bits = [math.log2(7) + vocabulary.unknown_bits / n for n in (5, 8, 11)]
    names = ("target_bits_per_character", "bits_per_character", "bits_per_character_with_end")
    assert values(metrics, *names) == pytest.approx(bits)
    assert values(metrics, "perplexity") == pytest.approx([2 ** bits[-1]])


def test_an_expectation_is_what_many_draws_come_to() -> None:
    vocabulary, generator = CharacterVocabulary("ab"), np.random.default_rng(5)
    true = vocabulary.encode("ab")
    drawn = generator.integers(0, vocabulary.size, (200_000, 2)) == true
    metrics = random_metrics(vocabulary, ["abab"], 2)
    prefix, whole, share = np.cumprod(drawn, 1).sum(1).mean(), drawn.all(1).mean(), drawn.mean()
    found = values(metrics, "right_prefix", "whole_target", "free_running")
    assert found == pytest.approx([prefix, whole, share], abs=4e-3)


def test_an_unknown_character_is_never_guessed() -> None:
    vocabulary = CharacterVocabulary("abc")
    a = int(vocabulary.encode("a")[0])
    evaluation = compute_metrics(Reciter(vocabulary, [a, UNK, UNK, UNK]), vocabulary, ["a???"], 30)
    names = ("target_top1", "target_top3", "target_top5", "free_running", "top1")
    assert values(evaluation, *names) == pytest.approx([0, 0, 0, 0, 1 / 5])


def test_a_ruined_model_still_has_figures() -> None:
    class Ruined(Reciter):
        def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
            rows, state = super().forward(ids, state, last=last)
            return rows * np.float32(1e6), state

    vocabulary = CharacterVocabulary("ab")
    metrics = compute_metrics(Ruined(vocabulary), vocabulary, ["ba"], 30)
    json.dumps(metrics.perplexity.value if metrics.perplexity else None, allow_nan=False)
    bounds = compute_metrics(Ruined(vocabulary), vocabulary, ["ba"] * MIN_TEXTS, 30).perplexity
    assert bounds is not None and (bounds.low, bounds.value, bounds.high) == (2.0**1023,) * 3


def test_a_model_from_no_folder_has_no_baselines() -> None:
    model = shipped(["aab"])
    alone = evaluate(Completer(model.language_model, model.vocabulary, RAW), ["ab"])
    assert alone.baselines == {}
    assert alone.seen_texts == 0
    assert alone.model == evaluate(model, ["ab"]).model


@given(texts=st.lists(st.text("شو ab", max_size=30), min_size=1, max_size=50), number=st.integers(0, 60))
def test_texts_are_spread_over_all_in_their_order(texts: list[str], number: int) -> None:
    numbered = [f"{i}" for i in range(len(texts))]
    found = [int(text) for text in spread(numbered, number)]
    assert len(found) == min(number, len(texts)) == len(set(found))
    assert found == sorted(found)
    if len(found) > 1:
        gaps = [after - before for before, after in zip([*found], [*found[1:], len(texts)], strict=True)]
        assert max(gaps) - min(gaps) <= 1


IDS = st.lists(st.integers(4, 6), max_size=6)


@given(IDS, IDS)
def test_a_right_prefix_ends_at_the_first_wrong_one(written: list[int], true: list[int]) -> None:
    n = right_prefix(np.array(written, np.int64), np.array(true, np.int64))
    assert written[:n] == true[:n] and len(written[:n]) == len(true[:n]) == n
    assert n == min(len(written), len(true)) or written[n] != true[n]


@pytest.mark.parametrize(
    ("text", "begin", "stop", "completion", "right"),
    [
        ("شو حلو اليوم", 3, 12, "حلو كتير", True),
        ("شو حلو اليوم", 3, 12, "حلوة كتير", False),  # goes on where the word should end
        ("شو حلو اليوم", 3, 12, "حلا كتير", False),
        ("شو حلو اليوم", 3, 12, "حلو", True),  # a text that ends ends its word
        ("شو حلو اليوم", 3, 12, "حل", False),
        ("شو حلو اليوم", 3, 12, "", False),
        ("شو حلو اليوم", 4, 12, "لو", True),  # the rest of the word that was begun
        ("شو حلو اليوم", 4, 12, "ى", False),
        ("شو حلو اليوم", 2, 12, " حلو!", True),  # what stands before the word belongs to it
        ("شو حلو اليوم", 2, 12, "ا حلو", False),  # the word before would be another one
        ("شو حلو اليوم", 6, 12, " اليوم", True),
        ("شو حلو اليوم", 3, 5, "حل", True),  # the target ends inside the word
        ("شو حلو اليوم", 3, 5, "حا", False),
        ("شو !!! بس", 2, 6, " !!!", None),  # no word in the target
        ("شو!!!", 2, 5, "!!!", None),
    ],
)
def test_the_first_word(text: str, begin: int, stop: int, completion: str, right: bool | None) -> None:
    assert first_word_right(text, slice(begin, stop), completion) is right


@given(st.text("شو a_é\u0301\u200c!", min_size=1, max_size=14), st.data())
def test_the_truth_is_right(text: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(begin + 1, len(text)))
    assert first_word_right(text, slice(begin, stop), text[begin:stop]) in (True, None)


def chosen(model: Completer, texts: list[str]) -> list[str]:
    """Held-out texts and training texts, which have more words that are guessed, and odd ones."""
    sample = [*texts[:2], *texts[250:252], "ش", "شو حلو 漢", "شو   في", "شو في "]
    return [model.rules.normalise(text) for text in sample]


def ghost(model: Completer, prompt: str) -> str:
    """What `complete` writes after a prompt, up to the end of the next word; nothing if that stays open."""
    written = model.complete(prompt, temperature=0, length=60)
    return next_word_of(prompt, written.text, ended=written.finish_reason == "end")


def next_word_of(before: str, after: str, *, ended: bool = True) -> str:
    """The beginning of `after` up to the end of the first word that ends in it."""
    end = next((b for _, b in words(before + after) if b > len(before)), 0) - len(before)
    return after[: max(0, end)] if ended or end < len(after) else ""


def test_next_words_are_those_that_complete_writes(model: Completer, texts: list[str]) -> None:
    sample = chosen(model, texts)
    counts = next_word_counts(
        greedy_predictions(model.language_model, model.vocabulary, sample), sample, [*map(target_span, sample)]
    )
    for (right, num_words), text in zip(counts.tolist(), sample, strict=True):
        begins = [a for a, _ in words(text) if a > 0 and half(text) <= a < half(text) + 30]
        assert num_words == len(begins)
        assert right == sum(ghost(model, text[:a]) == next_word_of(text[:a], text[a:]) for a in begins)


def test_continuations_are_what_complete_writes(model: Completer, texts: list[str]) -> None:
    prompts = [text[: half(text)] for text in texts[240:260]]
    written = continuations(model.language_model, model.vocabulary, [*prompts, ""], 30)
    for prompt, ids in zip([*prompts, ""], written, strict=True):
        assert_chosen_alike(
            model, prompt, model.vocabulary.decode(ids), model.complete(prompt, temperature=0, length=30).text
        )


def test_batches_change_no_guess(model: Completer, texts: list[str]) -> None:
    batched = greedy_predictions(model.language_model, model.vocabulary, texts[:66])
    for text, prediction in zip(texts[:66:11], batched[::11], strict=True):
        (alone,) = greedy_predictions(model.language_model, model.vocabulary, [text])
        assert prediction.right.tolist() == alone.right.tolist()
        assert prediction.ends.tolist() == alone.ends.tolist()


def test_a_word_must_also_end() -> None:
    text = "ab cd"
    right, ends = np.ones(5, np.bool_), np.array([c == " " for c in text] + [True])
    for prediction, expected in (
        (GreedyPredictions(right, ends), 1),
        (GreedyPredictions(right, np.zeros(6, np.bool_)), 0),
    ):
        assert next_word_counts([prediction], [text], [slice(2, 5)]).tolist() == [[expected, 1]]
    assert next_word_counts([prediction], [text], [slice(0, 3)]).tolist() == [[0, 0]]  # the first word follows nothing


def test_choices_are_those_after_the_true_characters() -> None:
    vocabulary = CharacterVocabulary("abc ")
    chosen = ngram_model.NGramSettings(order=3)
    _, artifacts = ngram_counting.fit([vocabulary.encode("abc abc abc")], (), vocabulary.size, chosen)
    counter = ngram_model.NGramModel(chosen, artifacts.weights)
    (prediction,) = greedy_predictions(counter, vocabulary, ["abca"])
    # It would write a, b, c, a space, and then b: the a in place of the space is wrong, and the b goes on.
    assert prediction.right.tolist() == [True, True, True, False]
    assert prediction.ends.tolist() == [False, False, False, True, False]


def test_a_word_is_right_if_every_choice_in_it_is_and_ends_it() -> None:
    text, target, ended = "a bb cc", [slice(0, 7)], np.ones(8, np.bool_)
    for wrong, expected in ((0, 2), (1, 2), (2, 1), (3, 1), (4, 2), (5, 1), (6, 1)):
        prediction = GreedyPredictions(np.arange(7) != wrong, ended)
        assert next_word_counts([prediction], [text], target).tolist() == [[expected, 2]]
    for goes_on, expected in ((4, 1), (7, 1), (3, 2)):
        prediction = GreedyPredictions(np.ones(7, np.bool_), np.arange(8) != goes_on)
        assert next_word_counts([prediction], [text], target).tolist() == [[expected, 2]]
