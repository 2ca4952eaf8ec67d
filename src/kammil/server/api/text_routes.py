"""Routes for suggestions, scores, learning, models and tokens."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from kammil.completion.completer import Completer
from kammil.completion.learning import CANNOT_LEARN
from kammil.completion.learning import MAX_CHARACTERS as LEARNT
from kammil.completion.scoring import TokenScore, TokenScorer
from kammil.completion.state_cache import STRIDE
from kammil.errors import OptionError
from kammil.server.api import responses, schemas
from kammil.server.api.completions import MAX_CHARACTERS
from kammil.server.api.responses import ApiError, json_response, while_connected
from kammil.server.model_pool import LoadedModel, ModelPool
from kammil.server.workers import Work, once
from kammil.vocabulary import BOS, EOS, PAD, UNK

router = APIRouter(responses=responses.ERRORS)

ModelName = Annotated[str | None, Query(max_length=1000, description="Name of a model; the first one by default.")]


def _session(description: str) -> Any:
    return Query(max_length=200, description=description)


def _pool(request: Request) -> ModelPool:
    return request.app.state.pool


@router.post("/v1/suggest", response_model=schemas.SuggestResponse)
async def suggest(body: schemas.SuggestRequest, request: Request) -> Response:
    """Suggest the most probable next words, or endings of the word that is being typed; optionally ghost text."""
    async with _pool(request).use(body.model, body.session) as loaded:
        loaded.log_prompt(body.prefix)
        work = suggestion_work(body, loaded, loaded.completer_of(body.session))
        return json_response(await while_connected(request, loaded.run(work)))


def suggestion_work(body: schemas.SuggestRequest, loaded: LoadedModel, completer: Completer) -> Work[bytes]:
    """Return the answer as JSON."""
    prefix, ghost = _check_length(body.prefix, "prefix"), body.phrase > 0
    completer = completer.in_context(body.context or ())
    yield
    taught = loaded.learnt_texts.user_allowed_words(body.session)
    query = completer.query(prefix, body.options, ghost=ghost, taught=taught)
    ids = query.text.ids
    # The beginning of a long text in pieces; the rest follows the begun word.
    yield from completer.state_cache.reading(ids[: max(0, len(ids) // STRIDE - 3) * STRIDE])
    yield
    suggestions = completer.suggest_for(query)
    yield
    phrase = completer.phrase_for(query) if ghost else None
    loaded.workers.metrics.count_tokens(loaded.name, len(query.text.seen))
    found = {"model": loaded.name, "suggestions": suggestions, "phrase": phrase}
    return schemas.SuggestResponse.model_validate(found, from_attributes=True).model_dump_json().encode()


@router.post("/v1/score", response_model=schemas.ScoreResponse)
async def score(body: schemas.ScoreRequest, request: Request) -> Response:
    """Score a text: how many bits each character costs, and which characters were more likely in its place."""
    async with _pool(request).use(body.model, body.session) as loaded:
        loaded.log_prompt(body.text)
        work = score_work(body, loaded, loaded.completer_of(body.session))
        return json_response(await while_connected(request, loaded.run(work)))


def score_work(body: schemas.ScoreRequest, loaded: LoadedModel, completer: Completer) -> Work[bytes]:
    """Return the answer as JSON."""
    maximum, vocabulary = loaded.settings.max_answer, completer.vocabulary
    text, given = _check_length(body.text, "text"), _check_length(body.given, "given")
    size = (len(given) + len(text)) * (1 + body.top)
    if size > maximum:
        message = (
            f"the answer may hold {size} characters and alternatives, (given + text) x (1 + top), "
            f"but at most {maximum} are allowed; ask for less at a time."
        )
        raise ApiError(400, message, param="top")
    completer = completer.in_context(body.context or ())
    yield
    before, normalised = completer.split_prompt(text, given)
    read = completer.state_cache.decoder(np.array([BOS]))
    scorer, tokens = TokenScorer(completer.language_model, vocabulary, *read.result, body.top), list[TokenScore]()
    for piece in scorer.read(np.concatenate([vocabulary.encode(before + normalised), [EOS]])):
        tokens += piece
        yield
    loaded.workers.metrics.count_tokens(loaded.name, len(tokens))
    return _scores_json(loaded, normalised, tokens[len(before) :])


def _scores_json(loaded: LoadedModel, normalised: str, tokens: Sequence[TokenScore]) -> bytes:
    piece = loaded.completer.vocabulary.piece
    costs = [_bits(token) for token in tokens[:-1]]
    mean = sum(costs) / len(costs) if costs else None
    response = schemas.ScoreResponse(model=loaded.name, text=normalised, bits_per_character=mean, characters=[])

    def scored(pair: tuple[str, TokenScore]) -> schemas.ScoredCharacter:
        character, token = pair
        others = [schemas.Alternative(character=piece(id), probability=math.exp(value)) for id, value in token.top]
        return schemas.ScoredCharacter(
            character=character,
            bits=_bits(token),
            probability=math.exp(token.log_probability),
            alternatives=others,
        )

    characters = responses.items_json(list(zip([*normalised, ""], tokens, strict=True)), scored)
    return responses.insert_json(response, "characters", b"[%s]" % characters)


def _bits(token: TokenScore) -> float:
    return -token.log_probability / math.log(2) + 0.0


@router.post("/v1/learn", response_model=schemas.LearnResponse)
async def learn(body: schemas.LearnRequest, request: Request) -> Response:
    """Teach the model a text. It knows the text until it is told to forget it, its folder is read again, or the
    server stops; all clients benefit, or, with `private`, the session alone."""
    text, session = body.text, body.session
    async with _pool(request).use(body.model) as loaded:
        _check_learning(loaded)
        if body.private and session is None:
            raise ApiError(400, "private needs a session, which alone gets what is learnt; name one.", param="session")
        if len(text) > LEARNT:
            message = f"text has {len(text)} characters, but a text to learn has at most {LEARNT}."
            raise ApiError(400, message, param="text")
        loaded.of(session)  # which may have expired
        loaded.learnt_texts.check_fits(text)  # before a copy is made
        with loaded.private_copy(session) if body.private and session is not None else loaded.used() as model:
            num_texts = await model.update(partial(model.learnt_texts.learn, session, text))
    return json_response(schemas.LearnResponse(learnt=num_texts))


@router.get("/v1/learn", response_model=schemas.LearnResponse)
async def learnt(
    request: Request,
    model: ModelName = None,
    session: Annotated[str | None, _session("Whose texts to count; those without a session by default.")] = None,
) -> Response:
    """Count the texts that a session taught and that the model still knows."""
    async with _pool(request).use(model) as loaded:
        _check_learning(loaded)
        counts = await loaded.update(loaded.learnt_texts.counts)
        own = loaded.of(session)
    num_private = own.learnt_texts.size[0] if own is not loaded else 0
    return json_response(schemas.LearnResponse(learnt=counts.get(session, 0) + num_private))


@router.delete("/v1/learn", response_model=schemas.ForgetResponse)
async def forget(
    request: Request,
    model: ModelName = None,
    session: Annotated[str | None, _session("Whose texts to forget; those of all clients by default.")] = None,
) -> Response:
    """Forget the texts that a session taught; without a session, the texts that any client taught."""
    # Forgetting goes on if the client leaves.
    return json_response(await asyncio.shield(asyncio.create_task(_forget(_pool(request), model, session))))


async def _forget(pool: ModelPool, model: str | None, session: str | None) -> schemas.ForgetResponse:
    """Forget text by text: all at once would delay other requests by two seconds."""
    forgotten = 0
    async with pool.use(model) as loaded:
        _check_learning(loaded)
        for name in list(loaded.private) if session is None else [session]:
            if name in loaded.private:
                forgotten += loaded.private[name].learnt_texts.size[0]
                del loaded.private[name]
            loaded.expired.pop(name, None)
        counts = await loaded.update(loaded.learnt_texts.counts)
        for name in counts if session is None else [session]:
            for _ in range(counts.get(name, 0)):
                forgotten += await loaded.update(partial(loaded.learnt_texts.forget, name))
        loaded.drop_contexts()  # last: one may have been built meanwhile
    return schemas.ForgetResponse(forgotten=forgotten)


def _check_learning(loaded: LoadedModel) -> None:
    if not loaded.settings.learning_allowed:
        raise ApiError(403, "this server does not learn from clients; start it with --learn and one worker.")
    if not loaded.can_learn:
        raise OptionError(CANNOT_LEARN)


@router.get("/v1/models", response_model=schemas.ModelList)
async def models(request: Request) -> Response:
    """List the models of this server."""
    return json_response(schemas.ModelList(data=await asyncio.to_thread(_pool(request).entries)))


@router.get("/v1/models/{model}", response_model=schemas.ModelEntry)
async def model(model: str, request: Request) -> Response:
    """Return one model."""
    for entry in await asyncio.to_thread(_pool(request).entries):
        if entry.id == model:
            return json_response(entry)
    raise _pool(request).unknown(model)


@router.get("/tokenizer_info", response_model=schemas.TokenizerInfo)
async def tokenizer_info(request: Request, model: ModelName = None) -> Response:
    """Return the names and numbers of the special tokens, and the size of the vocabulary."""
    async with _pool(request).use(model) as loaded:
        info: dict[str, object] = {"vocab_size": loaded.completer.vocabulary.size}
    for name, id in (("bos", BOS), ("eos", EOS), ("unk", UNK), ("pad", PAD)):
        info |= {f"{name}_token": schemas.SPECIAL_NAMES[id], f"{name}_token_id": id}
    return json_response(schemas.TokenizerInfo.model_validate(info))


@router.post("/tokenize", response_model=schemas.TokenizeResponse)
async def tokenize(body: schemas.TokenizeRequest, request: Request) -> Response:
    """Normalise a text as the model does, and convert it to tokens."""
    async with _pool(request).use(body.model) as loaded:
        text = body.prompt if body.prompt is not None else body.content
        if text is None:
            raise ApiError(400, "neither prompt nor content is given; one of them holds the text.", param="prompt")
        _check_length(text, "prompt" if body.prompt is not None else "content")
        # Harnesses tokenize the names from `tokenizer_info`; within a text these are plain characters.
        ids = [id for id, name in schemas.SPECIAL_NAMES.items() if name == text]
        if not ids:
            completer = loaded.completer
            encoded = await loaded.run(once(lambda: completer.vocabulary.encode(completer.normalise(text))))
            ids = [BOS] * body.add_special_tokens + encoded.tolist()
    return json_response(schemas.TokenizeResponse(tokens=ids, count=len(ids), max_model_len=MAX_CHARACTERS))


@router.post("/detokenize", response_model=schemas.DetokenizeResponse)
async def detokenize(body: schemas.DetokenizeRequest, request: Request) -> Response:
    """Convert tokens to text; special tokens have none."""
    async with _pool(request).use(body.model) as loaded:
        vocabulary = loaded.completer.vocabulary
        wrong = next((id for id in body.tokens if id >= vocabulary.size), None)
        if wrong is not None:
            message = f"token {wrong} does not exist in this model; tokens are whole numbers below {vocabulary.size}."
            raise ApiError(400, message, param="tokens")
        text = await loaded.run(once(partial(vocabulary.decode, body.tokens)))
    return json_response(schemas.DetokenizeResponse(prompt=text, content=text))


def _check_length(text: str, name: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise ApiError(400, f"{name} has {len(text)} characters, but at most {MAX_CHARACTERS} are allowed.", param=name)
    return text
