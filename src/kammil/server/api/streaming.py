"""Completions as server-sent events: whole graphemes, sent as soon as no later character can change them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import cache, partial

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from kammil.server.api import bodies, errors
from kammil.server.api.completions import (
    FINISH_REASONS,
    PING_SECONDS,
    CheckedRequest,
    EchoedPrompt,
    LogprobsBuilder,
    Prompt,
    usage,
)
from kammil.server.api.schemas import StreamOptions, Usage
from kammil.server.scheduler import Delta, GeneratedText, Generation

log = logging.getLogger("kammil.server")

DONE = format_sse_event(data_str="[DONE]")

Updates = asyncio.Queue[tuple[int, list[Delta] | None]]
"""The number of a prompt and its new text; None once all of its texts are complete or have failed."""


async def stream(checked: CheckedRequest, options: StreamOptions, stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """Yield the events of a request, the last of them `[DONE]`; close the stack at the end, whatever happens."""
    report_usage = bool(options.include_usage and options.continuous_usage_stats)
    updates: Updates = asyncio.Queue()
    generations: list[Generation] = []
    async with stack:
        try:
            for i, prompt in enumerate(checked.prompts):
                generation = checked.generation(prompt, partial(_put_deltas, updates, i))
                generation.future.add_done_callback(partial(_put_end, updates, i))
                checked.loaded.scheduler.submit(generation)
                generations.append(generation)
            async for event in _events(checked, generations, updates, report_usage=report_usage):
                yield event
            if options.include_usage:
                yield format_sse_event(data_str=checked.response([], usage(checked, generations)).model_dump_json())
        except Exception as error:
            failed = errors.to_api_error(error)
            if errors.should_log(error):
                log.error("a stream failed", exc_info=error)
            yield format_sse_event(data_str=json.dumps(failed.detail()))
        finally:
            for generation, prompt in zip(generations, checked.prompts, strict=False):
                generation.abandoned = True
                checked.loaded.count_answered(generation, prompt.num_tokens)
        yield DONE


async def _events(
    checked: CheckedRequest, generations: list[Generation], updates: Updates, *, report_usage: bool
) -> AsyncIterator[bytes]:
    """Yield new text as it comes; text that comes while an event is being sent goes into the next one. Yield a comment
    after a while without text."""
    echoes = [cache(partial(EchoedPrompt, checked, generation)) for generation in generations]
    states = {
        i * checked.n + j: StreamState(checked, checked.prompts[i], echo)
        for i, echo in enumerate(echoes)
        for j in range(checked.n)
    }
    num_unfinished = len(generations)
    while num_unfinished:
        try:
            received = [await asyncio.wait_for(updates.get(), PING_SECONDS)]
        except TimeoutError:
            yield KEEPALIVE_COMMENT
            continue
        while not updates.empty():
            received.append(updates.get_nowait())
        for i, deltas in received:
            if deltas is not None:
                for delta in deltas:
                    states[i * checked.n + delta.index].unsent.append(delta)
                continue
            num_unfinished -= 1
            for j, written in enumerate(generations[i].future.result()):
                states[i * checked.n + j].end(written)
        for index, state in states.items():
            if state.unsent:
                usage_so_far = usage(checked, generations) if report_usage else None
                yield await bodies.run_off_loop(
                    checked.max_size if checked.echo and not state.started else 0,
                    partial(state.event, index, usage_so_far),
                )


class StreamState:
    """The state of one text of a stream.

    Args:
        checked: the request.
        prompt: what the text follows.
        echo: returns what precedes the text; called once the prompt is read.
    """

    def __init__(self, checked: CheckedRequest, prompt: Prompt, echo: Callable[[], EchoedPrompt]) -> None:
        self._checked, self._prompt, self._echo = checked, prompt, echo
        self.unsent: list[Delta] = []
        """New text that has not been sent."""
        self.started = False
        """Whether the first event has been built."""
        self._num_sent = 0
        """Number of characters sent, those of the echoed prompt included."""
        self._ended = self._stock = False

    def end(self, written: GeneratedText) -> None:
        """Note that the text is complete. A text that ran out of time has had no finish reason yet, and one that was
        chosen among others has not been sent at all."""
        if not self._ended and not any(delta.finish_reason for delta in self.unsent):
            text, tokens = ("", ()) if self.started or self.unsent else (written.text, written.tokens)
            self.unsent.append(Delta(0, text, tokens, written.finish_reason))
        self._stock = written.stock

    def event(self, index: int, usage_so_far: Usage | None) -> bytes:
        """Build an event of the new text, which begins with the prompt if it is echoed."""
        deltas, self.unsent = self.unsent, []
        choice = self._prompt.choice("".join(delta.text for delta in deltas), index)
        tokens: tuple[bodies.LogprobsJson, ...] = ()
        if not self.started:
            self.started = True
            echo = self._echo()
            choice.text, tokens = echo.text + choice.text, echo.logprobs
        self._num_sent += len(choice.text)
        if self._checked.num_top is not None:
            builder = LogprobsBuilder(
                self._checked.loaded.completer.vocabulary, self._num_sent - sum(len(p.text) for p in deltas)
            )
            for delta in deltas:
                builder.add(delta.tokens, self._num_sent)
            tokens = (*tokens, bodies.logprobs_json(builder.logprobs))
        reason = deltas[-1].finish_reason
        if reason is not None:
            choice.finish_reason, self._ended = FINISH_REASONS[reason], True
            choice.stock = self._stock
        body = bodies.insert_items(
            self._checked.response([], usage_so_far), "choices", bodies.choice_json(choice, *tokens)
        )
        return format_sse_event(data_str=body.decode())


def _put_deltas(updates: Updates, i: int, deltas: list[Delta]) -> None:
    updates.put_nowait((i, deltas))


def _put_end(updates: Updates, i: int, _answer: asyncio.Future[list[GeneratedText]]) -> None:
    updates.put_nowait((i, None))
