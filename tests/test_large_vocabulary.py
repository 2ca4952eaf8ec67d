"""A small folder may name hundreds of thousands of characters: what is asked of its model takes no more memory."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from kammil import language_model
from kammil.completion.completer import Completer
from kammil.completion.explain.attribution import explain
from kammil.completion.scoring import score_texts
from kammil.evaluation.greedy import continuations, greedy_predictions
from kammil.evaluation.metrics import score_in_batches
from kammil.evaluation.suggestion_hits import suggestion_hits
from kammil.language_model import ExpertAttribution, Ids, LanguageModel, LogProbabilities, State
from kammil.models.ngram.counting import fit
from kammil.models.ngram.model import NGramModel, NGramSettings
from kammil.server.scheduler import Generation, Scheduler, ScoreCall, SuggestCall
from kammil.text import RAW
from kammil.vocabulary import BOS, CharacterVocabulary

TEXTS = ["شو رأيك نطلع بكرا عالبحر؟", "شو رأيك نطلع بكرا عالجبل", "كيفك اليوم يا صديقي", "hello, how are you today"] * 5
VOCABULARY = CharacterVocabulary.from_texts(TEXTS)
ENCODED = [VOCABULARY.encode(text) for text in TEXTS]
BOUND = 20 * VOCABULARY.size


class Watched(LanguageModel):
    """Another runner; how many numbers it said at once at most."""

    def __init__(self, runner: LanguageModel) -> None:
        self.runner, self.most = runner, 0

    @property
    def vocabulary_size(self) -> int:
        return self.runner.vocabulary_size

    def initial_state(self, batch: int) -> State:
        return self.runner.initial_state(batch)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        said, state = self.runner.forward(ids, state, last=last)
        self.most = max(self.most, said.size)
        return said, state


class Experts(Watched, ExpertAttribution):
    """What it says comes from ten experts, nine of which say nothing."""

    @property
    def experts(self) -> tuple[str, ...]:
        return tuple(f"counts o{n}" for n in range(1, 11))

    def expert_scores(self, ids: Ids, state: State) -> tuple[LogProbabilities, State]:
        said, state = self.runner.forward(ids, state)
        parts = np.zeros((*ids.shape, 10, VOCABULARY.size), np.float32)
        parts[:, :, 0] = np.maximum(said, -99)
        self.most = max(self.most, parts.size)
        return parts, state


def counter() -> NGramModel:
    settings, artifacts = fit(ENCODED, (), VOCABULARY.size, NGramSettings(order=3))
    return NGramModel(settings, artifacts.weights)


def served(model: Completer, make: Callable[[Completer], list[ScoreCall | SuggestCall | Generation]]) -> None:
    async def main() -> None:
        scheduler = Scheduler(model)
        try:
            await asyncio.wait_for(asyncio.gather(*(scheduler.run(call) for call in make(model))), 60)  # pyright: ignore[reportArgumentType]
        finally:
            scheduler.close()
            await asyncio.to_thread(scheduler.join, 30)

    asyncio.run(main())


def ids_of(text: str) -> Ids:
    return np.concatenate([[BOS], VOCABULARY.encode(text)])


LATER = time.monotonic() + 3600
ASKED: dict[str, Callable[[Completer], object]] = {
    "score": lambda model: model.score(" ".join(TEXTS)),
    "follow": lambda model: score_in_batches(model.language_model, VOCABULARY, TEXTS),
    "explain": lambda model: explain(model, " ".join(TEXTS)),
    "guesses": lambda model: greedy_predictions(model.language_model, VOCABULARY, TEXTS),
    "continuations": lambda model: continuations(model.language_model, VOCABULARY, ["شو "] * 50, 4),
    "offers": lambda model: suggestion_hits(model.language_model, VOCABULARY, TEXTS, 3, 0.0),
    "suggest": lambda model: model.suggest("شو", k=50, threshold=0.0),
    "samples": lambda model: model.samples("شو", 50, length=4),
    "served scores": lambda model: served(
        model, lambda model: [ScoreCall(LATER, model, ids_of(" ".join(TEXTS)), 2) for _ in range(4)]
    ),
    "served suggestions": lambda model: served(
        model,
        lambda model: [
            SuggestCall(LATER, model.state_cache, text[:i], ids_of(text[:i]), 3, 0.0)
            for text in TEXTS[:4]
            for i in range(8)
        ],
    ),
    "served texts": lambda model: served(
        model,
        lambda model: [
            Generation(LATER, model, ids_of(text), model.constraints({"length": 4, "seed": i}, 1), 1)
            for i, text in enumerate([*TEXTS, *TEXTS])
        ],
    ),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("kind", [Watched, Experts])
def test_what_is_said_at_once_is_bounded(asked: str, kind: type[Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    """As if so few numbers were many."""
    monkeypatch.setattr(language_model, "MAX_SCORES", BOUND)
    runner = kind(counter())
    ASKED[asked](Completer(runner, VOCABULARY, RAW))
    assert VOCABULARY.size <= runner.most <= BOUND


@pytest.mark.parametrize("asked", ["follow", "offers", "continuations", "samples", "served texts"])
def test_states_that_are_carried_at_once_are_bounded(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state may be larger than what is said: rows are fewer then."""
    runner = Watched(counter())
    monkeypatch.setattr(language_model, "MAX_STATE_NUMBERS", 24)
    monkeypatch.setattr(Watched, "state_size", lambda self, length: 2)  # pyright: ignore[reportUnknownLambdaType]
    widest = 0
    real = Watched.forward

    def forward(self: Watched, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        nonlocal widest
        widest = max(widest, len(ids))
        return real(self, ids, state, last=last)

    monkeypatch.setattr(Watched, "forward", forward)
    ASKED[asked](Completer(runner, VOCABULARY, RAW))
    assert 1 < widest <= 12


def test_a_long_text_takes_no_more_memory_than_a_short_one() -> None:
    """Of a counter whose folder takes kilobytes and names 300,000 characters."""
    size = 300_000
    settings, artifacts = fit(ENCODED, (), size, NGramSettings(order=3))
    runner = NGramModel(settings, artifacts.weights)
    text = " ".join(TEXTS)[:200]
    tracemalloc.start()
    try:
        (trace,) = score_texts(runner, VOCABULARY, [text])
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
