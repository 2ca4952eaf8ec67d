"""`POST /v1/completions`: from OpenAI's request to texts that are written together, and back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.state_cache import StateCache
from kammil.decoding import Constraints, FinishReason
from kammil.decoding.options import Options
from kammil.server.api import bodies
from kammil.server.api.errors import ApiError
from kammil.server.api.schemas import PROMPTS as MOST
from kammil.server.api.schemas import TEXTS, Choice, CompletionRequest, CompletionResponse, Logprobs, Usage
from kammil.server.model_pool import Served
from kammil.server.scheduler import Piece, Token, Writing, Written
from kammil.server.settings import Serving
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

SPECIAL = {PAD: "<|pad|>", UNK: "<|unknown|>", BOS: "<|startoftext|>", EOS: "<|endoftext|>"}
"""What tokens that are no character are called. As text they are the characters of their names, nothing special."""


STOP: dict[FinishReason, Literal["stop", "length"]] = {"end": "stop", "stop": "stop", "length": "length"}
"""Why a text ends, in OpenAI's words."""
PING = 15.0
"""Seconds of silence after which a stream says that it is still there."""
LONGEST = 100_000
"""Characters of all prompts of a request at most, as they are given and as the model sees them."""

Ids = NDArray[np.int64]
Report = Callable[[list[Piece]], None]


@dataclass(frozen=True)
class Prompt:
    """One prompt as the model reads it."""

    ids: Ids
    """(T,), BOS in front."""
    began: bool
    """Whether the client sent BOS itself, so that it is one of its tokens."""

    @property
    def tokens(self) -> int:
        """How many the client sent."""
        return len(self.ids) - (not self.began)


@dataclass(frozen=True)
class Plan:
    """A request that was checked, and the model that answers."""

    served: Served
    prompts: tuple[Prompt, ...]
    guide: Constraints
    n: int
    top: int | None
    echo: bool
    prefixes: StateCache
    deadline: float
    id: str
    created: int
    size: int
    """Tokens and alternatives of the answer at most, echoed prompts included."""

    def writing(self, prompt: Prompt, progress: Report | None = None) -> Writing:
        """The call for one prompt."""
        return Writing(
            self.deadline,
            self.served.model,
            prompt.ids,
            self.guide,
            self.n,
            top=self.top,
            echo=self.echo,
            prefixes=self.prefixes,
            progress=progress,
        )

    def response(self, choices: list[Choice], usage: Usage | None) -> CompletionResponse:
        """An answer, or a piece of one."""
        return CompletionResponse(
            id=self.id,
            created=self.created,
            model=self.served.name,
            system_fingerprint=self.served.fingerprint,
            choices=choices,
            usage=usage,
        )


async def plan(request: CompletionRequest, served: Served, settings: Serving) -> Plan:
    """Check a request against its model; `ApiError` or `OptionError` for the first thing that is wrong."""
    given = "" if request.prompt is None else request.prompt
    length = _length(given)
    if length > LONGEST:  # before anything is done with it
        raise ApiError(400, f"the prompt has more than {LONGEST} characters; shorten it.", param="prompt")
    prompts = tuple(await bodies.aside(length, partial(_prompts, given, served.model)))
    return _plan(request, prompts, served, settings)


