"""`POST /v1/completions`: checks OpenAI's request, has the scheduler generate its texts, and writes OpenAI's
response."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.state_cache import StateCache
from kammil.decoding import Constraints, FinishReason
from kammil.decoding.options import DecodingOptions, Options
from kammil.server.api import bodies
from kammil.server.api.errors import ApiError
from kammil.server.api.schemas import (
    MAX_PROMPTS,
    MAX_TEXTS,
    Choice,
    CompletionRequest,
    CompletionResponse,
    Logprobs,
    Usage,
)
from kammil.server.model_pool import LoadedModel
from kammil.server.scheduler import Delta, GeneratedText, Generation, ModelUpdate, TokenLogprobs
from kammil.server.settings import ServerSettings
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

SPECIAL_NAMES = {PAD: "<|pad|>", UNK: "<|unknown|>", BOS: "<|startoftext|>", EOS: "<|endoftext|>"}
"""Names of the special tokens. In a text such a name is only its characters."""


FINISH_REASONS: dict[FinishReason, Literal["stop", "length"]] = {"end": "stop", "stop": "stop", "length": "length"}
"""OpenAI's names of the finish reasons."""
PING_SECONDS = 15.0
"""Seconds without an event after which a stream sends a comment to keep the connection open."""
MAX_CHARACTERS = 100_000
"""Most characters of all prompts of a request together, before and after normalisation."""

_SAME_MEANING = DecodingOptions.model_fields.keys() - {"top_k", "stop", "seed", "best_of"}
"""Decoding options whose values are those of the field of the same name."""

Ids = NDArray[np.int64]
OnDeltas = Callable[[list[Delta]], None]


@dataclass(frozen=True)
class Prompt:
    """A prompt as the model reads it."""

    ids: Ids
    """(T,), starting with BOS."""
    text: str
    """Its text, as the model sees it."""
    has_bos: bool
    """Whether the client sent BOS itself, so that it counts as one of its tokens."""
    reading: str = ""
    """Arabic at its end in place of Latin letters; see `Completer.reading`."""
    replaces: int = 0
    """How many characters of what the client sent that takes the place of."""
    typed: str = ""
    """Its text before it was read so."""

    @property
    def num_tokens(self) -> int:
        """Number of tokens of the text as it was read."""
        return len(self.ids) - (not self.has_bos)

    def choice(self, text: str, index: int) -> Choice:
        """Return a text that follows it, or a part of one."""
        return Choice(text=text, index=index, reading=self.reading, replaces=self.replaces)


@dataclass(frozen=True)
class CheckedRequest:
    """A request that was checked, and the model that answers it."""

    loaded: LoadedModel
    prompts: tuple[Prompt, ...]
    constraints: Constraints
    n: int
    num_top: int | None
    echo: bool
    state_cache: StateCache
    deadline: float
    id: str
    created: int
    max_size: int
    """Most tokens and alternatives that the response can hold, echoed prompts included."""

    def generation(self, prompt: Prompt, on_deltas: OnDeltas | None = None) -> Generation:
        """Create the scheduler's request for one prompt."""
        return Generation(
            self.deadline,
            self.loaded.completer,
            prompt.ids,
            self.constraints.at(prompt.text, prompt.typed),
            self.n,
            num_top=self.num_top,
            echo=self.echo,
            state_cache=self.state_cache,
            on_deltas=on_deltas,
        )

    def response(self, choices: list[Choice], usage: Usage | None) -> CompletionResponse:
        """Build a response, or one event of a stream."""
        return CompletionResponse(
            id=self.id,
            created=self.created,
            model=self.loaded.name,
            system_fingerprint=self.loaded.fingerprint,
            choices=choices,
            usage=usage,
        )


