"""Errors in the form of OpenAI's API."""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from kammil.errors import FolderError, KammilError, OptionError
from kammil.server.scheduler import RoundError, SchedulerError, StoppedError

ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 503: "unavailable_error"}
"""OpenAI's `type` of each status; other statuses below 500 are an `invalid_request_error`."""


class ApiError(Exception):
    """An error that is sent to the client.

    Args:
        status: the HTTP status.
        message: one plain sentence.
        param: the field that is wrong.
        code: an identifier for programs.
        headers: HTTP headers besides the usual ones.
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
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.headers = status, message, param, code, headers

    def detail(self) -> dict[str, dict[str, str | None]]:
        """Return the error in OpenAI's form."""
        error_type = ERROR_TYPES.get(self.status) or ("server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": error_type, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Build the HTTP response."""
        return JSONResponse(self.detail(), self.status, self.headers)


def busy(message: str = "the server is busy; try again in a second.") -> ApiError:
    """Build the error for a full queue."""
    return ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": "1"})


def to_api_error(error: Exception) -> ApiError:
    """Convert any exception of a request to the error for the client."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError):
        return ApiError(503, "this request took too long; ask for less, or try again later.", code="timeout")
    if isinstance(error, FolderError):
        return ApiError(500, str(error), code="model_error")
    if isinstance(error, OptionError):
        return ApiError(400, str(error), param=error.option)
    if isinstance(error, KammilError):
        return ApiError(400, str(error))
    return _internal_error(error)


def _internal_error(error: Exception) -> ApiError:
    """Convert a failure of the server to the error for the client."""
    if isinstance(error, MemoryError):
        message = "there is not enough memory for this request now; ask for less, or try again later."
        return ApiError(503, message, code="out_of_memory", headers={"Retry-After": "1"})
    if isinstance(error, StoppedError):
        message = "the model stopped and is being reopened; try again in a second."
        return ApiError(503, message, code="model_stopped", headers={"Retry-After": "1"})
    if isinstance(error, RoundError):
        message = "the server failed at this request and others with it; its log says why; try again."
        return ApiError(500, message, code="internal_error")
    return ApiError(500, "the server failed; its log says why.", code="internal_error")


def should_log(error: Exception) -> bool:
    """Whether to log an error: the server failed, and the scheduler has not logged it."""
    return to_api_error(error).status >= 500 and not isinstance(error, ApiError | TimeoutError | SchedulerError)


def install(app: FastAPI) -> None:
    """Install handlers that send every error in this form. No error repeats the input: it may be long, private or
    invalid JSON."""
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
    details = cast(RequestValidationError, error).errors()
    if details[0]["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON.").response()
    paths = [[part for part in detail["loc"] if part != "body"] for detail in details]
    if not paths[0]:
        return ApiError(400, "the body is not a JSON object sent as Content-Type: application/json.").response()
    # A field of several types has an error for each type; the one that got furthest says most.
    same_field = [(detail, path) for detail, path in zip(details, paths, strict=True) if path[:1] == paths[0][:1]]
    detail, path = max(same_field, key=lambda pair: (not pair[0]["type"].endswith("_type"), _depth(pair[1])))
    name = f"{path[0]}{''.join(f'[{part}]' for part in path[1:] if isinstance(part, int))}"
    message = f"{name} is not valid: {str(detail['msg'])[:200].rstrip('.')}."
    return ApiError(400, message, param=str(path[0])).response()


def _depth(path: list[int | str]) -> tuple[int, int]:
    """Return how far validation got: into how many lists, and to which item."""
    items = [part for part in path if isinstance(part, int)]
    return len(items), items[-1] if items else 0


async def _handle_http_error(_request: Request, error: Exception) -> JSONResponse:
    failed = cast(HTTPException, error)
    headers, message = dict(failed.headers or {}), f"{failed.detail}."
    if failed.status_code == 404:  # of a route; what a route does not find is an `ApiError`
        message = (
            "there is no such route; this server continues texts: POST /v1/completions. /openapi.json lists all routes."
        )
    elif failed.status_code == 405:
        message = f"this route takes {headers.get('Allow')} alone; /openapi.json lists all routes."
    return ApiError(failed.status_code, message, headers=headers).response()