def _plan(request: CompletionRequest, prompts: tuple[Prompt, ...], served: Served, settings: Serving) -> Plan:
    if request.suffix:
        raise ApiError(
            400, "suffix is given, but no model here was trained to fill gaps; leave it out.", param="suffix"
        )
    if request.stream_options is not None and not request.stream:
        message = "stream_options are given, but stream is not true; leave them out, or stream."
        raise ApiError(400, message, param="stream_options")
    n = request.n or 1
    best_of = request.best_of or n
    if best_of < n:
        raise ApiError(400, f"best_of is {best_of}, but n is {n}; it must be at least n.", param="best_of")
    if request.stream and best_of > n:
        raise ApiError(
            400, "best_of is above n, but what is best is known at the end only; do not stream.", param="best_of"
        )
    beams = request.beams or (max(2, best_of) if request.use_beam_search else 1)
    if request.use_beam_search:  # there best_of is how many beams there are
        best_of = n
    if beams > 1 and request.logprobs is not None:
        raise ApiError(400, "logprobs are not given for beams; leave one of them out.", param="logprobs")
    if len(prompts) * max(n, best_of, beams) > TEXTS:
        raise ApiError(400, f"more than {TEXTS} texts are asked for; ask for fewer at a time.", param="n")
    if sum(prompt.tokens for prompt in prompts) > LONGEST:
        raise ApiError(400, f"the prompt has more than {LONGEST} characters; shorten it.", param="prompt")
    length = 16 if request.max_tokens is None else request.max_tokens
    if length > settings.max_tokens:
        message = f"max_tokens is {length}, but this server writes {settings.max_tokens} characters at most."
        raise ApiError(400, message, param="max_tokens")
    size = _size(request, prompts, length, max(n, best_of))
    if size > settings.answer:
        message = (
            f"the answer may hold {size} tokens and alternatives, (prompt + max_tokens) x n x (1 + logprobs), "
            f"but {settings.answer} is the most; ask for less at a time."
        )
        raise ApiError(400, message, param="logprobs" if request.logprobs is not None else "n")
    options = _options(request, length, best_of if best_of > n else 1)
    if request.use_beam_search:
        options["beams"] = beams
    return Plan(
        served,
        prompts,
        served.model.constraints(options, n, bias=_bias(request.logit_bias or {}, served.model.vocabulary)),
        n,
        request.logprobs,
        bool(request.echo),
        served.prefixes(request.session),
        time.monotonic() + settings.seconds,
        f"cmpl-{secrets.token_hex(12)}",
        int(time.time()),
        size,
    )


def _length(given: str | list[str] | list[int] | list[list[int]]) -> int:
    """Characters of all prompts, as they are given."""
    if isinstance(given, str):
        return len(given)
    return sum(1 if isinstance(one, int) else len(one) for one in given)


def _size(request: CompletionRequest, prompts: Sequence[Prompt], length: int, n: int) -> int:
    """Tokens and alternatives of the answer at most; texts by themselves are bounded already."""
    if request.logprobs is None and not request.echo:
        return 0
    echoed = sum(prompt.tokens for prompt in prompts) if request.echo else 0
    return (echoed + len(prompts) * length) * n * (1 + (request.logprobs or 0))


def _options(request: CompletionRequest, length: int, best_of: int) -> Options:
    """What the fields mean to `Decoding`. With a preset only what was sent counts, else OpenAI's defaults."""
    given = request.model_fields_set if request.preset else CompletionRequest.model_fields.keys()
    options: dict[str, object] = {"length": length, "preset": request.preset}
    for name in (
        "temperature",
        "top_p",
        "min_p",
        "typical_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "beams",
    ):
        value = getattr(request, name) if name in given else None
        if value is None and not request.preset:  # sent as null, which is the default too
            value = CompletionRequest.model_fields[name].default
        if value is not None:
            options[name] = value
    if options.get("top_p") == 0:  # OpenAI allows it: the most probable one alone
        options["top_p"] = 1e-9
    if request.top_k is not None and request.top_k > 0:
        options["top_k"] = request.top_k
    if best_of > 1:
        options["best_of"] = best_of
    if request.stop:
        options["stop"] = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop)
    options["seed"] = secrets.randbits(32) if request.seed is None else request.seed % (1 << 64)
    return cast(Options, options)


def _bias(given: dict[str, float], vocabulary: CharacterVocabulary) -> dict[int, float]:
    """`logit_bias` by id."""
    made: dict[int, float] = {}
    for name, value in given.items():
        if not (name.isascii() and name.isdigit() and len(name) < 10 and int(name) < vocabulary.size):
            message = f"logit_bias names a token that is none; tokens are whole numbers below {vocabulary.size}."
            raise ApiError(400, message, param="logit_bias")
        made[int(name)] = value
    return made


def _prompts(given: str | list[str] | list[int] | list[list[int]], model: Completer) -> list[Prompt]:
    """Prompts as the model reads them: texts as they are normalised, tokens as they are."""
    match given:
        case str():
            some: list[str | list[int]] = [given]
        case [int(), *_]:
            some = [given]
        case _:
            some = [*cast("list[str | list[int]]", given)]
    if not 0 < len(some) <= MOST:
        raise ApiError(400, f"there are {len(some)} prompts, but there must be 1 to {MOST}.", param="prompt")
    return [_prompt(one, model) for one in some]


