"""A small folder may have hundreds of thousands of characters; no operation of its model takes more memory for that."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import pytest

from kammil import language_model
from kammil.completion.completer import Completer
from kammil.completion.explain import explain
from kammil.completion.scoring import score_texts
from kammil.evaluation.metrics import continuations, greedy_predictions, score_in_batches
from kammil.evaluation.suggestion_hits import suggestion_hits
from kammil.language_model import ExpertAttribution, Ids, LanguageModel, LogProbabilities, State
from kammil.models.ngram.counting import fit
from kammil.models.ngram.model import NGramModel, NGramSettings
from kammil.server.api.completions import CompletionWork
from kammil.server.api.schemas import CompletionRequest, ScoreRequest, SuggestRequest
from kammil.server.api.text_routes import score_work, suggestion_work
from kammil.server.metrics import Metrics
from kammil.server.model_pool import LoadedModel
from kammil.server.settings import ServerSettings
from kammil.server.workers import Workers
from kammil.text import RAW
from kammil.vocabulary import CharacterVocabulary

TEXTS = ["شو رأيك نطلع بكرا عالبحر؟", "شو رأيك نطلع بكرا عالجبل", "كيفك اليوم يا صديقي", "hello, how are you today"] * 5
VOCABULARY = CharacterVocabulary.from_texts(TEXTS)
ENCODED = [VOCABULARY.encode(text) for text in TEXTS]
BOUND = 20 * VOCABULARY.size


class Watched(LanguageModel):
    """A model that delegates to another one and records the most scores of one call."""

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.max_scores, self.vocabulary_size = model, 0, model.vocabulary_size

    def initial_state(self, batch: int) -> State:
        return self.model.initial_state(batch)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        log_probabilities, state = self.model.forward(ids, state, last=last)
        self.max_scores = max(self.max_scores, log_probabilities.size)
        return log_probabilities, state


class Experts(Watched, ExpertAttribution):
    """A model whose scores are a sum over ten experts, nine of which are 0."""

    @property
    def experts(self) -> tuple[str, ...]:
        return tuple(f"counts o{n}" for n in range(1, 11))

    def expert_scores(self, ids: Ids, state: State) -> tuple[LogProbabilities, State]:
        log_probabilities, state = self.model.forward(ids, state)
        parts = np.zeros((*ids.shape, 10, VOCABULARY.size), np.float32)
        parts[:, :, 0] = np.maximum(log_probabilities, -99)
        self.max_scores = max(self.max_scores, parts.size)
        return parts, state


def counter() -> NGramModel:
    settings, artifacts = fit(ENCODED, (), VOCABULARY.size, NGramSettings(order=3))
    return NGramModel(settings, artifacts.weights)


def served(model: Completer, work: Callable[[LoadedModel], Iterator[object]]) -> None:
    workers = Workers(1, Metrics(()))
    for _ in work(LoadedModel("counter", model, ServerSettings.of(), workers, "")):
        pass
    workers.close()


OPERATIONS: dict[str, Callable[[Completer], object]] = {
    "score": lambda model: model.score(" ".join(TEXTS)),
    "follow": lambda model: score_in_batches(model.language_model, VOCABULARY, TEXTS),
    "explain": lambda model: explain(model, " ".join(TEXTS)),
    "guesses": lambda model: greedy_predictions(model.language_model, VOCABULARY, TEXTS),
    "continuations": lambda model: continuations(model.language_model, VOCABULARY, ["شو "] * 50, 4),
    "offers": lambda model: suggestion_hits(model.language_model, VOCABULARY, TEXTS, 3, 0.0),
    "suggest": lambda model: model.suggest("شو", k=32, threshold=0.0),
    "samples": lambda model: model.samples("شو", 50, length=4),
    "served scores": lambda model: served(
        model, lambda loaded: score_work(ScoreRequest(text=" ".join(TEXTS), top=2), loaded, loaded.completer)
    ),
    "served suggestions": lambda model: served(
        model,
        lambda loaded: chain.from_iterable(
            suggestion_work(SuggestRequest.model_validate({"prefix": text[:i], "threshold": 0}), loaded, model)
            for text in TEXTS[:4]
            for i in range(8)
        ),
    ),
    "served texts": lambda model: served(
        model,
        lambda loaded: CompletionWork(
            CompletionRequest(prompt=TEXTS[:2], n=16, max_tokens=4, logprobs=2, echo=True, seed=1), loaded
        ).run(),
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", [Watched, Experts])
def test_what_is_said_at_once_is_bounded(operation: str, kind: type[Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation keeps to a low `MAX_SCORES`."""
    monkeypatch.setattr(language_model, "MAX_SCORES", BOUND)
    model = kind(counter())
    OPERATIONS[operation](Completer(model, VOCABULARY, RAW))
    assert VOCABULARY.size <= model.max_scores <= BOUND


@pytest.mark.parametrize("operation", ["follow", "offers", "continuations", "samples", "served texts"])
def test_states_that_are_carried_at_once_are_bounded(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state may be larger than the scores: then fewer rows are stepped at once."""
    model = Watched(counter())
    monkeypatch.setattr(language_model, "MAX_STATE_NUMBERS", 24)
    monkeypatch.setattr(Watched, "state_size", lambda self, length: 2)  # pyright: ignore[reportUnknownLambdaType]
    widest = 0
    real = Watched.forward

    def forward(self: Watched, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        nonlocal widest
        widest = max(widest, len(ids))
        return real(self, ids, state, last=last)

    monkeypatch.setattr(Watched, "forward", forward)
    OPERATIONS[operation](Completer(model, VOCABULARY, RAW))
    assert 1 < widest <= 12


def test_a_long_text_takes_no_more_memory_than_a_short_one() -> None:
    """A counter whose folder takes kilobytes and has 300,000 characters."""
    size = 300_000
    settings, artifacts = fit(ENCODED, (), size, NGramSettings(order=3))
    model = NGramModel(settings, artifacts.weights)
    text = " ".join(TEXTS)[:200]
    tracemalloc.start()
    try:
        (trace,) = score_texts(model, VOCABULARY, [text])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(trace.bits) == 201 and np.isfinite(trace.bits).all()
    assert peak < 150e6  # all at once it would be 1.2 GB


def test_a_bound_changes_nothing_but_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score_in_batches(counter(), VOCABULARY, TEXTS)
    monkeypatch.setattr(language_model, "MAX_SCORES", BOUND)
    for alone, bounded in zip(whole, score_in_batches(counter(), VOCABULARY, TEXTS), strict=True):
        assert (alone.bits == bounded.bits).all() and (alone.ranks == bounded.ranks).all()