async def check(request: CompletionRequest, loaded: LoadedModel, settings: ServerSettings) -> CheckedRequest:
    """Check a request against its model; `ApiError` or `OptionError` for the first thing that is wrong."""
    given = "" if request.prompt is None else request.prompt
    length = _num_characters(given)
    if length > MAX_CHARACTERS:  # before any work on it
        raise ApiError(400, f"the prompt has more than {MAX_CHARACTERS} characters; shorten it.", param="prompt")
    prompts = tuple(await bodies.run_off_loop(length, partial(_prompts, given, loaded.completer)))
    checked = _check_with_prompts(request, prompts, loaded, settings)
    texts = [given] if isinstance(given, str) else [one for one in given if isinstance(one, str)]
    return await _with_readings(checked, texts) if checked.constraints.options.read_latin and texts else checked


async def _with_readings(checked: CheckedRequest, texts: Sequence[str]) -> CheckedRequest:
    """Return a request whose prompts, given as texts, go on from what their last words in Latin letters mean.

    Each is read by itself, so that others are answered in between.
    """
    completer, prompts = checked.loaded.completer, list[Prompt]()
    for prompt, text in zip(checked.prompts, texts, strict=True):
        read = partial(completer.reading, text, checked.state_cache)
        reading, replaces = await checked.loaded.scheduler.run(ModelUpdate(checked.deadline, read))
        ids = np.concatenate([prompt.ids[: len(prompt.ids) - replaces], completer.vocabulary.encode(reading)])
        seen = prompt.text[: len(prompt.text) - replaces] + reading
        prompts.append(replace(prompt, ids=ids, text=seen, reading=reading, replaces=replaces, typed=prompt.text))
    return replace(checked, prompts=tuple(prompts))


def _check_with_prompts(
    request: CompletionRequest, prompts: tuple[Prompt, ...], loaded: LoadedModel, settings: ServerSettings
) -> CheckedRequest:
    if request.stream_options is not None and not request.stream:
        message = "stream_options are given, but stream is not true; leave them out or set stream."
        raise ApiError(400, message, param="stream_options")
    n = request.n or 1
    best_of = request.best_of or n
    if best_of < n:
        raise ApiError(400, f"best_of is {best_of}, but n is {n}; it must be at least n.", param="best_of")
    if request.stream and best_of > n:
        raise ApiError(
            400, "best_of is above n, but which text is best is known only at the end; do not stream.", param="best_of"
        )
    length = 16 if request.max_tokens is None else request.max_tokens
    options = _decoding_options(request, length)
    if request.use_beam_search:  # in vLLM's API, best_of is the number of beams
        options["beams"] = options.get("beams") or max(2, best_of)
    elif request.best_of:
        options["best_of"] = best_of if best_of > n else 1
    if sum(prompt.num_tokens for prompt in prompts) > MAX_CHARACTERS:
        raise ApiError(400, f"the prompt has more than {MAX_CHARACTERS} characters; shorten it.", param="prompt")
    if length > settings.max_tokens:
        message = f"max_tokens is {length}, but this server generates at most {settings.max_tokens} characters."
        raise ApiError(400, message, param="max_tokens")
    decoding = DecodingOptions.for_texts(n, options)
    if decoding.beams > 1 and request.logprobs is not None:
        raise ApiError(400, "logprobs are not available with beams; leave one of them out.", param="logprobs")
    written = max(n, decoding.best_of, decoding.beams)
    if len(prompts) * written > MAX_TEXTS:
        raise ApiError(400, f"the request asks for more than {MAX_TEXTS} texts; ask for fewer at a time.", param="n")
    size = _max_size(request, prompts, length, max(n, decoding.best_of))
    if size > settings.max_answer:
        message = (
            f"the answer may hold {size} tokens and alternatives, (prompt + max_tokens) x n x (1 + logprobs), "
            f"but at most {settings.max_answer} are allowed; ask for less at a time."
        )
        raise ApiError(400, message, param="logprobs" if request.logprobs is not None else "n")
    completer = loaded.completer
    return CheckedRequest(
        loaded,
        prompts,
        completer.constraints(
            options,
            n,
            bias=_logit_bias(request.logit_bias or {}, completer.vocabulary),
            taught=loaded.learnt_texts.user_allowed_words(request.session),
        ),
        n,
        request.logprobs,
        bool(request.echo),
        loaded.state_cache(request.session),
        time.monotonic() + settings.timeout,
        f"cmpl-{secrets.token_hex(12)}",
        int(time.time()),
        size,
    )


