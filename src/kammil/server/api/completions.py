"""`POST /v1/completions`, as OpenAI's, whole or as server-sent events."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import AsyncExitStack
from itertools import chain
from typing import cast

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from kammil.completion.completer import Prompt
from kammil.completion.scoring import TokenScore, TokenScorer
from kammil.completion.state_cache import Result
from kammil.decoding.constraints import Constraints
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.options import DecodingOptions, Options
from kammil.decoding.sampling import Step
from kammil.language_model import Ids
from kammil.server.api.responses import (
    ERRORS,
    ApiError,
    insert_json,
    items_json,
    json_response,
    logged,
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
from kammil.server.workers import Work
from kammil.vocabulary import BOS, EOS, SPECIALS, UNK, CharacterVocabulary

MAX_CHARACTERS = 100_000
"""Maximum for all prompts together, before and after normalisation."""
DONE = format_sse_event(data_str="[DONE]")

_SAME_MEANING = DecodingOptions.model_fields.keys() & (
    CompletionRequest.model_fields.keys() - {"top_k", "stop", "seed", "best_of"}
)

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
        loaded.log_prompt(body.prompt)
        work = CompletionWork(body, loaded).run()
        if not body.stream:
            return json_response(await while_connected(request, loaded.run(work)))
        events = loaded.stream(work)
        first = await while_connected(request, anext(events))  # with what is wrong with the request, if anything
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return EventSourceResponse(_to_the_end(first, events, stack.pop_all()), headers=headers)


async def _to_the_end(first: bytes, events: AsyncGenerator[bytes], stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """Yield the events of a stream, or a comment for none, and the end; then close the stack."""
    stack.push_async_callback(events.aclose)
    async with stack:
        try:
            yield first or KEEPALIVE_COMMENT
            async for event in events:
                yield event or KEEPALIVE_COMMENT
        except Exception as error:
            yield format_sse_event(data_str=json.dumps(logged(error, "a stream").detail()))
        yield DONE


class CompletionWork:
    """The work of one request, for `Workers`."""

    def __init__(self, request: CompletionRequest, loaded: LoadedModel) -> None:
        self.request, self.loaded, self.n = request, loaded, request.n or 1
        self.completer = loaded.completer_of(request.session)
        self.vocabulary = self.completer.vocabulary
        options = request.stream_options or StreamOptions()
        self._reports_usage = bool(request.stream and options.include_usage)
        self._reports_always = self._reports_usage and bool(options.continuous_usage_stats)
        self._id, self._created = f"cmpl-{secrets.token_hex(12)}", int(time.time())
        self._num_read = self._num_written = 0  # tokens
        self._late = False

    def run(self) -> Work[bytes]:
        """Yield events if they are asked for, else nothing, and return the whole response as JSON."""
        self.completer = self.completer.in_context(self.request.context or ())
        yield None
        given, constraints = self._given(), self._constraints()
        prompts = [self._prompt(one, constraints) for one in given]
        self._check(prompts, constraints)
        self._num_read = sum(prompt.num_tokens for prompt in prompts)
        choices = list[bytes]()
        for number, prompt in enumerate(prompts):
            choices += yield from self._complete(prompt, constraints, number * self.n)
        if self.request.stream:
            if self._reports_usage:
                yield self._event(b"", usage=True)
            return b""
        return self._response(b",".join(choices), usage=True)

    def _complete(
        self, prompt: PromptReader, constraints: Constraints, first: int
    ) -> Generator[bytes | None, None, list[bytes]]:
        """Yield events of a prompt's texts, whose first has this index in the answer, and return the last parts."""
        request, metrics, begun = self.request, self.loaded.workers.metrics, time.monotonic()
        goes_on = EOS not in map(int, request.logit_bias or {})  # with its end named, the model decides
        constraints = constraints.at(prompt.prompt.text, prompt.prompt.typed, goes_on=goes_on)
        choices, written, writing = [ChoiceState(prompt, first + i) for i in range(self.n)], self._num_written, None
        try:
            if self._late:
                raise TimeoutError
            step = yield from prompt.read()
            assert prompt.after is not None
            writing = self.completer.write_after(constraints, *prompt.after, step=step)
            metrics.live.inc(len(writing.drawn))
            for _ in writing:
                self._num_written = written + sum(one.num_decisions for one in writing.drawn)
                yield
                for choice, hypothesis in zip(choices, () if writing.chooses else writing.drawn, strict=False):
                    if request.stream and (part := choice.part(hypothesis)) is not None:
                        yield self._event(part, usage=self._reports_always)
        except TimeoutError:
            self._late = True
        finally:
            if writing is not None:
                metrics.live.dec(max(self.n, constraints.options.best_of))
            seconds = time.monotonic() - begun
            metrics.count_tokens(self.loaded.name, prompt.num_tokens, self._num_written - written, seconds)
        texts = [constraints.hypothesis() for _ in choices] if writing is None else writing.texts()
        parts = [choice.part(text, ends=True) for choice, text in zip(choices, texts, strict=False)]
        last = [part for part in parts if part is not None]
        for part in last if request.stream else ():
            yield self._event(part, usage=self._reports_always)
        return last

    def _given(self) -> list[str | list[int]]:
        """Return the prompts; `ApiError` for too many or too long ones, before any work on them."""
        match "" if self.request.prompt is None else self.request.prompt:
            case str() | [int(), *_] as one:
                given: list[str | list[int]] = [one]
            case many:
                given = cast("list[str | list[int]]", many)
        if sum(map(len, given)) > MAX_CHARACTERS:
            raise _too_long()
        if not 0 < len(given) <= MAX_PROMPTS:
            raise ApiError(
                400, f"there are {len(given)} prompts, but there must be 1 to {MAX_PROMPTS}.", param="prompt"
            )
        return given

    def _constraints(self) -> Constraints:
        """Return the constraints of the texts; `ApiError` or `OptionError` for options that do not fit together."""
        request, settings = self.request, self.loaded.settings
        best_of = request.best_of or self.n
        length = 16 if request.max_tokens is None else request.max_tokens
        if request.stream_options is not None and not request.stream:
            message = "stream_options are given, but stream is not true; leave them out or set stream."
            raise ApiError(400, message, param="stream_options")
        if best_of < self.n:
            raise ApiError(400, f"best_of is {best_of}, but n is {self.n}; it must be at least n.", param="best_of")
        if request.stream and best_of > self.n:
            message = "best_of is above n, but which text is best is known only at the end; do not stream."
            raise ApiError(400, message, param="best_of")
        if length > settings.max_tokens:
            message = f"max_tokens is {length}, but this server generates at most {settings.max_tokens} characters."
            raise ApiError(400, message, param="max_tokens")
        return self.completer.constraints(
            _decoding_options(request, length, self.n),
            self.n,
            bias=_logit_bias(request.logit_bias or {}, self.vocabulary),
            taught=self.loaded.learnt_texts.user_allowed_words(request.session),
        )

    def _prompt(self, given: str | list[int], constraints: Constraints) -> PromptReader:
        if isinstance(given, str):
            read = self.completer.read_prompt(given, constraints)
            return PromptReader(self, read, np.concatenate([[BOS], self.vocabulary.encode(read.text)]))
        ids = np.array(given, np.int64)
        wrong = ids[ids >= self.vocabulary.size]
        if len(wrong):
            raise ApiError(400, f"token {int(wrong[0])} of the prompt does not exist in this model.", param="prompt")
        has_bos = bool(len(ids)) and int(ids[0]) == BOS
        characters = ids[1:] if has_bos else ids
        # The model never saw special tokens inside a text.
        characters = np.where(characters < SPECIALS, UNK, characters)
        text = self.vocabulary.decode(characters)
        return PromptReader(self, Prompt(text, text), np.concatenate([[BOS], characters]), has_bos=has_bos)

    def _check(self, prompts: Sequence[PromptReader], constraints: Constraints) -> None:
        """Check the size of the answer; `ApiError` where it is too large."""
        request, maximum, decoding = self.request, self.loaded.settings.max_answer, constraints.options
        num_tokens, most = sum(prompt.num_tokens for prompt in prompts), max(self.n, decoding.best_of)
        if num_tokens > MAX_CHARACTERS:
            raise _too_long()
        if len(prompts) * most > MAX_TEXTS:
            message = f"the request asks for more than {MAX_TEXTS} texts; ask for fewer at a time."
            raise ApiError(400, message, param="n")
        if request.logprobs is None and not request.echo:
            return
        echoed = num_tokens if request.echo else 0
        size = (echoed + len(prompts) * decoding.length) * most * (1 + (request.logprobs or 0))
        if size > maximum:
            message = (
                f"the answer may hold {size} tokens and alternatives, (prompt + max_tokens) x n x (1 + logprobs), "
                f"but at most {maximum} are allowed; ask for less at a time."
            )
            raise ApiError(400, message, param="logprobs" if request.logprobs is not None else "n")

    def _response(self, choices: bytes, *, usage: bool) -> bytes:
        """Write a response, or what an event holds."""
        read, written = self._num_read, self._num_written
        used = Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)
        response = CompletionResponse(
            id=self._id,
            created=self._created,
            model=self.loaded.name,
            system_fingerprint=self.loaded.fingerprint,
            choices=[],
            usage=used if usage else None,
        )
        return insert_json(response, "choices", b"[%s]" % choices)

    def _event(self, choices: bytes, *, usage: bool) -> bytes:
        return format_sse_event(data_str=self._response(choices, usage=usage).decode())


