"""Completions as server-sent events: pieces of whole graphemes, as soon as nothing can change them any more."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import cache, partial

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from kammil.server.api import bodies, errors
from kammil.server.api.completions import PING, STOP, Plan, Start, Tokens, usage
from kammil.server.api.schemas import Choice, StreamOptions, Usage
from kammil.server.scheduler import Piece, Writing, Written

log = logging.getLogger("kammil.server")

DONE = format_sse_event(data_str="[DONE]")

News = asyncio.Queue[tuple[int, list[Piece] | None]]
"""Of which prompt, and what is new; None when all of its texts are there, or none will be."""


async def stream(plan: Plan, told: StreamOptions, stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """Events of one request, the last of them `[DONE]`; the stack is closed at the end, however it comes."""
    continuous = bool(told.include_usage and told.continuous_usage_stats)
    news: News = asyncio.Queue()
    writings: list[Writing] = []
    async with stack:
        try:
            for i, prompt in enumerate(plan.prompts):
                writing = plan.writing(prompt, partial(_report, news, i))
                writing.answer.add_done_callback(partial(_finished, news, i))
                plan.served.engine.submit(writing)
                writings.append(writing)
            async for event in _events(plan, writings, news, continuous=continuous):
                yield event
            if told.include_usage:
                yield format_sse_event(data_str=plan.response([], _so_far(plan, writings)).model_dump_json())
        except Exception as error:
            failed = errors.of(error)
            if errors.is_news(error):
                log.error("a stream failed", exc_info=error)
            yield format_sse_event(data_str=json.dumps(failed.detail()))
        finally:
            for writing, prompt in zip(writings, plan.prompts, strict=False):
                writing.left = True
                plan.served.worked(writing, prompt.tokens)
        yield DONE


def _so_far(plan: Plan, writings: list[Writing]) -> Usage:
    """What was read and written until now."""
    return usage(plan, sum(job.decided for writing in writings for job in writing.jobs))


async def _events(plan: Plan, writings: list[Writing], news: News, *, continuous: bool) -> AsyncIterator[bytes]:
    """Pieces as they come, with what was written so far if that is wanted; what has come while the last event was being
    sent goes in one. A ping in silence."""
    starts = [cache(partial(Start, plan, writing)) for writing in writings]
    texts = {i * plan.n + j: Text(plan, start) for i, start in enumerate(starts) for j in range(plan.n)}
    left = len(writings)
    while left:
        try:
            some = [await asyncio.wait_for(news.get(), PING)]
        except TimeoutError:
            yield KEEPALIVE_COMMENT
            continue
        while not news.empty():
            some.append(news.get_nowait())
        for i, pieces in some:
            if pieces is not None:
                for piece in pieces:
                    texts[i * plan.n + piece.index].pieces.append(piece)
                continue
            left -= 1
            for j, written in enumerate(writings[i].answer.result()):
                texts[i * plan.n + j].end(written)
        for index, text in texts.items():
            if text.pieces:
                told = _so_far(plan, writings) if continuous else None
                yield await bodies.aside(
                    plan.size if plan.echo and not text.begun else 0, partial(text.event, index, told)
                )


class Text:
    """One text of a stream.

    Args:
        plan: of the request.
        start: what stands before it; asked when the prompt is read.
    """

    def __init__(self, plan: Plan, start: Callable[[], Start]) -> None:
        """Nothing has come."""
        self._plan, self._start = plan, start
        self.pieces: list[Piece] = []
        """What has come and was not sent."""
        self.begun = False
        """The first event has been made."""
        self._sent = 0
        """Characters sent, those of the prompt included."""
        self._ended = False

    def end(self, written: Written) -> None:
        """All has come; where time ran out nothing has said so yet."""
        if not self._ended and not any(piece.finish_reason for piece in self.pieces):
            self.pieces.append(Piece(0, "", (), written.finish_reason))

    def event(self, index: int, told: Usage | None) -> bytes:
        """What is new, the prompt first if it is echoed."""
        pieces, self.pieces = self.pieces, []
        made = Choice(text="".join(piece.text for piece in pieces), index=index)
        tokens: tuple[bodies.Lists, ...] = ()
        if not self.begun:
            self.begun = True
            start = self._start()
            made.text, tokens = start.text + made.text, start.tokens
        self._sent += len(made.text)
        if self._plan.top is not None:
            fresh = Tokens(self._plan.served.model.vocabulary, self._sent - sum(len(p.text) for p in pieces))
            for piece in pieces:
                fresh.add(piece.tokens, self._sent)
            tokens = (*tokens, bodies.lists(fresh.made))
        reason = pieces[-1].finish_reason
        if reason is not None:
            made.finish_reason, self._ended = STOP[reason], True
        body = bodies.filled(self._plan.response([], told), "choices", bodies.choice(made, *tokens))
        return format_sse_event(data_str=body.decode())


def _report(news: News, i: int, pieces: list[Piece]) -> None:
    news.put_nowait((i, pieces))


def _finished(news: News, i: int, _answer: asyncio.Future[list[Written]]) -> None:
    news.put_nowait((i, None))