def _prompt(given: str | list[int], model: Completer) -> Prompt:
    if isinstance(given, str):
        return Prompt(np.concatenate([[BOS], model.vocabulary.encode(model.normalise(given))]), began=False)
    ids = np.array(given, np.int64)
    wrong = ids[ids >= model.vocabulary.size]
    if len(wrong):
        raise ApiError(400, f"token {int(wrong[0])} of the prompt is none of this model's.", param="prompt")
    began = bool(len(ids)) and int(ids[0]) == BOS
    characters = ids[1:] if began else ids
    # Where no special stood while the model learnt, it is a character that nobody knows.
    characters = np.where(characters < SPECIALS, UNK, characters)
    return Prompt(np.concatenate([[BOS], characters]), began=began)


async def complete(plan: Plan) -> bytes:
    """Write all texts of a request; the answer as JSON."""
    writings = [plan.writing(prompt) for prompt in plan.prompts]
    try:
        for writing in writings:
            plan.served.engine.submit(writing)
        answers = await asyncio.gather(*(writing.answer for writing in writings))
    finally:
        for writing in writings:
            writing.left = True
    for writing, prompt in zip(writings, plan.prompts, strict=True):
        plan.served.worked(writing, prompt.tokens)
    return await bodies.aside(plan.size, partial(_body, plan, writings, answers))


def _body(plan: Plan, writings: Sequence[Writing], answers: Sequence[Sequence[Written]]) -> bytes:
    """The answer as JSON."""
    choices: list[bytes] = []
    decided = 0
    for writing, texts in zip(writings, answers, strict=True):
        start = Start(plan, writing)
        for written in texts:
            decided += written.decided
            tokens = start.tokens
            if plan.top is not None:
                own = Tokens(plan.served.model.vocabulary, len(start.text))
                own.add(written.tokens, len(start.text) + len(written.text))
                tokens = (*tokens, bodies.lists(own.made))
            reason = STOP[written.finish_reason]
            made = Choice(text=start.text + written.text, index=len(choices), finish_reason=reason)
            choices.append(bodies.choice(made, *tokens))
    return bodies.filled(plan.response([], usage(plan, decided)), "choices", b",".join(choices))


def usage(plan: Plan, decided: int) -> Usage:
    """What was read and written."""
    read = sum(prompt.tokens for prompt in plan.prompts)
    return Usage(prompt_tokens=read, completion_tokens=decided, total_tokens=read + decided)


class Tokens:
    """Tokens in OpenAI's shape, as they come.

    Args:
        vocabulary: of the model.
        begin: where the first of them stands.
    """

    def __init__(self, vocabulary: CharacterVocabulary, begin: int) -> None:
        """None yet."""
        self._vocabulary, self._at = vocabulary, begin
        self.made = Logprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])

    def add(self, tokens: Sequence[Token], end: int, *, unconditional: bool = False) -> None:
        """Take some more; `end` is how long the text is, behind which nothing stands.

        Of an `unconditional` first token there is no log-probability.
        """
        made = self.made
        for i, token in enumerate(tokens):
            name = self.name(token.id)
            made.tokens.append(name)
            made.text_offset.append(min(self._at, end))
            self._at += token.id not in SPECIAL or token.id == UNK
            if unconditional and i == 0:
                made.token_logprobs.append(None)
                made.top_logprobs.append(None)
                continue
            made.token_logprobs.append(token.log_probability)
            top = {self.name(id): value for id, value in token.top}
            top.setdefault(name, token.log_probability)
            made.top_logprobs.append(top)

    def name(self, id: int) -> str:
        """What a token is called."""
        return SPECIAL.get(id) or self._vocabulary.piece(id)


class Start:
    """What stands before every text of a prompt: nothing, or the prompt as the model sees it, with its tokens.

    Args:
        plan: of the request.
        writing: of the prompt, which is read.
    """

    def __init__(self, plan: Plan, writing: Writing) -> None:
        """Write it once, however many texts follow."""
        self.text = ""
        self.tokens: tuple[bodies.Lists, ...] = ()
        if not plan.echo:
            return
        vocabulary = plan.served.model.vocabulary
        self.text = vocabulary.decode(writing.ids)
        if writing.scanning is None:
            return
        tokens = writing.scanning.tokens
        if any(prompt.ids is writing.ids and prompt.began for prompt in plan.prompts):
            tokens = [Token(BOS, 0.0, ()), *tokens]
        made = Tokens(vocabulary, 0)
        made.add(tokens, len(self.text), unconditional=True)
        self.tokens = (bodies.lists(made.made),)
