"""What clients send and get: OpenAI's shapes, and those of the routes that OpenAI has not.

A token is one unit of the model's vocabulary, a character. Unknown fields are ignored, as clients send extras.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kammil.completion.profile import MAX_CHARACTERS as LEARNT
from kammil.decoding.options import MAX_BEAMS

PROMPTS = 64
"""Prompts of one request at most."""
TEXTS = 256
"""Texts of one request at most, all prompts together."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Id = Annotated[int, Field(ge=0, lt=1 << 31, strict=True)]
Model = Annotated[str | None, Field(description="Which model; the first one if it is left out.", max_length=1000)]
Session = Annotated[
    str | None,
    Field(description="Whatever names the client: what it typed is kept apart from what others did.", max_length=200),
]


class Sent(BaseModel):
    """What clients send."""

    model_config = ConfigDict(extra="ignore")


class StreamOptions(Sent):
    """What a stream tells beside text."""

    include_usage: bool | None = False
    continuous_usage_stats: bool | None = Field(
        default=False, description="With `include_usage`: in every event what was written so far, as vLLM does."
    )


class CompletionRequest(Sent):
    """`POST /v1/completions`."""

    model: Model = None
    prompt: str | list[str] | list[Id] | list[list[Id]] | None = Field(
        default="", description="One text or several, or their tokens. Nothing: the model begins a text."
    )
    max_tokens: Annotated[int, Field(ge=0)] | None = Field(default=16, description="Characters at most.")
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = 1.0
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = 1.0
    n: Annotated[int, Field(ge=1, le=128)] | None = 1
    best_of: Annotated[int, Field(ge=1, le=MAX_BEAMS)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = Field(default=None, ge=-(1 << 63), lt=1 << 64, description="Same seed, same text.")
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool | None = False
    stream: bool | None = False
    stream_options: StreamOptions | None = Field(default=None, description="With `stream` alone.")
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]] | None = Field(
        default=None, max_length=1024
    )
    presence_penalty: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None = 0.0
    suffix: str | None = Field(default=None, description="Not supported: no model here was trained to fill gaps.")
    user: str | None = None
    preset: str | None = Field(default=None, description="predictive, creative or exact; other fields win over it.")
    top_k: Annotated[int, Field(ge=-1)] | None = Field(default=None, description="0 or -1: all.")
    min_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    typical_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    beams: Annotated[int, Field(ge=1, le=MAX_BEAMS)] | None = None
    use_beam_search: bool | None = Field(
        default=False, description="As many beams as `best_of`, or `n`; vLLM's name for `beams`."
    )
    session: Session = None


class Logprobs(BaseModel):
    """Every token with its natural log-probability, and the most probable ones at its place."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Choice(BaseModel):
    """One text, or a piece of it."""

    text: str
    index: int
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length"] | None = None


class Usage(BaseModel):
    """Tokens that were read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionResponse(BaseModel):
    """The answer, or, while streaming, a piece of it."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage | None = None


class SuggestRequest(Sent):
    """`POST /v1/suggest`."""

    prefix: str = Field(description="What was typed so far.")
    k: int = Field(default=3, ge=1, le=32, description="Words at most.")
    threshold: float = Field(default=0.01, ge=0, le=1, allow_inf_nan=False, description="Least probability.")
    phrase: int = Field(default=0, ge=0, le=32, description="Words of the phrase at most, ghost text; 0 for none.")
    model: Model = None
    session: Session = None


class Suggested(BaseModel):
    """A word that may come next."""

    text: str = Field(description="The whole word as it would stand.")
    completion: str = Field(description="What has to be appended to the prefix.")
    probability: float


class Phrased(BaseModel):
    """Words that may come next, one after the other."""

    completion: str = Field(description="What has to be appended to the prefix; empty if nothing is likely enough.")
    probability: float


class SuggestResponse(BaseModel):
    """The most probable words, best first; within a word its endings before next words."""

    model: str
    suggestions: list[Suggested]
    phrase: Phrased | None = Field(default=None, description="If it was asked for.")


class ScoreRequest(Sent):
    """`POST /v1/score`."""

    text: str
    given: str = Field(default="", description="What stands before it, and is not scored.")
    top: int = Field(default=5, ge=0, le=20, description="Alternatives of each character.")
    model: Model = None


class Alternative(BaseModel):
    """A character that might have stood there; empty for the end of text."""

    character: str
    probability: float


class ScoredCharacter(BaseModel):
    """One character of a text; the last one, empty, is its end."""

    character: str
    bits: float
    probability: float
    alternatives: list[Alternative]


class ScoreResponse(BaseModel):
    """How surprising each character is."""

    model: str
    text: str = Field(description="As the model sees it.")
    bits_per_character: float | None = Field(description="Without the end of text; null for an empty one.")
    characters: list[ScoredCharacter]


class LearnRequest(Sent):
    """`POST /v1/learn`."""

    text: str = Field(description=f"{LEARNT:,} characters at most.")
    model: Model = None
    session: Session = None


class LearnResponse(BaseModel):
    """How many texts of this session the model knows now."""

    learnt: int


class ForgetResponse(BaseModel):
    """How many texts were forgotten."""

    forgotten: int


class TokenizeRequest(Sent):
    """`POST /tokenize`."""

    prompt: str | None = None
    content: str | None = Field(default=None, description="Another name for `prompt`.")
    add_special_tokens: bool = Field(default=False, description="Put the token before which nothing stands in front.")
    model: Model = None


class TokenizeResponse(BaseModel):
    """Tokens of a text as the model sees it."""

    tokens: list[int]
    count: int
    max_model_len: int


class DetokenizeRequest(Sent):
    """`POST /detokenize`."""

    tokens: list[Id] = Field(max_length=1 << 20)
    model: Model = None


class DetokenizeResponse(BaseModel):
    """The text of some tokens."""

    prompt: str
    content: str


class TokenizerInfo(BaseModel):
    """What an evaluation harness asks for."""

    tokenizer_class: str = "CharacterVocabulary"
    bos_token: str
    eos_token: str
    unk_token: str
    pad_token: str
    bos_token_id: int
    eos_token_id: int
    unk_token_id: int
    pad_token_id: int
    vocab_size: int
    chat_template: None = None


class Card(BaseModel):
    """What is known of a model."""

    name: str
    family: str
    parameters: int | None
    licence: str | None
    figures: dict[str, float | None]
    learns: bool
    learning: Literal["shared"] | None = Field(description="`shared`: what one client teaches all others get.")


class ModelEntry(BaseModel):
    """One model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "kammil"
    card: Card


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class Health(BaseModel):
    """Whether requests are answered."""

    status: Literal["ok"] = "ok"


class ErrorDetail(BaseModel):
    """OpenAI's shape of an error."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """What comes instead of an answer."""

    error: ErrorDetail


Errors = dict[int | str, dict[str, Any]]