def _too_long() -> ApiError:
    return ApiError(400, f"the prompt has more than {MAX_CHARACTERS} characters; shorten it.", param="prompt")


class PromptReader:
    """Reads a prompt, and scores it if the answer is to hold that."""

    def __init__(self, work: CompletionWork, prompt: Prompt, ids: Ids, *, has_bos: bool = False) -> None:
        self.work, self.prompt, self.ids, self._has_bos = work, prompt, ids, has_bos
        self.num_tokens = len(ids) - (not has_bos)
        """Number of the client's tokens; `ids`, (T,), begin with BOS, which a client may have sent."""
        self.echoed = work.vocabulary.decode(ids) if work.request.echo else ""
        self.tokens: list[TokenScore] = []
        """Of what is echoed, if they are reported."""
        self.after: Result | None = None
        """What follows it, once it is read."""

    def scorer(self, after: Result) -> TokenScorer:
        """Return the scorer of what follows."""
        model, num_top = self.work.completer.language_model, self.work.request.logprobs or 0
        return TokenScorer(model, self.work.vocabulary, *after, num_top)

    def read(self) -> Generator[None, None, Step | None]:
        """Yield between its pieces, and return what reads the next character."""
        cache, request = self.work.completer.state_cache, self.work.request
        if not request.echo or request.logprobs is None:
            prefill = yield from cache.reading(self.ids)
            self.after = prefill.result
            return prefill.step
        scorer = self.scorer(cache.decoder(self.ids[:1]).result)
        self.tokens = [TokenScore(BOS, 0.0, ())] * self._has_bos
        for piece in scorer.read(self.ids[1:]):
            self.tokens += piece
            yield
        self.after = scorer.after
        return None


