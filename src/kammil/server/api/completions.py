"""`POST /v1/completions`, as OpenAI's, whole or as server-sent events."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import cast

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from kammil.completion.completer import Completer
from kammil.decoding.constraints import Constraints
from kammil.decoding.options import DecodingOptions, Options
from kammil.language_model import Ids
from kammil.server.api.responses import (
    ERRORS,
    ApiError,
    insert_json,
    items_json,
    logged,
    run_off_loop,
    while_connected,
)
from kammil.server.api.schemas import (
    MAX_PROMPTS,
    MAX_TEXTS,
    SPECIAL_NAMES,
    Choice,
    CompletionRequest,
    CompletionResponse,
    Logprobs,
    StreamOptions,
    Usage,
)
from kammil.server.model_pool import LoadedModel
from kammil.server.scheduler.requests import Generation, ModelUpdate, TextPart, TokenLogprobs
from kammil.vocabulary import BOS, EOS, SPECIALS, UNK, CharacterVocabulary

PING_SECONDS = 15.0
"""Silence after which a stream sends a comment."""
MAX_CHARACTERS = 100_000
"""Maximum for all prompts together, before and after normalisation."""
DONE = format_sse_event(data_str="[DONE]")

_SAME_MEANING = DecodingOptions.model_fields.keys() & (
    CompletionRequest.model_fields.keys() - {"top_k", "stop", "seed", "best_of"}
)

LogprobsJson = dict[str, bytes]
"""Lists of `Logprobs` as JSON without brackets."""

router = APIRouter(responses=ERRORS)
_STREAM = {
    "description": "The completion; with `stream`, server-sent events whose data are parts of it, then [DONE].",
    "content": {"text/event-stream": {"schema": {"type": "object", "properties": {"data": {"type": "string"}}}}},
}


@router.post("/v1/completions", response_model=CompletionResponse, responses={200: _STREAM})
async def complete(body: CompletionRequest, request: Request) -> Response:
    """Complete one prompt or several, as OpenAI's route of this name does."""
    async with AsyncExitStack() as stack:
        loaded = await stack.enter_async_context(request.app.state.pool.use(body.model, body.session))
        checked = await check(body, loaded)
        loaded.log_prompt(body.prompt)
        if body.stream:
            events = stream(checked, body.stream_options or StreamOptions(), stack.pop_all())
            return EventSourceResponse(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        return await while_connected(request, completed(checked))


@dataclass(frozen=True)
class Prompt:
    """A normalised prompt."""

    ids: Ids
    """(T,), with BOS."""
    text: str
    has_bos: bool = False
    """Whether the client sent BOS."""
    reading: str = ""
    """See `Completer.reading`."""
    replaces: int = 0
    typed: str = ""
    """The text before it was read as Arabic."""

    @property
    def num_tokens(self) -> int:
        """Number of the client's tokens."""
        return len(self.ids) - (not self.has_bos)

    def choice(self, text: str, index: int, last: TextPart) -> Choice:
        """Build a choice of new text, which ends with the part `last`."""
        return Choice(
            text=text,
            index=index,
            finish_reason="stop" if last.finish_reason == "end" else last.finish_reason,
            reading=self.reading,
            replaces=self.replaces,
            stock=last.stock,
        )


@dataclass(frozen=True)
class CheckedRequest:
    """A valid request."""

    request: CompletionRequest
    loaded: LoadedModel
    prompts: tuple[Prompt, ...]
    constraints: Constraints
    deadline: float
    max_size: int
    """Maximum number of reported tokens and alternatives; 0 without logprobs or echo."""
    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def response_json(self, choices: bytes, usage: Usage | None) -> bytes:
        """Write a response or an event of a stream."""
        response = CompletionResponse(
            id=self.id,
            created=self.created,
            model=self.loaded.name,
            system_fingerprint=self.loaded.fingerprint,
            choices=[],
            usage=usage,
        )
        return insert_json(response, "choices", b"[%s]" % choices)

    def usage(self, generations: Sequence[Generation]) -> Usage:
        """Count the tokens so far."""
        read = sum(prompt.num_tokens for prompt in self.prompts)
        written = sum(sequence.num_decisions for generation in generations for sequence in generation.sequences)
        return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


async def check(request: CompletionRequest, loaded: LoadedModel) -> CheckedRequest:
    """Check a request against its model; `ApiError` or `OptionError`."""
    match "" if request.prompt is None else request.prompt:
        case str() | [int(), *_] as one:
            given: list[str | list[int]] = [one]
        case many:
            given = cast("list[str | list[int]]", many)
    length = sum(map(len, given))
    if length > MAX_CHARACTERS:  # before any work on it
        raise _too_long()
    if not 0 < len(given) <= MAX_PROMPTS:
        raise ApiError(400, f"there are {len(given)} prompts, but there must be 1 to {MAX_PROMPTS}.", param="prompt")
    prompts = await run_off_loop(length, lambda: [_prompt(one, loaded.completer) for one in given])
    checked = _check_with_prompts(request, tuple(prompts), loaded)
    if not checked.constraints.options.read_latin or not isinstance(given[0], str):
        return checked
    read = [await _with_reading(checked, prompt, str(text)) for prompt, text in zip(prompts, given, strict=True)]
    return replace(checked, prompts=tuple(read))


def _prompt(given: str | list[int], model: Completer) -> Prompt:
    if isinstance(given, str):
        text = model.normalise(given)
        return Prompt(np.concatenate([[BOS], model.vocabulary.encode(text)]), text)
    ids = np.array(given, np.int64)
    wrong = ids[ids >= model.vocabulary.size]
    if len(wrong):
        raise ApiError(400, f"token {int(wrong[0])} of the prompt does not exist in this model.", param="prompt")
    has_bos = bool(len(ids)) and int(ids[0]) == BOS
    characters = ids[1:] if has_bos else ids
    # The model never saw special tokens inside a text.
    characters = np.where(characters < SPECIALS, UNK, characters)
    return Prompt(np.concatenate([[BOS], characters]), model.vocabulary.decode(characters), has_bos)


async def _with_reading(checked: CheckedRequest, prompt: Prompt, text: str) -> Prompt:
    """Read the last words in Latin letters as Arabic, on the scheduler's thread."""
    completer, state_cache = checked.loaded.completer, checked.loaded.state_cache(checked.request.session)
    read = partial(completer.reading, text, state_cache)
    reading, replaces = await checked.loaded.scheduler.run(ModelUpdate(checked.deadline, read))
    ids = np.concatenate([prompt.ids[: len(prompt.ids) - replaces], completer.vocabulary.encode(reading)])
    seen = prompt.text[: len(prompt.text) - replaces] + reading
    if checked.constraints.refusals.silent(prompt.text, seen):
        return replace(prompt, typed=seen)
    return replace(prompt, ids=ids, text=seen, reading=reading, replaces=replaces, typed=prompt.text)


def _check_with_prompts(request: CompletionRequest, prompts: tuple[Prompt, ...], loaded: LoadedModel) -> CheckedRequest:
    settings, n = loaded.settings, request.n or 1
    best_of = request.best_of or n
    length = 16 if request.max_tokens is None else request.max_tokens
    if request.stream_options is not None and not request.stream:
        message = "stream_options are given, but stream is not true; leave them out or set stream."
        raise ApiError(400, message, param="stream_options")
    if best_of < n:
        raise ApiError(400, f"best_of is {best_of}, but n is {n}; it must be at least n.", param="best_of")
    if request.stream and best_of > n:
        message = "best_of is above n, but which text is best is known only at the end; do not stream."
        raise ApiError(400, message, param="best_of")
    if sum(prompt.num_tokens for prompt in prompts) > MAX_CHARACTERS:
        raise _too_long()
    if length > settings.max_tokens:
        message = f"max_tokens is {length}, but this server generates at most {settings.max_tokens} characters."
        raise ApiError(400, message, param="max_tokens")
    constraints = loaded.completer.constraints(
        _decoding_options(request, length, n),
        n,
        bias=_logit_bias(request.logit_bias or {}, loaded.completer.vocabulary),
        taught=loaded.learnt_texts.user_allowed_words(request.session),
    )
    decoding = constraints.options
    if decoding.beams > 1 and request.logprobs is not None:
        raise ApiError(400, "logprobs are not available with beams; leave one of them out.", param="logprobs")
    if len(prompts) * max(n, decoding.best_of, decoding.beams) > MAX_TEXTS:
        raise ApiError(400, f"the request asks for more than {MAX_TEXTS} texts; ask for fewer at a time.", param="n")
    size = 0
    if request.logprobs is not None or request.echo:
        echoed = sum(prompt.num_tokens for prompt in prompts) if request.echo else 0
        size = (echoed + len(prompts) * length) * max(n, decoding.best_of) * (1 + (request.logprobs or 0))
    if size > settings.max_answer:
        message = (
            f"the answer may hold {size} tokens and alternatives, (prompt + max_tokens) x n x (1 + logprobs), "
            f"but at most {settings.max_answer} are allowed; ask for less at a time."
        )
        raise ApiError(400, message, param="logprobs" if request.logprobs is not None else "n")
    return CheckedRequest(request, loaded, prompts, constraints, loaded.deadline(), size)


def _too_long() -> ApiError:
    return ApiError(400, f"the prompt has more than {MAX_CHARACTERS} characters; shorten it.", param="prompt")


def _decoding_options(request: CompletionRequest, length: int, n: int) -> Options:
    """Convert the given fields; null means the default, which without a preset is OpenAI's."""
    options: dict[str, object] = {"length": length, "preset": request.preset}
    if not request.preset:
        options["temperature"] = CompletionRequest.model_fields["temperature"].default
    options |= request.model_dump(include=_SAME_MEANING, exclude_unset=True, exclude_none=True)
    if options.get("top_p") == 0:  # allowed by OpenAI: only the most probable
        options["top_p"] = 1e-9
    if request.top_k is not None and request.top_k > 0:
        options["top_k"] = request.top_k
    if request.stop:
        options["stop"] = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop)
    options["seed"] = secrets.randbits(32) if request.seed is None else request.seed % (1 << 64)
    best_of = request.best_of or n
    if request.use_beam_search:  # vLLM's best_of is the number of beams
        options["beams"] = options.get("beams") or max(2, best_of)
    elif request.best_of:
        options["best_of"] = best_of if best_of > n else 1
    return cast(Options, options)


