"""The application and its routes."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import threading
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel

from kammil.errors import KammilError
from kammil.server import playground
from kammil.server.api import completions, errors, schemas, streaming, text_routes
from kammil.server.api.errors import ApiError
from kammil.server.metrics import MULTIPROCESS_DIR, Metrics
from kammil.server.model_pool import ModelPool
from kammil.server.security import SecurityMiddleware
from kammil.server.settings import ServerSettings

log = logging.getLogger("kammil.server")
Result = TypeVar("Result")

ModelName = Annotated[str | None, Query(max_length=1000, description="Name of a model; the first one by default.")]

ROUTES = (
    "/v1/completions",
    "/v1/suggest",
    "/v1/score",
    "/v1/learn",
    "/v1/models",
    "/tokenizer_info",
    "/tokenize",
    "/detokenize",
    "/health",
    "/metrics",
    "/",
)
"""Paths that metrics count by name; all others are counted together."""
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorResponse, "description": text}
    for status, text in {
        400: "The request is not valid.",
        401: "The API key is wrong or missing.",
        403: "Requests of this origin, or to this host name, are not allowed.",
        404: "There is no model of that name.",
        413: "The body is too large.",
        429: "Too many requests are waiting; try again after Retry-After seconds.",
        500: "The server failed; its log says why.",
        503: "The request took too long, or its model is being opened.",
    }.items()
}

STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The completion; with `stream`, server-sent events whose data are parts of it, then [DONE].",
        "content": {"text/event-stream": {"schema": {"type": "object", "properties": {"data": {"type": "string"}}}}},
    }
}


def create(settings: ServerSettings) -> FastAPI:
    """Create the application; it opens no model before it starts."""
    metrics = Metrics(ROUTES)
    pool = ModelPool(settings, metrics.count_answered)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        opening = asyncio.create_task(pool.open())
        opening.add_done_callback(_log_failure)
        watching = asyncio.create_task(_supervise(pool, metrics, workers=settings.workers > 1))
        with _reload_on_sighup(pool):
            log.info("process %d serves %s", os.getpid(), ", ".join(pool.names))
            yield
        opening.cancel()
        watching.cancel()
        pool.close()

    app = FastAPI(
        title="Kammil",
        version=version("kammil"),
        description="Completes short texts. /v1/completions and /v1/models are those of OpenAI's API.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.pool = pool
    errors.install(app)
    _add_model_routes(app, pool, settings)
    _add_tokenizer_routes(app, pool)
    _add_operator_routes(app, pool, metrics)
    app.add_middleware(SecurityMiddleware, settings=settings, metrics=metrics, public=_add_playground(app))
    return app


@contextmanager
def _reload_on_sighup(pool: ModelPool) -> Generator[None]:
    """Reload the models on SIGHUP, where that signal exists and this is the main thread, which alone receives
    signals."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(pool.reload())
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def _supervise(pool: ModelPool, metrics: Metrics, *, workers: bool) -> None:
    """Update the metrics every second, since another worker may be asked for them, and reopen models whose thread has
    ended.

    A worker whose supervisor has died ends as well, since nothing could stop it any more.
    """
    parent = os.getppid()
    while True:
        metrics.update(pool.running)
        await pool.reopen_stopped()
        if workers and os.getppid() != parent:
            log.error("the supervisor has died, so this worker ends")
            shutil.rmtree(os.environ[MULTIPROCESS_DIR], ignore_errors=True)  # which the supervisor would do
            signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(1)


def _log_failure(opening: asyncio.Task[Any]) -> None:
    """Log why a model did not open; requests for it are told the same."""
    if not opening.cancelled() and (error := opening.exception()) is not None:
        log.error("%s", error)


