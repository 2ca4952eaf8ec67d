"""Errors as OpenAI's clients know them."""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from kammil.errors import FolderError, KammilError, OptionError
from kammil.server.scheduler import RoundError, SchedulerError, StoppedError

ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 503: "unavailable_error"}
"""OpenAI's `type` of a status; other statuses below 500 are an `invalid_request_error`."""


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        message: one plain sentence.
        param: which field is to blame.
        code: a word for programs.
        headers: beside the usual ones.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Nothing is sent yet."""
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.headers = status, message, param, code, headers

    def detail(self) -> dict[str, dict[str, str | None]]:
        """OpenAI's shape."""
        error_type = ERROR_TYPES.get(self.status) or ("server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": error_type, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """To be sent."""
        return JSONResponse(self.detail(), self.status, self.headers)


def busy(message: str = "the server is busy; try again in a second.") -> ApiError:
    """Too many requests wait."""
    return ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": "1"})


def to_api_error(error: Exception) -> ApiError:
    """What a client is told of an error that a model's work ended with."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError):
        return ApiError(503, "the time for this request is over; ask for less, or later.", code="timeout")
    if isinstance(error, FolderError):
        return ApiError(500, str(error), code="model_error")
    if isinstance(error, OptionError):
        return ApiError(400, str(error), param=error.option)
    if isinstance(error, KammilError):
        return ApiError(400, str(error))
    return _internal_error(error)


def _internal_error(error: Exception) -> ApiError:
    """What a client is told of a failure of ours."""
    if isinstance(error, MemoryError):
        message = "there is not enough memory for this request now; ask for less, or later."
        return ApiError(503, message, code="out_of_memory", headers={"Retry-After": "1"})
    if isinstance(error, StoppedError):
        message = "the model stopped, and is being opened anew; try again in a second."
        return ApiError(503, message, code="model_stopped", headers={"Retry-After": "1"})
    if isinstance(error, RoundError):
        message = "the server failed at this request and others beside it; its log says why. Try again."
        return ApiError(500, message, code="internal_error")
    return ApiError(500, "the server failed; its log says why.", code="internal_error")


def should_log(error: Exception) -> bool:
    """Whether an error belongs into the log: it is a failure of ours, and the engine has not logged it."""
    return to_api_error(error).status >= 500 and not isinstance(error, ApiError | TimeoutError | SchedulerError)


def install(app: FastAPI) -> None:
    """Let every error leave in this shape; what a client sent is not repeated: it may be long, private, or no JSON."""
    app.add_exception_handler(ApiError, _handle_api_error)
    app.add_exception_handler(KammilError, _handle_error)
    app.add_exception_handler(RequestValidationError, _handle_invalid_request)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(Exception, _handle_error)


async def _handle_api_error(_request: Request, error: Exception) -> JSONResponse:
    return cast(ApiError, error).response()


async def _handle_error(_request: Request, error: Exception) -> JSONResponse:
    return to_api_error(error).response()


async def _handle_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    found = cast(RequestValidationError, error).errors()
    if found[0]["type"] == "json_invalid":
        return ApiError(400, "the body is no JSON.").response()
    places = [[part for part in one["loc"] if part != "body"] for one in found]
    if not places[0]:
        return ApiError(400, "the body is no JSON object, sent as Content-Type: application/json.").response()
    # Of a field that may be of several types there is an error for each: the one that got furthest says most.
    own = [(one, place) for one, place in zip(found, places, strict=True) if place and place[0] == places[0][0]]
    one, place = max(own, key=lambda pair: (not pair[0]["type"].endswith("_type"), _depth(pair[1])))
    name = f"{place[0]}{''.join(f'[{part}]' for part in place[1:] if isinstance(part, int))}"
    message = f"{name} is not valid: {str(one['msg'])[:200].rstrip('.')}."
    return ApiError(400, message, param=str(place[0])).response()


def _depth(place: list[int | str]) -> tuple[int, int]:
    """How far a check got: into how many lists, and to which item."""
    items = [part for part in place if isinstance(part, int)]
    return len(items), items[-1] if items else 0


async def _handle_http_error(_request: Request, error: Exception) -> JSONResponse:
    failed = cast(HTTPException, error)
    return ApiError(failed.status_code, f"{failed.detail}.", headers=dict(failed.headers or {})).response()
