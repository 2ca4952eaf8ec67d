"""Whatever else is in the batch, the generated text is that of `Completer`."""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.scheduler.conftest import generate_call, ids_of, run, suggest_call, until

import kammil
from kammil.completion import ghost_text
from kammil.completion.completer import Completer
from kammil.decoding.options import Options
from kammil.errors import FolderError
from kammil.language_model import Ids, LogProbabilities, State
from kammil.server.scheduler.requests import ModelUpdate, ScoreCall, TextPart
from kammil.server.scheduler.scheduler import Scheduler, trim_heap
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
    """The same model, outside the scheduler."""
    return kammil.load(trained)


@pytest.mark.parametrize("rows", [64, 3, 1])
def test_every_request_gets_the_text_that_it_would_get_alone(model: Completer, alone: Completer, rows: int) -> None:
    calls = [(PROMPTS[i % 7], {"length": 9, "seed": i, **OPTIONS[i % 10]}, 1 + i % 3) for i in range(20)]

    async def work(scheduler: Scheduler) -> list[list[TextPart]]:
        async def one(i: int, prompt: str, options: Options, n: int) -> list[TextPart]:
            await asyncio.sleep(0.002 * (i % 5))  # some start while others are being generated
            return await scheduler.run(generate_call(model, prompt, options, n))

        return await asyncio.gather(*(one(i, *call) for i, call in enumerate(calls)))  # pyright: ignore[reportArgumentType]

    for (prompt, options, n), written in zip(calls, run(model, work, max_batch=rows), strict=True):
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
def test_any_other_requests_leave_a_text_as_it_is(bundled: Completer, calls: list[tuple[str, int, int, float]]) -> None:
    async def work(scheduler: Scheduler) -> list[list[TextPart]]:
        return await asyncio.gather(
            *(
                scheduler.run(generate_call(bundled, prompt, {"seed": seed, "length": length, "temperature": warmth}))
                for prompt, seed, length, warmth in calls
            )
        )

    made = [one[0].text for one in run(bundled, work)]
    assert made == [
        bundled.complete(prompt, seed=seed, length=length, temperature=warmth).text
        for prompt, seed, length, warmth in calls
    ]


def test_deltas_make_the_text_and_are_whole_graphemes(bundled: Completer) -> None:
    news: list[TextPart] = []

    async def work(scheduler: Scheduler) -> list[TextPart]:
        call = generate_call(
            bundled, "شو", {"length": 40, "min_length": 40, "seed": 3}, 2, num_top=2, on_parts=news.extend
        )
        return await scheduler.run(call)

    for index, written in enumerate(run(bundled, work)):
        own = [piece for piece in news if piece.index == index]
        assert "".join(piece.text for piece in own) == written.text
        assert [token for piece in own for token in piece.tokens] == list(written.tokens)
        assert [piece.finish_reason for piece in own][-1] == written.finish_reason
        assert all(piece.finish_reason is None for piece in own[:-1])
        assert len(written.tokens) == 40


def test_a_cancelled_request_frees_its_rows(bundled: Completer) -> None:
    endless: Options = {"length": 90_000, "min_length": 90_000}  # the end of the text is banned until then

    async def work(scheduler: Scheduler) -> tuple[int, int]:
        going = [asyncio.ensure_future(scheduler.run(generate_call(bundled, "شو", endless, 4))) for _ in range(3)]
        await until(lambda: scheduler.stats.live >= 12)
        for one in going:
            one.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        before = scheduler.stats.steps
        await until(lambda: not scheduler.stats.live)
        return before, scheduler.stats.steps

    before, after = run(bundled, work)
    assert after - before <= 2  # the current step and at most one more


def test_a_deadline_ends_a_text_as_it_is(bundled: Completer) -> None:
    async def work(scheduler: Scheduler) -> tuple[list[TextPart], list[TextPart]]:
        late = generate_call(bundled, "شو حلو", {"length": 90_000, "min_length": 90_000, "seed": 5}, seconds=0.5)
        never = generate_call(bundled, "شو", {"length": 10}, seconds=-1)
        return await asyncio.gather(scheduler.run(late), scheduler.run(never))

    (written,), (nothing,) = run(bundled, work)
    assert written.finish_reason == "length"
    assert written.text
    longer = len(written.text) + 5
    assert bundled.complete("شو حلو", length=longer, min_length=longer, seed=5).text.startswith(written.text)
    assert nothing.text == ""


def test_a_deadline_ends_a_beam_search_with_its_best_texts(bundled: Completer) -> None:
    async def work(scheduler: Scheduler) -> list[TextPart]:
        endless: Options = {"length": 90_000, "min_length": 90_000}
        search = generate_call(bundled, "شو حلو", {**endless, "beams": 4}, 2, seconds=0.5)
        others = generate_call(bundled, "شو", endless, 64, seconds=1)  # most of a round is their work
        return (await asyncio.gather(scheduler.run(search), scheduler.run(others)))[0]

    first, second = run(bundled, work)
    # They may differ in an incomplete grapheme only.
    assert first.text and second.text
    assert {first.finish_reason, second.finish_reason} == {"length"}


