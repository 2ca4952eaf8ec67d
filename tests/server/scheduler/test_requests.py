"""Requests: scores do not depend on the pieces in which a text is read, and deltas make the text."""

from __future__ import annotations

import asyncio
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.scheduler.conftest import generate_call, ids_of

from kammil.completion.completer import Completer
from kammil.errors import FolderError
from kammil.server.scheduler.requests import EngineRequest, PromptScorer, ReplyQueue, ScoreCall, top_ids
from kammil.vocabulary import EOS

TEXT = "شو حلو هالنهار يا زلمة ☃"


@given(st.lists(st.integers(1, 30), min_size=1))
def test_pieces_change_no_score(bundled: Completer, sizes: list[int]) -> None:
    scorer = PromptScorer(bundled, np.append(ids_of(bundled, TEXT), EOS), 2)
    while scorer.remaining:
        size = min(scorer.remaining, sizes[len(scorer.tokens) % len(sizes)])
        read, state = bundled.language_model.forward(scorer.next_ids(size)[None], scorer.state)
        scorer.advance(size, read[0], state)
    bits = [-token.log_probability / math.log(2) for token in scorer.tokens]
    assert bits == pytest.approx(list(bundled.score(TEXT).bits), abs=1e-3)
    assert all(len(token.top) == 2 for token in scorer.tokens)


def test_a_model_without_probabilities_is_refused(bundled: Completer) -> None:
    scorer = PromptScorer(bundled, ids_of(bundled, TEXT), 0)
    with pytest.raises(FolderError, match="no probabilities"):
        scorer.advance(1, np.full((1, bundled.vocabulary.size), np.nan, np.float32), scorer.state)


def test_the_best_texts_are_returned_best_first(bundled: Completer) -> None:
    async def main() -> None:
        call = generate_call(bundled, "شو", {"length": 3, "best_of": 4}, 2)
        for sequence, bits in zip(call.sequences, (3.0, 1.0, 4.0, 2.0), strict=True):
            for character in str(int(bits)) * 3:
                sequence.hypothesis.add(character, bits)
        assert [text.text for text in call.texts()] == ["111", "222"]

    asyncio.run(main())


@given(st.lists(st.tuples(st.sampled_from(["ا", "\u064e", "👍", "🏽", "x"]), st.booleans()), min_size=1, max_size=12))
def test_deltas_make_the_text(bundled: Completer, characters: list[tuple[str, bool]]) -> None:
    async def main() -> None:
        call = generate_call(bundled, "", {"length": len(characters), "stop": ("xx",)})
        (sequence,) = call.sequences
        sent, reasons = "", []
        for character, look in characters:
            if sequence.hypothesis.reason is None:
                sequence.hypothesis.add(character, 1.0)
            if look or sequence.hypothesis.reason is not None:
                for delta in call.new_parts():
                    sent += delta.text
                    reasons.append(delta.finish_reason)
                assert sequence.hypothesis.text.startswith(sent)
        (text,) = call.texts()
        assert sent == text.text and reasons[-1] == text.finish_reason
        assert call.new_parts() == [] and None not in reasons[-1:]

    asyncio.run(main())


def test_a_request_is_resolved_once() -> None:
    async def main() -> None:
        call = EngineRequest[int](time.monotonic() + 60)
        call.resolve(1)
        call.resolve(2)
        call.fail(MemoryError())
        assert await call.future == 1
        assert not call.timed_out and EngineRequest[int](time.monotonic() - 1).timed_out

    asyncio.run(main())


def test_a_score_begins_with_the_first_character(bundled: Completer) -> None:
    async def main() -> None:
        call = ScoreCall(time.monotonic() + 60, bundled, ids_of(bundled, TEXT), 1)
        assert call.scorer.remaining == len(bundled.normalise(TEXT)) + 1 and call.scorer.tokens == []

    asyncio.run(main())


def test_ids_that_are_equally_probable_keep_their_order() -> None:
    rows = np.log(np.array([[0.0, 0.0, 0.0, 0.2, 0.4, 0.4], [0.0, 0.0, 0.0, 0.5, 0.3, 0.2]]) + 1e-30)
    assert [[id for id, _ in row] for row in top_ids(rows, 2)] == [[4, 5], [3, 4]]
    assert top_ids(rows, 0) == [(), ()]


def test_what_is_never_written_is_no_alternative() -> None:
    rows = np.log(np.array([[0.1, 0.5, 0.1, 0.1, 0.15, 0.05]]))
    assert top_ids(rows, 2) == [((4, rows[0, 4]), (3, rows[0, 3]))]
    assert [id for id, _ in top_ids(rows, 9)[0]] == [4, 3, 5]


def test_results_and_errors_arrive_on_the_loop_of_their_request() -> None:
    async def main() -> None:
        replies = ReplyQueue()
        calls = [EngineRequest[int](time.monotonic() + 60) for _ in range(3)]
        replies.unanswered.update(calls)
        replies.resolve(calls[0], 7)
        replies.fail([calls[1]], MemoryError())
        assert not calls[0].future.done()  # nothing is sent before the end of the round
        await asyncio.to_thread(replies.flush)
        assert await calls[0].future == 7
        with pytest.raises(MemoryError):
            await calls[1].future
        assert replies.unanswered == {calls[2]}

    asyncio.run(main())


def test_a_closed_loop_keeps_no_other_from_its_results() -> None:
    async def create() -> EngineRequest[int]:
        return EngineRequest[int](time.monotonic() + 60)

    gone = asyncio.run(create())  # its loop is closed

    async def main() -> None:
        replies, here = ReplyQueue(), await create()
        replies.unanswered.update([gone, here])
        replies.resolve(gone, 1)
        replies.resolve(here, 2)
        replies.flush()
        assert await here.future == 2
        assert not replies.unanswered

    asyncio.run(main())


def test_a_request_past_its_deadline_or_abandoned_is_no_longer_wanted() -> None:
    async def main() -> None:
        replies = ReplyQueue()
        late, abandoned, wanted = (EngineRequest[int](time.monotonic() + seconds) for seconds in (-1, 60, 60))
        replies.unanswered.update([late, abandoned, wanted])
        abandoned.abandoned = True
        assert [replies.still_wanted(call) for call in (late, abandoned, wanted)] == [False, False, True]
        replies.flush()
        with pytest.raises(TimeoutError):
            await late.future
        assert replies.unanswered == {wanted}

    asyncio.run(main())