def _num_characters(given: str | list[str] | list[int] | list[list[int]]) -> int:
    """Count the characters of all prompts, before normalisation."""
    if isinstance(given, str):
        return len(given)
    return sum(1 if isinstance(one, int) else len(one) for one in given)


def _max_size(request: CompletionRequest, prompts: Sequence[Prompt], length: int, n: int) -> int:
    """Return the most tokens and alternatives the response can hold; 0 if it holds only texts, which are bounded
    already."""
    if request.logprobs is None and not request.echo:
        return 0
    echoed = sum(prompt.num_tokens for prompt in prompts) if request.echo else 0
    return (echoed + len(prompts) * length) * n * (1 + (request.logprobs or 0))


def _decoding_options(request: CompletionRequest, length: int) -> Options:
    """Convert the fields to decoding options. With a preset, only fields that were sent count; otherwise OpenAI's
    defaults do."""
    given = request.model_fields_set if request.preset else CompletionRequest.model_fields.keys()
    options: dict[str, object] = {"length": length, "preset": request.preset}
    for name in _SAME_MEANING & CompletionRequest.model_fields.keys():
        value = getattr(request, name) if name in given else None
        if value is None and not request.preset:  # null means the default
            value = CompletionRequest.model_fields[name].default
        if value is not None:
            options[name] = value
    if options.get("top_p") == 0:  # OpenAI allows 0: only the most probable character
        options["top_p"] = 1e-9
    if request.top_k is not None and request.top_k > 0:
        options["top_k"] = request.top_k
    if request.stop:
        options["stop"] = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop)
    options["seed"] = secrets.randbits(32) if request.seed is None else request.seed % (1 << 64)
    return cast(Options, options)


def _logit_bias(given: dict[str, float], vocabulary: CharacterVocabulary) -> dict[int, float]:
    """Check `logit_bias`, and return it by id."""
    biases: dict[int, float] = {}
    for name, value in given.items():
        if not (name.isascii() and name.isdigit() and len(name) < 10 and int(name) < vocabulary.size):
            message = f"logit_bias names a token that does not exist; tokens are whole numbers below {vocabulary.size}."
            raise ApiError(400, message, param="logit_bias")
        biases[int(name)] = value
    return biases


def _prompts(given: str | list[str] | list[int] | list[list[int]], model: Completer) -> list[Prompt]:
    """Encode prompts: texts are normalised first, tokens are taken as they are."""
    match given:
        case str():
            prompts: list[str | list[int]] = [given]
        case [int(), *_]:
            prompts = [given]
        case _:
            prompts = [*cast("list[str | list[int]]", given)]
    if not 0 < len(prompts) <= MAX_PROMPTS:
        raise ApiError(400, f"there are {len(prompts)} prompts, but there must be 1 to {MAX_PROMPTS}.", param="prompt")
    return [_prompt(one, model) for one in prompts]


def _prompt(given: str | list[int], model: Completer) -> Prompt:
    if isinstance(given, str):
        text = model.normalise(given)
        return Prompt(np.concatenate([[BOS], model.vocabulary.encode(text)]), text, has_bos=False)
    ids = np.array(given, np.int64)
    wrong = ids[ids >= model.vocabulary.size]
    if len(wrong):
        raise ApiError(400, f"token {int(wrong[0])} of the prompt does not exist in this model.", param="prompt")
    has_bos = bool(len(ids)) and int(ids[0]) == BOS
    characters = ids[1:] if has_bos else ids
    # Inside a text the model has never seen special tokens, so they are unknown characters.
    characters = np.where(characters < SPECIALS, UNK, characters)
    return Prompt(np.concatenate([[BOS], characters]), model.vocabulary.decode(characters), has_bos=has_bos)


async def complete(checked: CheckedRequest) -> bytes:
    """Generate all texts of a request; return the response as JSON."""
    generations = [checked.generation(prompt) for prompt in checked.prompts]
    try:
        for generation in generations:
            checked.loaded.scheduler.submit(generation)
        answers = await asyncio.gather(*(generation.future for generation in generations))
    finally:
        for generation in generations:
            generation.abandoned = True
    for generation, prompt in zip(generations, checked.prompts, strict=True):
        checked.loaded.count_answered(generation, prompt.num_tokens)
    return await bodies.run_off_loop(checked.max_size, partial(_response_json, checked, generations, answers))


