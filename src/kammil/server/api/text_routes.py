"""Suggestions, scores, learning and tokens: the routes for keyboards, heat maps and evaluation harnesses."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from kammil.completion.adaptation import CANNOT_LEARN
from kammil.completion.options import SuggestOptions
from kammil.completion.profile import MAX_CHARACTERS as LEARNT
from kammil.errors import OptionError
from kammil.server.api import bodies, schemas
from kammil.server.api.completions import MAX_CHARACTERS, SPECIAL_NAMES
from kammil.server.api.errors import ApiError
from kammil.server.model_pool import LoadedModel
from kammil.server.scheduler import ModelUpdate, ScoreCall, SuggestCall, TokenLogprobs
from kammil.server.settings import ServerSettings
from kammil.vocabulary import BOS, EOS, PAD, UNK


async def suggest(
    request: schemas.SuggestRequest, loaded: LoadedModel, settings: ServerSettings
) -> schemas.SuggestResponse:
    """Suggest the most probable words after a prefix."""
    completer = loaded.completer
    prefix = _check_length(request.prefix, "prefix")
    seen = await bodies.run_off_loop(len(prefix), partial(completer.normalise, prefix))
    asked = request.model_dump(include=set(SuggestOptions.model_fields))
    options = SuggestOptions.of(**asked, words=max(1, request.phrase))
    taught = loaded.learnt_texts.user_allowed_words(request.session)
    query = completer.query(prefix, options, seen=seen, ghost=request.phrase > 0, taught=taught)
    deadline = time.monotonic() + settings.timeout
    call = SuggestCall(deadline, loaded.state_cache(request.session), query, ghost=request.phrase > 0)
    suggestions, ghost = await loaded.scheduler.run(call)
    loaded.count_answered(call, len(seen))
    words = [
        schemas.SuggestedWord(text=one.text, completion=one.added, probability=one.probability, replaces=one.replaces)
        for one in suggestions
    ]
    ghost_text = None
    if ghost is not None:
        ghost_text = schemas.GhostTextOut(
            completion=ghost.added, probability=ghost.probability, stock=ghost.stock, sure=ghost.sure
        )
    return schemas.SuggestResponse(model=loaded.name, suggestions=words, phrase=ghost_text)


async def score(request: schemas.ScoreRequest, loaded: LoadedModel, settings: ServerSettings) -> bytes:
    """Score a text; return the response as JSON."""
    completer = loaded.completer
    text, given = _check_length(request.text, "text"), _check_length(request.given, "given")
    size = (len(given) + len(text)) * (1 + request.top)
    if size > settings.max_answer:
        message = (
            f"the answer may hold {size} characters and alternatives, (given + text) x (1 + top), "
            f"but at most {settings.max_answer} are allowed; ask for less at a time."
        )
        raise ApiError(400, message, param="top")
    before, normalised = await bodies.run_off_loop(len(given) + len(text), partial(completer.split_prompt, text, given))
    ids = np.concatenate([[BOS], completer.vocabulary.encode(before + normalised), [EOS]])
    call = ScoreCall(time.monotonic() + settings.timeout, completer, ids, request.top)
    tokens = await loaded.scheduler.run(call)
    loaded.count_answered(call, len(tokens))
    return await bodies.run_off_loop(size, partial(_scores_json, loaded, normalised, tokens[len(before) :]))


def _scores_json(loaded: LoadedModel, normalised: str, tokens: Sequence[TokenLogprobs]) -> bytes:
    """Write the scores of each character of a text, and of its end, as JSON."""
    costs = [_bits(token) for token in tokens[:-1]]
    mean = sum(costs) / len(costs) if costs else None
    response = schemas.ScoreResponse(model=loaded.name, text=normalised, bits_per_character=mean, characters=[])
    characters = [*normalised, ""]
    chunks = (
        [
            _scored_character(loaded, character, token)
            for character, token in zip(
                characters[begin : begin + bodies.CHUNK], tokens[begin : begin + bodies.CHUNK], strict=True
            )
        ]
        for begin in range(0, len(characters), bodies.CHUNK)
    )
    return bodies.insert_items(response, "characters", bodies.items_json(chunks))


def _scored_character(loaded: LoadedModel, character: str, token: TokenLogprobs) -> schemas.ScoredCharacter:
    """Convert one character's score to its schema."""
    piece = loaded.completer.vocabulary.piece
    others = [schemas.Alternative(character=piece(id), probability=math.exp(value)) for id, value in token.top]
    return schemas.ScoredCharacter(
        character=character,
        bits=_bits(token),
        probability=math.exp(token.log_probability),
        alternatives=others,
    )


def _bits(token: TokenLogprobs) -> float:
    return -token.log_probability / math.log(2) + 0.0