def test_a_short_text_does_not_wait_for_a_long_one(bundled: Completer) -> None:
    async def work(scheduler: Scheduler) -> list[str]:
        done: list[str] = []

        async def one(name: str, length: int, prompt: str = "شو") -> None:
            await scheduler.run(generate_call(bundled, prompt, {"length": length, "min_length": length}, 2))
            done.append(name)

        long = [asyncio.ensure_future(one("long", 1_500)) for _ in range(3)]
        reading = asyncio.ensure_future(one("reading", 1, "شو " * 10_000))
        await until(lambda: scheduler.stats.live)
        await asyncio.gather(*(one("short", 5) for _ in range(4)))
        for task in (*long, reading):
            task.cancel()
        return done

    assert run(bundled, work, max_batch=4) == ["short"] * 4


@pytest.mark.parametrize("most", [0, 3])
def test_suggestions_are_those_of_the_model(bundled: Completer, most: int) -> None:
    prefixes = ["شو حل", "مرحبا ", "", "الحمد", "لا حول ولا ", "شو اخباؤ"]

    async def work(scheduler: Scheduler) -> list[Any]:
        calls = [suggest_call(bundled, prefix, words=most) for prefix in prefixes]
        return await asyncio.gather(*map(scheduler.run, calls))

    for prefix, (found, phrase) in zip(prefixes, run(bundled, work), strict=True):
        wanted = bundled.suggest(prefix, 3)
        assert [(one.text, one.replaces) for one in found] == [(one.text, one.replaces) for one in wanted]
        assert [one.probability for one in found] == pytest.approx([one.probability for one in wanted], rel=1e-4)
        told = bundled.phrase(prefix, words=3)
        assert (phrase is None) == (most == 0)
        assert phrase is None or (phrase.added, phrase.probability) == (
            told.added,
            pytest.approx(told.probability, rel=1e-4),
        )


def test_ghost_text_of_a_text_that_stays_is_that_of_before(bundled: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = ghost_text.phrase

    def counted(model: Any, vocabulary: Any, classes: Any, prefix: str, *more: Any, **options: Any) -> Any:
        asked.append(prefix)
        return original(model, vocabulary, classes, prefix, *more, **options)

    monkeypatch.setattr(ghost_text, "phrase", counted)

    async def work(scheduler: Scheduler) -> list[Any]:
        calls = [suggest_call(bundled, prefix, words=8) for prefix in ("شو رح نعم", "كيف كانت الر") * 3]
        return [await scheduler.run(call) for call in calls]

    found = run(bundled, work)
    assert asked == ["شو رح نعم", "كيف كانت الر"]
    assert found[:2] * 3 == found


def test_scores_are_those_of_the_model(model: Completer) -> None:
    text = "شو حلو هالنهار يا زلمة ☃ " * 6  # longer than a piece, with an unknown character

    async def work(scheduler: Scheduler) -> Any:
        return await scheduler.run(ScoreCall(time.monotonic() + 60, model, np.append(ids_of(model, text), EOS), 3))

    tokens = run(model, work)
    bits = model.score(text).bits
    assert [-token.log_probability / np.log(2) for token in tokens] == pytest.approx(list(bits), abs=1e-3)
    assert all(len(token.top) == 3 and token.top == tuple(sorted(token.top, key=lambda t: -t[1])) for token in tokens)


def test_updates_run_between_two_steps(folder_of: Callable[[str], Path]) -> None:
    model = kammil.load(folder_of("blend"))

    async def work(scheduler: Scheduler) -> tuple[float, float, float]:
        async def bits() -> float:
            ids = np.append(ids_of(model, "كلمة غريبة"), EOS)
            found = await scheduler.run(ScoreCall(time.monotonic() + 60, model, ids, 0))
            return -sum(token.log_probability for token in found)

        before = await bits()
        await scheduler.run(ModelUpdate(time.monotonic() + 60, lambda: model.learn("كلمة غريبة")))
        between = await bits()
        await scheduler.run(ModelUpdate(time.monotonic() + 60, lambda: model.forget("كلمة غريبة")))
        return before, between, await bits()

    before, between, after = run(model, work)
    assert between < before == after


def test_a_model_that_gives_no_probabilities_fails_and_the_thread_lives(bundled: Completer) -> None:
    class Broken(type(bundled.language_model)):
        """Returns no probabilities."""

        def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
            log_probabilities, state = super().forward(ids, state, last=last)
            return np.full_like(log_probabilities, np.nan), state

    model = kammil.load()
    model.language_model.__class__ = Broken

    async def work(scheduler: Scheduler) -> None:
        for _ in range(2):
            with pytest.raises(FolderError, match="no probabilities"):
                await scheduler.run(generate_call(model, "شو", {"length": 5}))

    run(model, work)


STATUS = Path("/proc/self/status")


def resident() -> int:
    """Kilobytes of the process in memory."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library has no malloc_trim")
@pytest.mark.long
def test_gaps_between_lasting_allocations_are_returned() -> None:
    blocks = [bytes(100_000) for _ in range(1000)]  # below the size from which malloc maps each block by itself
    lasting = blocks[::10]
    full = resident()
    del blocks
    trim_heap()
    assert full - resident() > 60_000  # of 90,000 kB
    assert len(lasting) == 100
