"""Completions as server-sent events: pieces of whole graphemes, as soon as nothing can change them any more."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from kammil.server import errors
from kammil.server.completions import PING, STOP, Plan, Tokens, echoed, merged, usage
from kammil.server.engine import Piece, Writing, Written
from kammil.server.schemas import Choice

log = logging.getLogger("kammil.server")

DONE = format_sse_event(data_str="[DONE]")

News = asyncio.Queue[tuple[int, list[Piece] | None]]
"""Of which prompt, and what is new; None when all of its texts are there, or none will be."""


async def stream(plan: Plan, *, include_usage: bool, stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """Events of one request, the last of them `[DONE]`; the stack is closed at the end, however it comes."""
    news: News = asyncio.Queue()
    writings: list[Writing] = []
    async with stack:
        try:
            for i, prompt in enumerate(plan.prompts):
                writing = plan.writing(prompt, partial(_report, news, i))
                writing.answer.add_done_callback(partial(_finished, news, i))
                plan.served.engine.submit(writing)
                writings.append(writing)
            async for event in _events(plan, writings, news):
                yield event
            if include_usage:
                decided = sum(job.decided for writing in writings for job in writing.jobs)
                yield format_sse_event(data_str=plan.response([], usage(plan, decided)).model_dump_json())
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


async def _events(plan: Plan, writings: list[Writing], news: News) -> AsyncIterator[bytes]:
    """Pieces as they come; what has come while the last event was being sent goes in one. A ping in silence."""
    texts = {i * plan.n + j: Text(plan, writing) for i, writing in enumerate(writings) for j in range(plan.n)}
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
            if (choice := text.choice(index)) is not None:
                yield format_sse_event(data_str=plan.response([choice], None).model_dump_json())


class Text:
    """One text of a stream.

    Args:
        plan: of the request.
        writing: which the text belongs to.
    """

    def __init__(self, plan: Plan, writing: Writing) -> None:
        """Nothing has come."""
        self._plan, self._writing = plan, writing
        self.pieces: list[Piece] = []
        """What has come and was not sent."""
        self._sent: int | None = None
        """Characters sent, those of the prompt included; None before the first event."""
        self._ended = False

    def end(self, written: Written) -> None:
        """All has come; where time ran out nothing has said so yet."""
        if not self._ended and not any(piece.finish_reason for piece in self.pieces):
            self.pieces.append(Piece(0, "", (), written.finish_reason))

    def choice(self, index: int) -> Choice | None:
        """What is new, the prompt first if it is echoed; None if nothing is."""
        pieces, self.pieces = self.pieces, []
        if not pieces:
            return None
        made = Choice(text="", index=index)
        if self._sent is None:
            made = echoed(self._plan, self._writing)
            self._sent = 0
            made.index = index
        made.text += "".join(piece.text for piece in pieces)
        self._sent += len(made.text)
        if self._plan.top is not None:
            fresh = Tokens(self._plan.served.model.vocabulary, self._sent - sum(len(p.text) for p in pieces))
            for piece in pieces:
                fresh.add(piece.tokens, self._sent)
            made.logprobs = merged(made.logprobs, fresh.made)
        reason = pieces[-1].finish_reason
        if reason is not None:
            made.finish_reason, self._ended = STOP[reason], True
        return made


def _report(news: News, i: int, pieces: list[Piece]) -> None:
    news.put_nowait((i, pieces))


def _finished(news: News, i: int, _answer: asyncio.Future[list[Written]]) -> None:
    news.put_nowait((i, None))