def _logit_bias(given: dict[str, float], vocabulary: CharacterVocabulary) -> dict[int, float]:
    for name in given:
        if not (name.isascii() and name.isdigit() and len(name) < 10 and int(name) < vocabulary.size):
            message = f"logit_bias names a token that does not exist; tokens are whole numbers below {vocabulary.size}."
            raise ApiError(400, message, param="logit_bias")
    return {int(name): value for name, value in given.items()}


Updates = asyncio.Queue[tuple[int, list[TextPart] | None]]
"""Index of a prompt and its new text, or None at the end."""


@contextmanager
def _generating(checked: CheckedRequest, updates: Updates | None = None) -> Generator[list[Generation]]:
    """Generate for all prompts; abandon and count the generations at the end of the block."""
    generations: list[Generation] = []
    goes_on = EOS not in map(int, checked.request.logit_bias or {})  # with its end named, the model decides
    try:
        for i, prompt in enumerate(checked.prompts):
            generation = Generation(
                checked.deadline,
                checked.loaded.completer,
                prompt.ids,
                checked.constraints.at(prompt.text, prompt.typed, goes_on=goes_on),
                num_top=checked.request.logprobs,
                echo=bool(checked.request.echo),
                state_cache=checked.loaded.state_cache(checked.request.session),
                on_parts=None if updates is None else partial(_put, updates, i),
            )
            if updates is not None:
                generation.future.add_done_callback(lambda _, i=i: _put(updates, i, None))
            checked.loaded.scheduler.submit(generation)
            generations.append(generation)
        yield generations
    finally:
        for generation, prompt in zip(generations, checked.prompts, strict=False):
            generation.abandoned = True
            checked.loaded.count_answered(generation, prompt.num_tokens)


