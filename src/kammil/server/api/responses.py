"""Errors in OpenAI's form, and JSON: since writing it holds the GIL, large lists are written in pieces."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from kammil.errors import FolderError, KammilError, OptionError, wrong_value

CHUNK = 256
"""List items written at once."""
ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 503: "unavailable_error"}
"""OpenAI's `type` of each status; others are `server_error` from 500 on, else `invalid_request_error`."""

Result = TypeVar("Result")

log = logging.getLogger("kammil.server")


class ErrorDetail(BaseModel):
    """An error in the form of OpenAI's API."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """The response to a request that failed."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text}
    for status, text in {
        400: "The request is not valid.",
        401: "The API key is wrong or missing.",
        403: "Requests of this origin, or to this host name, are not allowed.",
        404: "There is no model of that name.",
        410: "What the session taught privately is forgotten.",
        413: "The body is too large.",
        429: "Too many requests are waiting; try again after Retry-After seconds.",
        500: "The server failed; its log says why.",
        503: "The request took too long, its model is being opened, or all private copies are in use.",
    }.items()
}
"""Documented responses of every route."""


@dataclass(eq=False)
class ApiError(Exception):
    """An error for the client: a sentence, the wrong field, a code for programs."""

    status: int
    message: str
    _: KW_ONLY
    param: str | None = None
    code: str | None = None
    headers: dict[str, str] | None = None

    def detail(self) -> dict[str, dict[str, str | None]]:
        """Return the error in OpenAI's form."""
        error_type = ERROR_TYPES.get(self.status) or ("server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": error_type, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Build the HTTP response."""
        return JSONResponse(self.detail(), self.status, self.headers)


def busy() -> ApiError:
    """Build the error for a full queue."""
    message = "the server is busy; try again in a second."
    return ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": "1"})


_FAILURES: tuple[tuple[type[Exception], int, str, str], ...] = (
    (TimeoutError, 503, "timeout", "this request took too long; ask for less, or try again later."),
    (MemoryError, 503, "out_of_memory", "there is not enough memory now; ask for less, or try again later."),
    (Exception, 500, "internal_error", "the server failed; its log says why."),
)


def to_api_error(error: Exception) -> ApiError:
    """Convert any exception for the client."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, FolderError):
        return ApiError(500, str(error), code="model_error")
    if isinstance(error, KammilError):
        return ApiError(400, str(error), param=error.option if isinstance(error, OptionError) else None)
    _, status, code, message = next(row for row in _FAILURES if isinstance(error, row[0]))
    return ApiError(status, message, code=code, headers={"Retry-After": "1"} if code == "out_of_memory" else None)


def logged(error: Exception, what: str) -> ApiError:
    """Convert an exception, and log failures of the server."""
    told = to_api_error(error)
    if told.status >= 500 and not isinstance(error, ApiError | TimeoutError):
        log.error("%s failed", what, exc_info=error)
    return told


def install(app: FastAPI) -> None:
    """Handle errors, without repeating the input, which may be long, private or invalid JSON."""
    for kind in (ApiError, KammilError, Exception):
        app.add_exception_handler(kind, _handle_error)
    app.add_exception_handler(RequestValidationError, _handle_invalid_request)
    app.add_exception_handler(HTTPException, _handle_http_error)


async def _handle_error(_request: Request, error: Exception) -> JSONResponse:
    return to_api_error(error).response()


async def _handle_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    details = cast(RequestValidationError, error).errors()
    if details[0]["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON.").response()
    paths = [[part for part in detail["loc"] if part != "body"] for detail in details]
    if not paths[0]:
        return ApiError(400, "the body is not a JSON object sent as Content-Type: application/json.").response()
    # A field of several types has an error for each; the deepest is the clearest.
    same_field = [(detail, path) for detail, path in zip(details, paths, strict=True) if path[:1] == paths[0][:1]]
    detail, path = max(same_field, key=lambda pair: (not pair[0]["type"].endswith("_type"), _depth(pair[1])))
    name = f"{path[0]}{''.join(f'[{part}]' for part in path[1:] if isinstance(part, int))}"
    message, value = f"{name} is not valid: {str(detail['msg'])[:200].rstrip('.')}.", detail.get("input")
    if isinstance(value, int | float) and abs(value) < 1e15:
        message = str(wrong_value(name, value, str(detail["msg"])[:200].rstrip(".")))
    return ApiError(400, message, param=str(path[0])).response()


def _depth(path: list[int | str]) -> tuple[int, int]:
    items = [part for part in path if isinstance(part, int)]
    return len(items), items[-1] if items else 0


async def _handle_http_error(_request: Request, error: Exception) -> JSONResponse:
    failed = cast(HTTPException, error)
    headers, message = dict(failed.headers or {}), f"{failed.detail}."
    if failed.status_code == 404:  # an unknown route; routes raise `ApiError`
        message = "there is no such route; texts are continued by POST /v1/completions. /openapi.json lists all routes."
    elif failed.status_code == 405:
        message = f"this route takes {headers.get('Allow')} alone; /openapi.json lists all routes."
    return ApiError(failed.status_code, message, headers=headers).response()


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """Await an answer while the client is connected; `ApiError` for any failure."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ApiError(499, "the client has left.")
        return doing.result()
    except ApiError:
        raise
    except Exception as error:
        raise logged(error, "a request") from error
    finally:
        for task in (doing, leaving):
            if not task.done():
                task.cancel()
        with suppress(asyncio.CancelledError):
            await leaving


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def json_response(answer: BaseModel | bytes) -> Response:
    """Return a JSON response; FastAPI would validate it again."""
    body = answer if isinstance(answer, bytes) else answer.model_dump_json()
    return Response(body, media_type="application/json")


def items_json(values: Sequence[Any], convert: Callable[[Any], object] = lambda value: value) -> bytes:
    """Write a list as JSON without brackets, converted piece by piece."""
    pieces = (list(map(convert, values[begin : begin + CHUNK])) for begin in range(0, len(values), CHUNK))
    return b",".join(to_json(piece, inf_nan_mode="null")[1:-1] for piece in pieces)


def insert_json(frame: BaseModel, name: str, value: bytes, *, empty: bytes = b"[]") -> bytes:
    """Write a model with this JSON in place of a field's empty value."""
    # Quotes within texts are escaped, so the field is found once.
    field = b'"%s":' % name.encode()
    before, _, after = frame.model_dump_json().encode().partition(field + empty)
    return b"".join((before, field, value, after))
