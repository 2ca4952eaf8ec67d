"""Whoever else is in the batch, what is written is what `Completer` writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.scheduler.conftest import ids_of, run, writing

import kammil
from kammil.completion.completer import Completer
from kammil.decoding.options import Options
from kammil.errors import FolderError
from kammil.language_model import Ids, LogProbabilities, State
from kammil.server.scheduler import Engine, Learning, Piece, Scoring, Suggesting, Written
from kammil.vocabulary import EOS

PROMPTS = ["شو حلو", "", "مرحبا كيفك اليوم يا", "والله ", "hello", "الحمدلله على كل شي بس", "?!"]
OPTIONS: list[Options] = [
    {"temperature": 0.7},
    {"temperature": 0.0},
    {"temperature": 1.0, "top_p": 0.9},
    {"temperature": 1.3, "stop": (" ", "ا")},
    {"presence_penalty": 1.0, "top_k": 5},
    {"min_p": 0.05, "typical_p": 0.8},
    {"best_of": 3},
    {"beams": 3},
    {"min_length": 4, "forbid": ("ا",)},
    {"length": 0},
]


@pytest.fixture(scope="module")
def alone(trained: Path) -> Completer:
    """The same model for nobody else."""
    return kammil.load(trained)


@pytest.mark.parametrize("rows", [64, 3, 1])
def test_everybody_gets_the_text_that_they_would_get_alone(model: Completer, alone: Completer, rows: int) -> None:
    calls = [(PROMPTS[i % 7], {"length": 9, "seed": i, **OPTIONS[i % 10]}, 1 + i % 3) for i in range(20)]

    async def work(engine: Engine) -> list[list[Written]]:
        async def one(i: int, prompt: str, options: Options, n: int) -> list[Written]:
            await asyncio.sleep(0.002 * (i % 5))  # some come while others are being written
            return await engine.ask(writing(model, prompt, options, n))

        return await asyncio.gather(*(one(i, *call) for i, call in enumerate(calls)))  # pyright: ignore[reportArgumentType]

    for (prompt, options, n), written in zip(calls, run(model, work, rows=rows), strict=True):
        wanted = alone.samples(prompt, n, **options)  # pyright: ignore[reportArgumentType]
        assert [one.text for one in written] == [one.text for one in wanted]
        assert [one.finish_reason for one in written] == [one.finish_reason for one in wanted]


@given(
    st.lists(
        st.tuples(st.sampled_from(PROMPTS), st.integers(0, 2**64 - 1), st.integers(1, 12), st.floats(0, 2)),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=15)
def test_any_company_will_do(bundled: Completer, calls: list[tuple[str, int, int, float]]) -> None:
    async def work(engine: Engine) -> list[list[Written]]:
        return await asyncio.gather(
            *(
                engine.ask(writing(bundled, prompt, {"seed": seed, "length": length, "temperature": warmth}))
                for prompt, seed, length, warmth in calls
            )
        )

    made = [one[0].text for one in run(bundled, work)]
    assert made == [
        bundled.complete(prompt, seed=seed, length=length, temperature=warmth).text
        for prompt, seed, length, warmth in calls
    ]


def test_pieces_make_the_text_and_are_whole_graphemes(bundled: Completer) -> None:
    news: list[Piece] = []

    async def work(engine: Engine) -> list[Written]:
        call = writing(bundled, "شو", {"length": 40, "min_length": 40, "seed": 3}, 2, top=2, progress=news.extend)
        return await engine.ask(call)

    for index, written in enumerate(run(bundled, work)):
        own = [piece for piece in news if piece.index == index]
        assert "".join(piece.text for piece in own) == written.text
        assert [token for piece in own for token in piece.tokens] == list(written.tokens)
        assert [piece.finish_reason for piece in own][-1] == written.finish_reason
        assert all(piece.finish_reason is None for piece in own[:-1])
        assert len(written.tokens) == written.decided == 40


def test_who_leaves_frees_the_rows(bundled: Completer) -> None:
    endless: Options = {"length": 90_000, "min_length": 90_000}  # no draw may end the text

    async def work(engine: Engine) -> tuple[int, int]:
        going = [asyncio.ensure_future(engine.ask(writing(bundled, "شو", endless, 4))) for _ in range(3)]
        while engine.tally.live < 12:
            await asyncio.sleep(0.001)
        for one in going:
            one.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        before = engine.tally.steps
        while engine.tally.live:
            await asyncio.sleep(0.0005)
        return before, engine.tally.steps

    before, after = run(bundled, work)
    assert after - before <= 2  # the step at hand, and none after the next look


def test_time_that_is_over_ends_with_what_there_is(bundled: Completer) -> None:
    async def work(engine: Engine) -> tuple[list[Written], list[Written]]:
        late = writing(bundled, "شو حلو", {"length": 90_000, "min_length": 90_000, "seed": 5}, seconds=0.5)
        never = writing(bundled, "شو", {"length": 10}, seconds=-1)
        return await asyncio.gather(engine.ask(late), engine.ask(never))

    (written,), (nothing,) = run(bundled, work)
    assert written.finish_reason == "length"
    assert written.text
    longer = len(written.text) + 5
    assert bundled.complete("شو حلو", length=longer, min_length=longer, seed=5).text.startswith(written.text)
    assert nothing.text == ""


def test_a_search_whose_time_is_over_gives_the_best_so_far(bundled: Completer) -> None:
    async def work(engine: Engine) -> list[Written]:
        endless: Options = {"length": 90_000, "min_length": 90_000}
        search = writing(bundled, "شو حلو", {**endless, "beams": 4}, 2, seconds=0.5)
        others = writing(bundled, "شو", endless, 64, seconds=1)  # most of a round is theirs, as is the end of the time
        return (await asyncio.gather(engine.ask(search), engine.ask(others)))[0]

    first, second = run(bundled, work)
    # They may differ in what is not a whole grapheme yet.
    assert first.text and second.text
    assert {first.finish_reason, second.finish_reason} == {"length"}


def test_a_short_text_does_not_wait_for_a_long_one(bundled: Completer) -> None:
    async def work(engine: Engine) -> list[str]:
        done: list[str] = []

        async def one(name: str, length: int, prompt: str = "شو") -> None:
            await engine.ask(writing(bundled, prompt, {"length": length, "min_length": length}, 2))
            done.append(name)

        long = [asyncio.ensure_future(one("long", 1_500)) for _ in range(3)]
        reading = asyncio.ensure_future(one("reading", 1, "شو " * 10_000))
        await asyncio.sleep(0.05)
        await asyncio.gather(*(one("short", 5) for _ in range(4)))
        for task in (*long, reading):
            task.cancel()
        return done

    assert run(bundled, work, rows=4) == ["short"] * 4


@pytest.mark.parametrize("most", [0, 3])
def test_suggestions_are_those_of_the_model(bundled: Completer, most: int) -> None:
    prefixes = ["شو حل", "مرحبا ", "", "الحمد", "لا حول ولا "]

    async def work(engine: Engine) -> list[Any]:
        return await asyncio.gather(
            *(
                engine.ask(
                    Suggesting(
                        time.monotonic() + 60,
                        bundled.prefixes,
                        bundled.normalise(prefix),
                        ids_of(bundled, prefix),
                        3,
                        0.01,
                        most,
                    )
                )
                for prefix in prefixes
            )
        )

    for prefix, (found, phrase) in zip(prefixes, run(bundled, work), strict=True):
        wanted = bundled.suggest(prefix, 3)
        assert [one.text for one in found] == [one.text for one in wanted]
        assert [one.probability for one in found] == pytest.approx([one.probability for one in wanted], rel=1e-4)
        told = bundled.phrase(prefix, words=3)
        assert (phrase is None) == (most == 0)
        assert phrase is None or (phrase.added, phrase.probability) == (
            told.added,
            pytest.approx(told.probability, rel=1e-4),
        )


def test_scores_are_those_of_the_model(model: Completer) -> None:
    text = "شو حلو هالنهار يا زلمة ☃ " * 6  # longer than a piece, and a character that nobody knows

    async def work(engine: Engine) -> Any:
        return await engine.ask(Scoring(time.monotonic() + 60, model, np.append(ids_of(model, text), EOS), 3))

    tokens = run(model, work)
    bits = model.score(text).bits
    assert [-token.log_probability / np.log(2) for token in tokens] == pytest.approx(list(bits), abs=1e-3)
    assert all(len(token.top) == 3 and token.top == tuple(sorted(token.top, key=lambda t: -t[1])) for token in tokens)


def test_learning_stands_between_two_steps(folder_of: Callable[[str], Path]) -> None:
    model = kammil.load(folder_of("blend"))

    async def work(engine: Engine) -> tuple[float, float, float]:
        async def bits() -> float:
            ids = np.append(ids_of(model, "كلمة غريبة"), EOS)
            found = await engine.ask(Scoring(time.monotonic() + 60, model, ids, 0))
            return -sum(token.log_probability for token in found)

        before = await bits()
        await engine.ask(Learning(time.monotonic() + 60, lambda: model.learn("كلمة غريبة")))
        between = await bits()
        await engine.ask(Learning(time.monotonic() + 60, lambda: model.forget("كلمة غريبة")))
        return before, between, await bits()

    before, between, after = run(model, work)
    assert between < before == after


def test_a_model_that_gives_no_probabilities_fails_and_the_thread_lives(bundled: Completer) -> None:
    class Broken(type(bundled.language_model)):
        """Says nothing."""

        def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
            log_probabilities, state = super().forward(ids, state, last=last)
            return np.full_like(log_probabilities, np.nan), state

    model = kammil.load()
    model.language_model.__class__ = Broken

    async def work(engine: Engine) -> None:
        for _ in range(2):
            with pytest.raises(FolderError, match="no probabilities"):
                await engine.ask(writing(model, "شو", {"length": 5}))

    run(model, work)