def _put(updates: Updates, i: int, parts: list[TextPart] | None) -> None:
    updates.put_nowait((i, parts))


async def completed(checked: CheckedRequest) -> bytes:
    """Return the response as JSON."""
    with _generating(checked) as generations:
        await asyncio.gather(*(generation.future for generation in generations))
    return await run_off_loop(checked.max_size, partial(_response_json, checked, generations))


def _response_json(checked: CheckedRequest, generations: Sequence[Generation]) -> bytes:
    vocabulary = checked.loaded.completer.vocabulary
    choices: list[bytes] = []
    for generation, prompt in zip(generations, checked.prompts, strict=True):
        echoed, echoed_tokens = _echo(checked, prompt, generation)
        for text in generation.future.result():
            tokens = echoed_tokens
            choice = prompt.choice(echoed + text.text, len(choices), text)
            if checked.request.logprobs is not None:
                found = _logprobs(vocabulary, text.tokens, len(echoed), len(choice.text))
                tokens = (*tokens, logprobs_json(found))
            choices.append(choice_json(choice, *tokens))
    return checked.response_json(b",".join(choices), checked.usage(generations))


def _echo(checked: CheckedRequest, prompt: Prompt, generation: Generation) -> tuple[str, tuple[LogprobsJson, ...]]:
    """Return the normalised prompt and its tokens, if the request asks for an echo."""
    if not checked.request.echo:
        return "", ()
    vocabulary = checked.loaded.completer.vocabulary
    text = vocabulary.decode(generation.ids)
    if generation.scorer is None:
        return text, ()
    tokens = generation.scorer.tokens
    if prompt.has_bos:
        tokens = [TokenLogprobs(BOS, 0.0, ()), *tokens]
    return text, (logprobs_json(_logprobs(vocabulary, tokens, 0, len(text), unconditional=True)),)


