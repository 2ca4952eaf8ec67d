"""Greedy choices and next words against what the model writes."""

from __future__ import annotations

import numpy as np

from kammil.completion.completer import Completer
from kammil.evaluation.greedy import (
    GreedyPredictions,
    completed_from,
    continuations,
    greedy_predictions,
    next_word_counts,
)
from kammil.evaluation.metrics import half, target_span
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.text import words
from kammil.vocabulary import CharacterVocabulary


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
        assert model.vocabulary.decode(ids) == model.complete(prompt, temperature=0, length=30).text


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


def test_a_word_is_finished_from_behind_its_last_wrong_choice() -> None:
    right = np.array([False, True, True, False, True, True])
    prediction = GreedyPredictions(right, np.ones(7, np.bool_))
    assert [completed_from(prediction, *word) for word in ((0, 3), (1, 3), (2, 6), (2, 4))] == [1, 1, 4, 4]
    assert completed_from(GreedyPredictions(right, np.zeros(7, np.bool_)), 1, 3) == 3  # the word would go on