def _response_json(
    checked: CheckedRequest, generations: Sequence[Generation], answers: Sequence[Sequence[GeneratedText]]
) -> bytes:
    """Write the response as JSON."""
    choices: list[bytes] = []
    for generation, prompt, texts in zip(generations, checked.prompts, answers, strict=True):
        echo = EchoedPrompt(checked, generation)
        for text in texts:
            tokens = echo.logprobs
            if checked.num_top is not None:
                builder = LogprobsBuilder(checked.loaded.completer.vocabulary, len(echo.text))
                builder.add(text.tokens, len(echo.text) + len(text.text))
                tokens = (*tokens, bodies.logprobs_json(builder.logprobs))
            reason = FINISH_REASONS[text.finish_reason]
            choice = prompt.choice(echo.text + text.text, len(choices))
            choice.finish_reason, choice.stock = reason, text.stock
            choices.append(bodies.choice_json(choice, *tokens))
    return bodies.insert_items(checked.response([], usage(checked, generations)), "choices", b",".join(choices))


def usage(checked: CheckedRequest, generations: Sequence[Generation]) -> Usage:
    """Count the tokens that were read and generated so far, those of texts that were not chosen too."""
    read = sum(prompt.num_tokens for prompt in checked.prompts)
    written = sum(sequence.num_decisions for generation in generations for sequence in generation.sequences)
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


class LogprobsBuilder:
    """Collects tokens in OpenAI's form.

    Args:
        vocabulary: the model's.
        begin: offset of the first token in the text.
    """

    def __init__(self, vocabulary: CharacterVocabulary, begin: int) -> None:
        self._vocabulary, self._offset = vocabulary, begin
        self.logprobs = Logprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])

    def add(self, tokens: Sequence[TokenLogprobs], end: int, *, unconditional: bool = False) -> None:
        """Add tokens. `end` is the length of the text so far, which no offset exceeds.

        The first token of an `unconditional` text has no log-probability.
        """
        logprobs = self.logprobs
        for i, token in enumerate(tokens):
            name = self.token_name(token.id)
            logprobs.tokens.append(name)
            logprobs.text_offset.append(min(self._offset, end))
            self._offset += token.id not in SPECIAL_NAMES or token.id == UNK
            if unconditional and i == 0:
                logprobs.token_logprobs.append(None)
                logprobs.top_logprobs.append(None)
                continue
            logprobs.token_logprobs.append(token.log_probability)
            top = {self.token_name(id): value for id, value in token.top}
            top.setdefault(name, token.log_probability)
            logprobs.top_logprobs.append(top)

    def token_name(self, id: int) -> str:
        """Return the name of a token."""
        return SPECIAL_NAMES.get(id) or self._vocabulary.piece(id)


class EchoedPrompt:
    """What precedes every text of a prompt: nothing, or with `echo` the prompt after normalisation, with its tokens.

    Args:
        checked: the request.
        generation: the scheduler's request for the prompt, which has been read.
    """

    def __init__(self, checked: CheckedRequest, generation: Generation) -> None:
        """Write the tokens as JSON once, however many texts follow."""
        self.text = ""
        self.logprobs: tuple[bodies.LogprobsJson, ...] = ()
        if not checked.echo:
            return
        vocabulary = checked.loaded.completer.vocabulary
        self.text = vocabulary.decode(generation.ids)
        if generation.scorer is None:
            return
        tokens = generation.scorer.tokens
        if any(prompt.ids is generation.ids and prompt.has_bos for prompt in checked.prompts):
            tokens = [TokenLogprobs(BOS, 0.0, ()), *tokens]
        builder = LogprobsBuilder(vocabulary, 0)
        builder.add(tokens, len(self.text), unconditional=True)
        self.logprobs = (bodies.logprobs_json(builder.logprobs),)