def _add_model_routes(app: FastAPI, pool: ModelPool, settings: ServerSettings) -> None:
    """Add the routes under `/v1`."""

    @app.post("/v1/completions", response_model=schemas.CompletionResponse, responses=ERROR_RESPONSES | STREAM_RESPONSE)
    async def complete(body: schemas.CompletionRequest, request: Request) -> Response:
        """Complete one prompt or several, as OpenAI's route of this name does."""
        async with AsyncExitStack() as stack:
            loaded = await stack.enter_async_context(pool.use(body.model, body.session))
            checked = await completions.check(body, loaded, settings)
            _log_prompt(settings, body.prompt)
            if body.stream:
                events = streaming.stream(checked, body.stream_options or schemas.StreamOptions(), stack.pop_all())
                return EventSourceResponse(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
            return _json_response(await while_connected(request, completions.complete(checked)))

    @app.post("/v1/suggest", response_model=schemas.SuggestResponse, responses=ERROR_RESPONSES)
    async def suggest(body: schemas.SuggestRequest, request: Request) -> Response:
        """Suggest the most probable next words, or endings of the word that is being typed; optionally ghost text."""
        async with pool.use(body.model, body.session) as loaded:
            _log_prompt(settings, body.prefix)
            return _json_response(await while_connected(request, text_routes.suggest(body, loaded, settings)))

    @app.post("/v1/score", response_model=schemas.ScoreResponse, responses=ERROR_RESPONSES)
    async def score(body: schemas.ScoreRequest, request: Request) -> Response:
        """Score a text: how many bits each character costs, and which characters were more likely in its place."""
        async with pool.use(body.model, body.session) as loaded:
            _log_prompt(settings, body.text)
            return _json_response(await while_connected(request, text_routes.score(body, loaded, settings)))

    @app.post("/v1/learn", response_model=schemas.LearnResponse, responses=ERROR_RESPONSES)
    async def learn(body: schemas.LearnRequest) -> Response:
        """Teach the model a text. It knows the text until it is told to forget it, its folder is read again, or the
        server stops; all clients benefit, or, with `private`, the session alone."""
        async with pool.use(body.model) as loaded:
            return _json_response(await text_routes.learn(body, loaded, settings))

    @app.get("/v1/learn", response_model=schemas.LearnResponse, responses=ERROR_RESPONSES)
    async def learnt(
        model: ModelName = None,
        session: Annotated[
            str | None, Query(max_length=200, description="Whose texts to count; those without a session by default.")
        ] = None,
    ) -> Response:
        """Count the texts that a session taught and that the model still knows."""
        async with pool.use(model) as loaded:
            return _json_response(await text_routes.learnt(session, loaded, settings))

    @app.delete("/v1/learn", response_model=schemas.ForgetResponse, responses=ERROR_RESPONSES)
    async def forget(
        model: ModelName = None,
        session: Annotated[
            str | None, Query(max_length=200, description="Whose texts to forget; those of all clients by default.")
        ] = None,
    ) -> Response:
        """Forget the texts that a session taught; without a session, the texts that any client taught."""

        async def work() -> schemas.ForgetResponse:
            async with pool.use(model) as loaded:
                return await text_routes.forget(session, loaded, settings)

        # Carried out to its end even if the client does not wait for the answer.
        return _json_response(await asyncio.shield(asyncio.create_task(work())))

    @app.get("/v1/models", response_model=schemas.ModelList, responses=ERROR_RESPONSES)
    async def models() -> Response:
        """List the models of this server."""
        return _json_response(schemas.ModelList(data=await asyncio.to_thread(pool.entries)))

    @app.get("/v1/models/{model}", response_model=schemas.ModelEntry, responses=ERROR_RESPONSES)
    async def model(model: str) -> Response:
        """Return one model."""
        for entry in await asyncio.to_thread(pool.entries):
            if entry.id == model:
                return _json_response(entry)
        raise ApiError(404, "there is no model of that name.", param="model", code="model_not_found")


def _add_tokenizer_routes(app: FastAPI, pool: ModelPool) -> None:
    """Add the routes that evaluation harnesses use."""

    @app.get("/tokenizer_info", response_model=schemas.TokenizerInfo, responses=ERROR_RESPONSES)
    async def tokenizer_info(model: ModelName = None) -> Response:
        """Return the names and numbers of the special tokens, and the size of the vocabulary."""
        async with pool.use(model) as loaded:
            return _json_response(text_routes.tokenizer_info(loaded))

    @app.post("/tokenize", response_model=schemas.TokenizeResponse, responses=ERROR_RESPONSES)
    async def tokenize(body: schemas.TokenizeRequest) -> Response:
        """Normalise a text as the model does, and convert it to tokens."""
        async with pool.use(body.model) as loaded:
            return _json_response(await text_routes.tokenize(body, loaded))

    @app.post("/detokenize", response_model=schemas.DetokenizeResponse, responses=ERROR_RESPONSES)
    async def detokenize(body: schemas.DetokenizeRequest) -> Response:
        """Convert tokens to text."""
        async with pool.use(body.model) as loaded:
            return _json_response(await text_routes.detokenize(body, loaded))


def _add_operator_routes(app: FastAPI, pool: ModelPool, metrics: Metrics) -> None:
    """Add the routes that an operator uses."""

    @app.get("/metrics", response_class=PlainTextResponse)
    async def figures() -> Response:
        """Return metrics for Prometheus: requests, errors, queue, tokens, times."""
        metrics.update(pool.running)
        content, media = await asyncio.to_thread(metrics.render)
        return Response(content, media_type=media)

    @app.get("/health", response_model=schemas.Health, responses={503: ERROR_RESPONSES[503]})
    async def health() -> Response:
        """Return 200 if requests are answered at once, and 503 while the first model, or one that stopped, is being
        opened."""
        if not pool.ready:
            raise ApiError(503, "the model is being opened; try again in a second.", headers={"Retry-After": "1"})
        return _json_response(schemas.Health())


def _add_playground(app: FastAPI) -> list[str]:
    """Add the files of the playground; return their paths."""

    async def asset(request: Request) -> Response:
        found = playground.assets().get(request.url.path.removeprefix("/"))
        if found is None:
            raise ApiError(404, "there is nothing here.")
        body, headers = found.answer(request.headers.get("accept-encoding", ""))
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers)

    for path in playground.assets():
        app.add_api_route(f"/{path}", asset, methods=["GET", "HEAD"], include_in_schema=False)
    return [f"/{path}" for path in playground.assets()]


def _log_prompt(settings: ServerSettings, prompt: object) -> None:
    """Log a prompt, if the settings say so."""
    if settings.log_prompts:
        log.info("prompt: %r", prompt)


def _json_response(answer: BaseModel | bytes) -> Response:
    """Return a response with a JSON body. Pydantic writes it at once; FastAPI would validate it a second time."""
    body = answer if isinstance(answer, bytes) else answer.model_dump_json()
    return Response(body, media_type="application/json")


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """Await the work while the client is connected; `ApiError` for anything that goes wrong."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ApiError(499, "the client has left.")
        return doing.result()
    except (ApiError, KammilError):
        raise
    except Exception as error:
        failed = errors.to_api_error(error)
        if errors.should_log(error):
            log.error("a request failed", exc_info=error)
        raise failed from error
    finally:
        for task in (doing, leaving):
            if not task.done():
                task.cancel()
        with suppress(asyncio.CancelledError):
            await leaving


async def _disconnected(request: Request) -> None:
    """Wait until the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
