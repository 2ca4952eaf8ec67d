"""Requests and responses. A token is a character.

Clients send fields of their own, so unknown ones are ignored, unless they promise another answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from kammil.completion.context import MAX_CHARACTERS as CONTEXT
from kammil.completion.context import MAX_MESSAGES
from kammil.completion.learning import MAX_CHARACTERS as LEARNT
from kammil.completion.suggestions import SuggestOptions
from kammil.decoding.options import MAX_BEST_OF, PRESET, DecodingOptions, FrozenOptions
from kammil.server.api.responses import ApiError
from kammil.vocabulary import BOS, EOS, PAD, UNK

MAX_PROMPTS = 64
"""Maximum number of prompts of one request."""
MAX_TEXTS = 256
"""Maximum number of texts of all prompts of a request."""
SPECIAL_NAMES = {PAD: "<|pad|>", UNK: "<|unknown|>", BOS: "<|startoftext|>", EOS: "<|endoftext|>"}
"""Names of the special tokens; in a text they are plain characters."""
UNSUPPORTED = frozenset(
    {"suffix", "messages", "tools", "functions", "response_format", "structured_outputs", "json_schema", "grammar"}
    | {"guided_json", "guided_regex", "guided_choice", "guided_grammar", "allowed_token_ids", "bad_words"}
    | {"stop_token_ids", "include_stop_str_in_output", "ignore_eos", "min_tokens", "use_beam_search"}
)
"""Options of other servers that would change a completion."""

Id = Annotated[int, Field(ge=0, lt=1 << 31, strict=True)]
Model = Annotated[str | None, Field(description="Name of a model; the first one by default.", max_length=1000)]
Session = Annotated[
    str | None,
    Field(description="Any name for the client, which then has a state cache of its own.", max_length=200),
]
_Forbidden = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=16)]


class ApiRequest(BaseModel):
    """Any request."""

    model_config = ConfigDict(extra="ignore")


class SessionRequest(ApiRequest):
    """A request to a model, which may be of a session."""

    model: Model = None
    session: Session = None


class ContextRequest(SessionRequest):
    """A request about a text, which may follow others."""

    context: list[str] | None = Field(
        default=None,
        description=f"Messages before the text, oldest first; the last {MAX_MESSAGES} count, of at most "
        f"{CONTEXT:,} characters. Nothing of them is learnt, stored or logged.",
    )


class StreamOptions(ApiRequest):
    """Reports of a stream besides text."""

    include_usage: bool | None = Field(default=False, description="Report the usage in a last event.")
    continuous_usage_stats: bool | None = Field(
        default=False, description="With `include_usage`: report the usage so far in every event, as vLLM does."
    )


Request = TypeVar("Request", bound=ApiRequest)


def _with_options(
    source: type[FrozenOptions], *not_served: str, nullable: bool = False
) -> Callable[[type[Request]], type[Request]]:
    """Add the other options as fields; if `nullable`, their defaults are null or False."""

    def extended(request: type[Request]) -> type[Request]:
        fields: dict[str, Any] = {}
        for name, field in source.model_fields.items():
            if name in request.model_fields or name in not_served:
                continue
            kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            default: Any = None if nullable and field.default is not False else field.default
            description = field.description
            if name == "forbid":  # every string costs
                kind, default = _Forbidden, None if nullable else []
                description = "Up to 16 strings that are not written, nor finished where the text so far begins them."
            fields[name] = kind | None if nullable else kind, Field(default, description=description)
        return create_model(
            request.__name__, __base__=request, __doc__=request.__doc__, __module__=request.__module__, **fields
        )

    return extended


def _described(option: str) -> str | None:
    return DecodingOptions.model_fields[option].description


@_with_options(DecodingOptions, "length", "min_length", "no_copy", nullable=True)  # `length` is `max_tokens`
class CompletionRequest(ContextRequest):
    """`POST /v1/completions`."""

    # Decoding options for which OpenAI or vLLM allow other values are declared here.

    prompt: str | list[str] | list[Id] | list[list[Id]] | None = Field(
        default="", description="One text or several, or their tokens. If it is empty, the model begins a text."
    )
    max_tokens: Annotated[int, Field(ge=0)] | None = Field(default=16, description=_described("length"))
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = Field(
        default=1.0, description=_described("temperature")
    )
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=1.0, description=_described("top_p")
    )
    n: Annotated[int, Field(ge=1, le=128)] | None = Field(default=1, description="Texts per prompt.")
    best_of: Annotated[int, Field(ge=1, le=MAX_BEST_OF)] | None = Field(default=None, description=_described("best_of"))
    stop: str | Annotated[list[str], Field(max_length=4)] | None = Field(
        default=None, description="Up to 4 strings; the text ends before the first of them."
    )
    seed: int | None = Field(default=None, ge=-(1 << 63), lt=1 << 64, description=_described("seed"))
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        default=None, description="Report log-probabilities, with this many alternatives for each token."
    )
    echo: bool | None = Field(default=False, description="Put the prompt before each text.")
    stream: bool | None = Field(default=False, description="Send the text in parts, as server-sent events.")
    stream_options: StreamOptions | None = Field(default=None, description="Only with `stream`.")
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]] | None = Field(
        default=None, max_length=1024, description="What to add to the log-probabilities of tokens."
    )
    user: str | None = Field(default=None, description="Ignored.")
    preset: str | None = Field(default=None, description=PRESET)
    top_k: Annotated[int, Field(ge=-1)] | None = Field(default=None, description="0 or -1: no limit.")

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, body: Any) -> Any:
        for name in sorted(UNSUPPORTED & set(body)) if isinstance(body, dict) else ():
            if body[name] and body[name] != {"type": "text"}:  # the default `response_format`
                message = f"{name} is given, but the models only continue a text as it comes; leave it out."
                raise ApiError(400, message, param=name)
        return body


class Logprobs(BaseModel):
    """Every token with its natural log-probability and its alternatives."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Choice(BaseModel):
    """One text, or, while streaming, the next part of it."""

    text: str
    index: int
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length"] | None = None
    reading: str = Field(
        default="",
        description="With `read_latin`: Arabic words that those at the end of the prompt in Latin letters were read "
        "as. `text` follows them.",
    )
    replaces: int = Field(
        default=0, description="Characters (code points) at the end of the prompt that `reading` takes the place of."
    )
    stock: bool = Field(
        default=False, description="With `stock_phrases`: whether `text` ends a message that was written beforehand."
    )