def _logprobs(
    vocabulary: CharacterVocabulary, tokens: Sequence[TokenLogprobs], begin: int, end: int, unconditional: bool = False
) -> Logprobs:
    """Convert to OpenAI's form, with offsets from `begin` to `end`; an `unconditional` first one has no probability."""
    logprobs = Logprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
    for i, token in enumerate(tokens):
        name, is_first = _token_name(vocabulary, token.id), unconditional and i == 0
        top = {_token_name(vocabulary, id): value for id, value in token.top}
        top.setdefault(name, token.log_probability)
        logprobs.tokens.append(name)
        logprobs.token_logprobs.append(None if is_first else token.log_probability)
        logprobs.top_logprobs.append(None if is_first else top)
        logprobs.text_offset.append(min(begin, end))
        begin += token.id not in SPECIAL_NAMES or token.id == UNK
    return logprobs


def _token_name(vocabulary: CharacterVocabulary, id: int) -> str:
    return SPECIAL_NAMES.get(id) or vocabulary.piece(id)


def logprobs_json(logprobs: Logprobs) -> LogprobsJson:
    """Write each list as JSON."""
    return {name: items_json(getattr(logprobs, name)) for name in Logprobs.model_fields}


def choice_json(choice: Choice, *tokens: LogprobsJson) -> bytes:
    """Write a choice with its tokens, given in parts."""
    if not tokens:
        return choice.model_dump_json().encode()
    fields = (
        b'"%s":[%s]' % (name.encode(), b",".join(part[name] for part in tokens if part[name]))
        for name in Logprobs.model_fields
    )
    return insert_json(choice, "logprobs", b"{%s}" % b",".join(fields), empty=b"null")


async def stream(checked: CheckedRequest, options: StreamOptions, stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """Yield the events of a request, then close the stack."""
    report_usage = bool(options.include_usage and options.continuous_usage_stats)
    updates: Updates = asyncio.Queue()
    async with stack:
        try:
            with _generating(checked, updates) as generations:
                async for event in _events(checked, generations, updates, report_usage=report_usage):
                    yield event
                if options.include_usage:
                    yield format_sse_event(data_str=checked.response_json(b"", checked.usage(generations)).decode())
        except Exception as error:
            yield format_sse_event(data_str=json.dumps(logged(error, "a stream").detail()))
        yield DONE


async def _events(
    checked: CheckedRequest, generations: list[Generation], updates: Updates, *, report_usage: bool
) -> AsyncIterator[bytes]:
    states: list[StreamState] = []
    for prompt, generation in zip(checked.prompts, generations, strict=True):
        echo = cache(partial(_echo, checked, prompt, generation))
        states += [StreamState(checked, prompt, echo) for _ in range(checked.constraints.n)]
    num_unfinished = len(generations)
    while num_unfinished:
        try:
            received = [await asyncio.wait_for(updates.get(), PING_SECONDS)]
        except TimeoutError:
            yield KEEPALIVE_COMMENT
            continue
        while not updates.empty():
            received.append(updates.get_nowait())
        for i, parts in received:
            first = i * checked.constraints.n
            for part in parts or ():
                states[first + part.index].unsent.append(part)
            if parts is None:
                num_unfinished -= 1
                for j, written in enumerate(generations[i].future.result()):
                    states[first + j].end(written)
        for index, state in enumerate(states):
            if state.unsent:
                usage = checked.usage(generations) if report_usage else None
                size = checked.max_size if checked.request.echo and not state.started else 0
                yield await run_off_loop(size, partial(state.event, index, usage))


@dataclass
class StreamState:
    """One text of a stream; `echo` returns the echoed prompt once it is read."""

    checked: CheckedRequest
    prompt: Prompt
    echo: Callable[[], tuple[str, tuple[LogprobsJson, ...]]]
    unsent: list[TextPart] = field(default_factory=list[TextPart])
    started: bool = False
    ended: bool = False
    num_sent: int = 0
    """Characters, with the echoed prompt."""

    def end(self, written: TextPart) -> None:
        """Add the end of a text that was cut off or chosen among others."""
        if not self.ended and not any(part.finish_reason for part in self.unsent):
            is_sent = self.started or self.unsent
            self.unsent.append(replace(written, text="", tokens=()) if is_sent else written)

    def event(self, index: int, usage: Usage | None) -> bytes:
        """Build an event of the new text."""
        parts, self.unsent = self.unsent, []
        new = "".join(part.text for part in parts)
        echoed, tokens = ("", ()) if self.started else self.echo()
        self.started, self.ended = True, parts[-1].finish_reason is not None
        choice = self.prompt.choice(echoed + new, index, parts[-1])
        begin = self.num_sent + len(echoed)
        self.num_sent = begin + len(new)
        if self.checked.request.logprobs is not None:
            vocabulary = self.checked.loaded.completer.vocabulary
            decided = [token for part in parts for token in part.tokens]
            tokens = (*tokens, logprobs_json(_logprobs(vocabulary, decided, begin, self.num_sent)))
        return format_sse_event(data_str=self.checked.response_json(choice_json(choice, *tokens), usage).decode())
