"""`POST /v1/completions`: from OpenAI's request to texts that are written together, and back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from kammil.completion import Completer, Options
from kammil.decoding import FinishReason, Guide
from kammil.prefixes import Prefixes
from kammil.server.engine import Piece, Token, Writing
from kammil.server.errors import ApiError
from kammil.server.registry import Served
from kammil.server.schemas import PROMPTS as MOST
from kammil.server.schemas import TEXTS, Choice, CompletionRequest, CompletionResponse, Logprobs, Usage
from kammil.server.settings import Serving
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

SPECIAL = {PAD: "<|pad|>", UNK: "<|unknown|>", BOS: "<|startoftext|>", EOS: "<|endoftext|>"}
"""What tokens that are no character are called. As text they are the characters of their names, nothing special."""


STOP: dict[FinishReason, Literal["stop", "length"]] = {"end": "stop", "stop": "stop", "length": "length"}
"""Why a text ends, in OpenAI's words."""
PING = 15.0
"""Seconds of silence after which a stream says that it is still there."""
LONGEST = 100_000
"""Characters of all prompts of a request at most."""

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
    guide: Guide
    n: int
    top: int | None
    echo: bool
    prefixes: Prefixes
    deadline: float
    id: str
    created: int

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


def plan(request: CompletionRequest, served: Served, settings: Serving) -> Plan:
    """Check a request against its model; `ApiError` or `OptionError` for the first thing that is wrong."""
    if request.suffix:
        raise ApiError(
            400, "suffix is given, but no model here was trained to fill gaps; leave it out.", param="suffix"
        )
    n = request.n or 1
    best_of = request.best_of or n
    if best_of < n:
        raise ApiError(400, f"best_of is {best_of}, but n is {n}; it must be at least n.", param="best_of")
    if request.stream and best_of > n:
        raise ApiError(
            400, "best_of is above n, but what is best is known at the end only; do not stream.", param="best_of"
        )
    beams = request.beams or 1
    if beams > 1 and request.logprobs is not None:
        raise ApiError(400, "logprobs are not given for beams; leave one of them out.", param="logprobs")
    prompts = tuple(_prompts("" if request.prompt is None else request.prompt, served.model))
    if len(prompts) * max(n, best_of, beams) > TEXTS:
        raise ApiError(400, f"more than {TEXTS} texts are asked for; ask for fewer at a time.", param="n")
    if sum(prompt.tokens for prompt in prompts) > LONGEST:
        raise ApiError(400, f"the prompt has more than {LONGEST} characters; shorten it.", param="prompt")
    length = 16 if request.max_tokens is None else request.max_tokens
    if length > settings.max_tokens:
        message = f"max_tokens is {length}, but this server writes {settings.max_tokens} characters at most."
        raise ApiError(400, message, param="max_tokens")
    options = _options(request, length, best_of if best_of > n else 1)
    return Plan(
        served,
        prompts,
        served.model.guide(options, n, bias=_bias(request.logit_bias or {}, served.model.vocabulary)),
        n,
        request.logprobs,
        bool(request.echo),
        served.prefixes(request.session),
        time.monotonic() + settings.seconds,
        f"cmpl-{secrets.token_hex(12)}",
        int(time.time()),
    )


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
    began = bool(len(ids)) and int(ids[0]) == BOS
    characters = ids[1:] if began else ids
    wrong = characters[((characters < SPECIALS) & (characters != UNK)) | (characters >= model.vocabulary.size)]
    if len(wrong):
        raise ApiError(400, f"token {int(wrong[0])} of the prompt is no character of this model.", param="prompt")
    return Prompt(np.concatenate([[BOS], characters]), began=began)


async def complete(plan: Plan) -> CompletionResponse:
    """Write all texts of a request, and answer."""
    writings = [plan.writing(prompt) for prompt in plan.prompts]
    try:
        for writing in writings:
            plan.served.engine.submit(writing)
        answers = await asyncio.gather(*(writing.answer for writing in writings))
    finally:
        for writing in writings:
            writing.left = True
    choices: list[Choice] = []
    decided = 0
    for writing, prompt, texts in zip(writings, plan.prompts, answers, strict=True):
        plan.served.worked(writing, prompt.tokens)
        start = echoed(plan, writing)
        for written in texts:
            decided += written.decided
            logprobs = None
            if plan.top is not None:
                own = Tokens(plan.served.model.vocabulary, len(start.text))
                own.add(written.tokens, len(start.text) + len(written.text))
                logprobs = merged(start.logprobs, own.made)
            choices.append(
                Choice(
                    text=start.text + written.text,
                    index=len(choices),
                    logprobs=logprobs,
                    finish_reason=STOP[written.finish_reason],
                )
            )
    return plan.response(choices, usage(plan, decided))


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


def echoed(plan: Plan, writing: Writing) -> Choice:
    """What stands before every text of a prompt: nothing, or the prompt as the model sees it, with its tokens."""
    if not plan.echo:
        return Choice(text="", index=0)
    vocabulary = plan.served.model.vocabulary
    text = vocabulary.decode(writing.ids)
    if writing.scanning is None:
        return Choice(text=text, index=0)
    tokens = writing.scanning.tokens
    if any(prompt.ids is writing.ids and prompt.began for prompt in plan.prompts):
        tokens = [Token(BOS, 0.0, ()), *tokens]
    made = Tokens(vocabulary, 0)
    made.add(tokens, len(text), unconditional=True)
    return Choice(text=text, index=0, logprobs=made.made)


def merged(first: Logprobs | None, second: Logprobs) -> Logprobs:
    """Two lists of tokens, one after the other."""
    if first is None:
        return second
    return Logprobs(
        tokens=first.tokens + second.tokens,
        token_logprobs=first.token_logprobs + second.token_logprobs,
        top_logprobs=first.top_logprobs + second.top_logprobs,
        text_offset=first.text_offset + second.text_offset,
    )