async def learn(request: schemas.LearnRequest, loaded: LoadedModel, settings: ServerSettings) -> schemas.LearnResponse:
    """Teach the model a text: the one that all clients share, or the private copy of a session."""
    _check_learning(loaded, settings)
    text = request.text
    session = request.session
    if request.private and session is None:
        raise ApiError(400, "private needs a session, which alone gets what is learnt; name one.", param="session")
    if len(text) > LEARNT:
        raise ApiError(400, f"text has {len(text)} characters, but a text to learn has at most {LEARNT}.", param="text")
    loaded.learnt_texts.check_fits(text)  # before a copy is made
    with loaded.private_copy(session) if request.private and session is not None else loaded.used() as model:
        update = partial(model.learnt_texts.learn, session, text)
        num_texts = await model.scheduler.run(ModelUpdate(time.monotonic() + settings.timeout, update))
    return schemas.LearnResponse(learnt=num_texts)


async def learnt(session: str | None, loaded: LoadedModel, settings: ServerSettings) -> schemas.LearnResponse:
    """Count the texts that a session taught the model, its private copy included; without a session, those that clients
    without one taught."""
    _check_learning(loaded, settings)
    counts = await loaded.scheduler.run(ModelUpdate(time.monotonic() + settings.timeout, loaded.learnt_texts.counts))
    private = loaded.private.get(session) if session is not None else None
    return schemas.LearnResponse(learnt=counts.get(session, 0) + (private.learnt_texts.size[0] if private else 0))


async def forget(session: str | None, loaded: LoadedModel, settings: ServerSettings) -> schemas.ForgetResponse:
    """Make the model forget what a session taught it; without a session, all that it was taught. Private copies are
    dropped.

    Each text is an update of its own, since all at once would delay every other request by two seconds.
    """
    _check_learning(loaded, settings)
    deadline = time.monotonic() + settings.timeout
    forgotten = 0
    for name in list(loaded.private) if session is None else [session]:
        if name in loaded.private:
            forgotten += loaded.private[name].learnt_texts.size[0]
            loaded.drop_private(name)
    counts = await loaded.scheduler.run(ModelUpdate(deadline, loaded.learnt_texts.counts))
    for name in counts if session is None else [session]:
        for _ in range(counts.get(name, 0)):
            forgotten += await loaded.scheduler.run(ModelUpdate(deadline, partial(loaded.learnt_texts.forget, name)))
    return schemas.ForgetResponse(forgotten=forgotten)


async def tokenize(request: schemas.TokenizeRequest, loaded: LoadedModel) -> schemas.TokenizeResponse:
    """Normalise a text and convert it to tokens."""
    text = request.prompt if request.prompt is not None else request.content
    if text is None:
        raise ApiError(400, "neither prompt nor content is given; one of them holds the text.", param="prompt")
    _check_length(text, "prompt" if request.prompt is not None else "content")
    # A harness asks for the tokens of the names that `tokenizer_info` returned. Within a text these names are only
    # characters.
    named = next((id for id, name in SPECIAL_NAMES.items() if name == text), None)
    if named is not None:
        return schemas.TokenizeResponse(tokens=[named], count=1, max_model_len=MAX_CHARACTERS)
    completer = loaded.completer
    ids: list[int] = (
        await bodies.run_off_loop(len(text), lambda: completer.vocabulary.encode(completer.normalise(text)))
    ).tolist()
    ids = [BOS, *ids] if request.add_special_tokens else ids
    return schemas.TokenizeResponse(tokens=ids, count=len(ids), max_model_len=MAX_CHARACTERS)


async def detokenize(request: schemas.DetokenizeRequest, loaded: LoadedModel) -> schemas.DetokenizeResponse:
    """Convert tokens to text; special tokens have none."""
    vocabulary = loaded.completer.vocabulary
    wrong = next((id for id in request.tokens if id >= vocabulary.size), None)
    if wrong is not None:
        message = f"token {wrong} does not exist in this model; tokens are whole numbers below {vocabulary.size}."
        raise ApiError(400, message, param="tokens")
    text = await bodies.run_off_loop(len(request.tokens), partial(vocabulary.decode, request.tokens))
    return schemas.DetokenizeResponse(prompt=text, content=text)


def tokenizer_info(loaded: LoadedModel) -> schemas.TokenizerInfo:
    """Return the names and ids of the special tokens."""
    return schemas.TokenizerInfo(
        bos_token=SPECIAL_NAMES[BOS],
        eos_token=SPECIAL_NAMES[EOS],
        unk_token=SPECIAL_NAMES[UNK],
        pad_token=SPECIAL_NAMES[PAD],
        bos_token_id=BOS,
        eos_token_id=EOS,
        unk_token_id=UNK,
        pad_token_id=PAD,
        vocab_size=loaded.completer.vocabulary.size,
    )


def _check_length(text: str, name: str) -> str:
    """Return the text; `ApiError` if it is longer than a request may be."""
    if len(text) > MAX_CHARACTERS:
        raise ApiError(400, f"{name} has {len(text)} characters, but at most {MAX_CHARACTERS} are allowed.", param=name)
    return text


def _check_learning(loaded: LoadedModel, settings: ServerSettings) -> None:
    """Raise `ApiError` if clients may not teach the model, `OptionError` if it cannot learn."""
    if not settings.learning_allowed:
        raise ApiError(403, "this server does not learn from clients; start it with --learn and one worker.")
    if not loaded.can_learn:
        raise OptionError(CANNOT_LEARN)
