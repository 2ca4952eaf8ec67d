"""Suggestions, scores, learning and tokens: what a keyboard, a heat map and an evaluation harness ask for."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from kammil.completion.adaptation import CANNOT_LEARN
from kammil.completion.profile import MAX_CHARACTERS as LEARNT
from kammil.errors import OptionError
from kammil.server.api import bodies, schemas
from kammil.server.api.completions import LONGEST, SPECIAL
from kammil.server.api.errors import ApiError
from kammil.server.model_pool import Served
from kammil.server.scheduler import Learning, Scoring, Suggesting, Token
from kammil.server.settings import Serving
from kammil.vocabulary import BOS, EOS, PAD, UNK


async def suggest(request: schemas.SuggestRequest, served: Served, settings: Serving) -> schemas.SuggestResponse:
    """The most probable words after what was typed."""
    model = served.model
    prefix = _short(request.prefix, "prefix")
    seen = await bodies.aside(len(prefix), partial(model.normalise, prefix))
    ids = np.concatenate([[BOS], model.vocabulary.encode(seen)])
    call = Suggesting(
        time.monotonic() + settings.seconds,
        served.prefixes(request.session),
        seen,
        ids,
        request.k,
        request.threshold,
        request.phrase,
    )
    found, ghost = await served.engine.ask(call)
    served.worked(call, len(seen))
    words = [schemas.Suggested(text=one.text, completion=one.added, probability=one.probability) for one in found]
    phrased = schemas.Phrased(completion=ghost.added, probability=ghost.probability) if ghost else None
    return schemas.SuggestResponse(model=served.name, suggestions=words, phrase=phrased)


async def score(request: schemas.ScoreRequest, served: Served, settings: Serving) -> bytes:
    """What each character costs, and what else was likely; the answer as JSON."""
    model = served.model
    text, given = _short(request.text, "text"), _short(request.given, "given")
    size = (len(given) + len(text)) * (1 + request.top)
    if size > settings.answer:
        message = (
            f"the answer may hold {size} characters and alternatives, (given + text) x (1 + top), "
            f"but {settings.answer} is the most; ask for less at a time."
        )
        raise ApiError(400, message, param="top")
    before, seen = await bodies.aside(len(given) + len(text), partial(model.split_prompt, text, given))
    ids = np.concatenate([[BOS], model.vocabulary.encode(before + seen), [EOS]])
    call = Scoring(time.monotonic() + settings.seconds, model, ids, request.top)
    tokens = await served.engine.ask(call)
    served.worked(call, len(tokens))
    return await bodies.aside(size, partial(_scored, served, seen, tokens[len(before) :]))


def _scored(served: Served, seen: str, tokens: Sequence[Token]) -> bytes:
    """Scores as JSON: of each character of a text, and of its end."""
    costs = [_bits(token) for token in tokens[:-1]]
    each = sum(costs) / len(costs) if costs else None
    made = schemas.ScoreResponse(model=served.name, text=seen, bits_per_character=each, characters=[])
    characters = [*seen, ""]
    pieces = (
        [
            _character(served, character, token)
            for character, token in zip(
                characters[begin : begin + bodies.PIECE], tokens[begin : begin + bodies.PIECE], strict=True
            )
        ]
        for begin in range(0, len(characters), bodies.PIECE)
    )
    return bodies.filled(made, "characters", bodies.items(pieces))


def _character(served: Served, character: str, token: Token) -> schemas.ScoredCharacter:
    """One character as it is told."""
    piece = served.model.vocabulary.piece
    others = [schemas.Alternative(character=piece(id), probability=math.exp(value)) for id, value in token.top]
    return schemas.ScoredCharacter(
        character=character,
        bits=_bits(token),
        probability=math.exp(token.log_probability),
        alternatives=others,
    )


def _bits(token: Token) -> float:
    return -token.log_probability / math.log(2) + 0.0


async def learn(request: schemas.LearnRequest, served: Served, settings: Serving) -> schemas.LearnResponse:
    """Teach the model a text; all clients of the server get what it then knows."""
    _allowed(served, settings)
    text = request.text
    if len(text) > LEARNT:
        raise ApiError(400, f"text has {len(text)} characters, but {LEARNT} is the most to learn.", param="text")
    deadline = time.monotonic() + settings.seconds
    known = await served.engine.ask(Learning(deadline, lambda: served.taught.learn(request.session, text)))
    return schemas.LearnResponse(learnt=known)


async def forget(session: str | None, served: Served, settings: Serving) -> schemas.ForgetResponse:
    """Make the model forget what a session taught it; without a session, all that it was taught.

    One text at a time: to forget all at once would hold everybody up for two seconds.
    """
    _allowed(served, settings)
    deadline = time.monotonic() + settings.seconds
    counts = await served.engine.ask(Learning(deadline, served.taught.counts))
    forgotten = 0
    for name in counts if session is None else [session]:
        for _ in range(counts.get(name, 0)):
            forgotten += await served.engine.ask(Learning(deadline, partial(served.taught.forget, name)))
    return schemas.ForgetResponse(forgotten=forgotten)


async def tokenize(request: schemas.TokenizeRequest, served: Served) -> schemas.TokenizeResponse:
    """Tokens of a text as the model sees it."""
    text = request.prompt if request.prompt is not None else request.content
    if text is None:
        raise ApiError(400, "neither prompt nor content is given; one of them holds the text.", param="prompt")
    _short(text, "prompt" if request.prompt is not None else "content")
    # A harness asks for the tokens of the names that `tokenizer_info` gave it. Within a text they are no tokens.
    named = next((id for id, name in SPECIAL.items() if name == text), None)
    if named is not None:
        return schemas.TokenizeResponse(tokens=[named], count=1, max_model_len=LONGEST)
    model = served.model
    ids: list[int] = (await bodies.aside(len(text), lambda: model.vocabulary.encode(model.normalise(text)))).tolist()
    ids = [BOS, *ids] if request.add_special_tokens else ids
    return schemas.TokenizeResponse(tokens=ids, count=len(ids), max_model_len=LONGEST)


async def detokenize(request: schemas.DetokenizeRequest, served: Served) -> schemas.DetokenizeResponse:
    """The text of some tokens; those that are no character have none."""
    vocabulary = served.model.vocabulary
    wrong = next((id for id in request.tokens if id >= vocabulary.size), None)
    if wrong is not None:
        message = f"token {wrong} is none of this model's; they are whole numbers below {vocabulary.size}."
        raise ApiError(400, message, param="tokens")
    text = await bodies.aside(len(request.tokens), partial(vocabulary.decode, request.tokens))
    return schemas.DetokenizeResponse(prompt=text, content=text)


def tokenizer_info(served: Served) -> schemas.TokenizerInfo:
    """Names and ids of the tokens that are no character."""
    return schemas.TokenizerInfo(
        bos_token=SPECIAL[BOS],
        eos_token=SPECIAL[EOS],
        unk_token=SPECIAL[UNK],
        pad_token=SPECIAL[PAD],
        bos_token_id=BOS,
        eos_token_id=EOS,
        unk_token_id=UNK,
        pad_token_id=PAD,
        vocab_size=served.model.vocabulary.size,
    )


def _short(text: str, name: str) -> str:
    """The text; `ApiError` if it is longer than a request may be."""
    if len(text) > LONGEST:
        raise ApiError(400, f"{name} has {len(text)} characters, but {LONGEST} is the most.", param=name)
    return text


def _allowed(served: Served, settings: Serving) -> None:
    """`ApiError` where the model may not learn, `OptionError` where it cannot."""
    if not settings.learns:
        raise ApiError(403, "this server does not let clients teach it; start it with --learn and one worker.")
    if not served.learns:
        raise OptionError(CANNOT_LEARN)