class ChoiceState:
    """One text of the answer, as far as it was sent."""

    def __init__(self, reader: PromptReader, index: int) -> None:
        self._reader, self._index = reader, index
        self._scorer: TokenScorer | None = None
        self._num_sent = self._num_scored = 0  # characters
        self._begun = self._ended = False

    def part(self, hypothesis: Hypothesis, *, ends: bool = False) -> bytes | None:
        """Return the choice of what is new, if anything, as JSON; if the text `ends`, as it is."""
        ends, end = ends or hypothesis.reason is not None, hypothesis.safe()
        if self._ended or (not ends and end == self._num_sent):
            return None
        reader, prompt, reason = self._reader, self._reader.prompt, hypothesis.reason or "length"
        echoed, tokens = ("", []) if self._begun else (reader.echoed, reader.tokens)
        begin = len(reader.echoed) + self._num_sent - len(echoed)
        choice = Choice(
            text=echoed + hypothesis.text[self._num_sent : end],
            index=self._index,
            finish_reason=None if not ends else "stop" if reason == "end" else reason,
            reading=prompt.reading,
            replaces=prompt.replaces,
            stock=hypothesis.likeness is not None,
        )
        logprobs = None
        if reader.work.request.logprobs is not None:
            scored, is_first = [*tokens, *self._score(hypothesis, end, ends=ends)], bool(tokens)
            last = begin + len(choice.text)
            logprobs = _logprobs(reader.work.vocabulary, scored, begin, last, unconditional=is_first)
        self._begun, self._ended, self._num_sent = True, ends, end
        return choice_json(choice, logprobs)

    def _score(self, hypothesis: Hypothesis, end: int, *, ends: bool) -> list[TokenScore]:
        """Score what was decided up to a place, or, if the text ends, whatever was decided."""
        if self._reader.after is None:
            return []
        self._scorer = self._scorer or self._reader.scorer(self._reader.after)
        decided = hypothesis.text + hypothesis.cut if ends else hypothesis.text[:end]
        ids = self._reader.work.vocabulary.encode(decided[self._num_scored :])
        self._num_scored = len(decided)
        if ends and hypothesis.reason == "end":
            ids = np.append(ids, EOS)
        return [*chain.from_iterable(self._scorer.read(ids))]


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
    if request.best_of:
        options["best_of"] = best_of if best_of > n else 1
    return cast(Options, options)


def _logit_bias(given: dict[str, float], vocabulary: CharacterVocabulary) -> dict[int, float]:
    for name in given:
        if not (name.isascii() and name.isdigit() and len(name) < 10 and int(name) < vocabulary.size):
            message = f"logit_bias names a token that does not exist; tokens are whole numbers below {vocabulary.size}."
            raise ApiError(400, message, param="logit_bias")
    return {int(name): value for name, value in given.items()}


def _logprobs(
    vocabulary: CharacterVocabulary, tokens: Sequence[TokenScore], begin: int, end: int, unconditional: bool = False
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


def choice_json(choice: Choice, logprobs: Logprobs | None) -> bytes:
    """Write a choice, its tokens piece by piece."""
    if logprobs is None:
        return choice.model_dump_json().encode()
    lists = (b'"%s":[%s]' % (name.encode(), items_json(getattr(logprobs, name))) for name in Logprobs.model_fields)
    return insert_json(choice, "logprobs", b"{%s}" % b",".join(lists), empty=b"null")