class Usage(BaseModel):
    """Numbers of tokens that were read and generated."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionResponse(BaseModel):
    """The response, or, while streaming, one event of it."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage | None = None


@_with_options(SuggestOptions, "words")  # `words` is `phrase`
class SuggestRequest(ContextRequest):
    """`POST /v1/suggest`."""

    prefix: str = Field(description="The text so far.")
    k: int = Field(default=3, ge=1, le=32, description="Maximum number of words to suggest.")
    phrase: int = Field(default=0, ge=0, le=32, description="Maximum number of words of ghost text; 0 for none.")

    @property
    def options(self) -> SuggestOptions:
        """All options, checked."""
        asked = self.model_dump(include={*SuggestOptions.model_fields})
        return SuggestOptions.of(**asked, words=max(1, self.phrase))


class SuggestedWord(BaseModel):
    """A suggested word."""

    text: str = Field(description="The whole word.")
    completion: str = Field(
        validation_alias="added",
        description="What to append to the prefix, after `replaces` characters of it are deleted.",
    )
    probability: float
    replaces: int = Field(
        default=0,
        description="Characters (code points) at the end of the prefix that `completion` replaces: those of the begun "
        "word, if it is corrected, and words in Latin letters before it, or before a next word, that are Arabic.",
    )


class GhostTextOut(BaseModel):
    """Ghost text: several words that are likely to come next."""

    completion: str = Field(
        validation_alias="added", description="What to append to the prefix; empty if nothing is worth reading."
    )
    probability: float
    stock: bool = Field(
        default=False, description="Whether it ends a message that was written beforehand: best shown after a pause."
    )
    sure: str = Field(default="", description="The beginning of such a phrase that may be shown at once.")


class SuggestResponse(BaseModel):
    """The most probable words, best first; within a word, its endings come before next words, or behind them if it is
    more probably complete. Among Arabic function words the third may be another, down to a third of `threshold`."""

    model: str
    suggestions: list[SuggestedWord]
    phrase: GhostTextOut | None = Field(default=None, description="Ghost text, if it was asked for.")


class ScoreRequest(ContextRequest):
    """`POST /v1/score`."""

    text: str = Field(description="Text to score.")
    given: str = Field(default="", description="Text before it, which is not scored.")
    top: int = Field(default=5, ge=0, le=20, description="Maximum number of alternatives to report for each character.")


class Alternative(BaseModel):
    """A character that was likely in this place; empty for the end of the text."""

    character: str
    probability: float


class ScoredCharacter(BaseModel):
    """One character of a text; the last one, which is empty, is the end of the text."""

    character: str
    bits: float
    probability: float
    alternatives: list[Alternative]


class ScoreResponse(BaseModel):
    """How surprising each character of a text is."""

    model: str
    text: str = Field(description="The text after normalisation, as the model sees it.")
    bits_per_character: float | None = Field(description="Mean without the end of the text; null for an empty text.")
    characters: list[ScoredCharacter]


class LearnRequest(SessionRequest):
    """`POST /v1/learn`."""

    text: str = Field(description=f"At most {LEARNT:,} characters.")
    private: bool = Field(
        default=False,
        description="Whether only requests with this session benefit. From then on it has a copy of the model to "
        "itself, which knows what this session taught it, and nothing that others taught. After an hour without a "
        "request it may give way to another session's; this one is then answered with 410 until it deletes its texts.",
    )


class LearnResponse(BaseModel):
    """Number of texts of this session that the model knows now."""

    learnt: int


class ForgetResponse(BaseModel):
    """Number of texts that were forgotten."""

    forgotten: int


class TokenizeRequest(ApiRequest):
    """`POST /tokenize`."""

    prompt: str | None = Field(default=None, description="Text to convert.")
    content: str | None = Field(default=None, description="Another name for `prompt`.")
    add_special_tokens: bool = Field(default=False, description="Begin with the token for the start of a text.")
    model: Model = None


class TokenizeResponse(BaseModel):
    """The tokens of a text."""

    tokens: list[int]
    count: int
    max_model_len: int


class DetokenizeRequest(ApiRequest):
    """`POST /detokenize`."""

    tokens: list[Id] = Field(max_length=1 << 20, description="Tokens to convert.")
    model: Model = None


class DetokenizeResponse(BaseModel):
    """The text of the tokens, under both names that clients use."""

    prompt: str
    content: str


class TokenizerInfo(BaseModel):
    """The special tokens and the size of the vocabulary, as evaluation harnesses ask for them."""

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
    """Description of a model."""

    name: str
    family: str
    parameters: int | None
    licence: str | None
    figures: dict[str, float | None]
    characters: str = Field(description="The characters that the model knows.")
    faults: str | None = Field(description="What the model card says of known faults; null if it says nothing.")
    reads_context: bool = Field(description="Whether it can read `context`.")
    learns: bool
    learning: Literal["shared"] | None = Field(description="`shared`: all clients get what one of them teaches.")


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
    """Whether requests are answered at once."""

    status: Literal["ok"] = "ok"
