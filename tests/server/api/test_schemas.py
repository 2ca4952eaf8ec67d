"""Requests: unknown fields are ignored, and values of the wrong kind are refused where they would be misread."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kammil.decoding.options import DecodingOptions
from kammil.server.api import schemas
from kammil.server.api.schemas import ApiRequest

LEAST: dict[type[ApiRequest], dict[str, Any]] = {
    schemas.CompletionRequest: {},
    schemas.SuggestRequest: {"prefix": ""},
    schemas.ScoreRequest: {"text": ""},
    schemas.LearnRequest: {"text": ""},
    schemas.TokenizeRequest: {},
    schemas.DetokenizeRequest: {"tokens": []},
    schemas.StreamOptions: {},
}
"""The least that each request needs."""


def test_every_request_is_listed_here() -> None:
    bases = {schemas.SessionRequest, schemas.ContextRequest}
    requests = {request for base in (ApiRequest, *bases) for request in base.__subclasses__()} - bases
    assert {request.__name__ for request in LEAST} == {request.__name__ for request in requests}


def test_every_decoding_option_is_a_field_or_left_out_on_purpose() -> None:
    left_out = DecodingOptions.model_fields.keys() - schemas.CompletionRequest.model_fields.keys()
    assert left_out == {"length", "min_length", "no_copy"}


@pytest.mark.parametrize("request_type", LEAST, ids=lambda t: t.__name__)
def test_unknown_fields_are_ignored(request_type: type[ApiRequest]) -> None:
    least = LEAST[request_type]
    assert request_type.model_validate(least | {"unknown": 1}) == request_type.model_validate(least)


@pytest.mark.parametrize("id", [True, 1.0, "1", -1, 1 << 31, None])
def test_ids_are_whole_numbers(id: object) -> None:
    for body in ({"tokens": [id]}, {"tokens": [1, id]}):
        with pytest.raises(ValidationError):
            schemas.DetokenizeRequest.model_validate(body)
    with pytest.raises(ValidationError):
        schemas.CompletionRequest.model_validate({"prompt": [1, id]})


@pytest.mark.parametrize("field", ["temperature", "top_p", "min_p", "typical_p", "presence_penalty"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(field: str, value: float) -> None:
    with pytest.raises(ValidationError):
        schemas.CompletionRequest.model_validate({field: value})
