"""The routes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel

from kammil.errors import KammilError
from kammil.server import playground
from kammil.server.api import completions, docs_page, errors, schemas, streaming, text_routes
from kammil.server.api.errors import ApiError
from kammil.server.metrics import Metrics
from kammil.server.model_pool import Registry
from kammil.server.security import Guard
from kammil.server.settings import Serving

log = logging.getLogger("kammil.server")
Answer = TypeVar("Answer")

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
    "/docs",
    "/",
)
"""Those that are counted by name."""
WRONG: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorResponse, "description": text}
    for status, text in {
        400: "Something in the request is wrong.",
        401: "The key is wrong or missing.",
        403: "Not from here.",
        404: "No such model.",
        413: "The body is too large.",
        429: "Too many requests wait; see Retry-After.",
        500: "The server failed.",
        503: "The time for the request is over.",
    }.items()
}

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The completion; with `stream`, events whose data are pieces of it, then [DONE].",
        "content": {"text/event-stream": {"schema": {"type": "object", "properties": {"data": {"type": "string"}}}}},
    }
}


def create(settings: Serving) -> FastAPI:
    """The application: nothing is opened before it starts."""
    metrics = Metrics(ROUTES)
    registry = Registry(settings, metrics.worked)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        opening = asyncio.create_task(registry.open())
        opening.add_done_callback(_say)
        watching = asyncio.create_task(_watch(registry, metrics, workers=settings.workers > 1))
        with _reloading(registry):
            log.info("process %d serves %s", os.getpid(), ", ".join(registry.names))
            yield
        opening.cancel()
        watching.cancel()
        registry.close()

    app = FastAPI(
        title="Kammil",
        version=version("kammil"),
        description="Completes short texts. The routes under /v1 are those of OpenAI's API, and a few more.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.registry = registry
    errors.install(app)
    _completing(app, registry, settings)
    _evaluating(app, registry)
    _watching(app, registry, metrics)
    page = _page(app)
    app.add_middleware(Guard, settings=settings, metrics=metrics, page=page)
    return app


@contextmanager
def _reloading(registry: Registry) -> Generator[None]:
    """Read the folders again upon SIGHUP, where there is such a thing, and where signals come."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(registry.reload())
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def _watch(registry: Registry, metrics: Metrics, *, workers: bool) -> None:
    """Look at the engines every second: another worker may be asked for the figures, and a model whose thread has ended
    is opened anew.

    A worker whose supervisor has died ends as well: nobody could stop it any more.
    """
    parent = os.getppid()
    while True:
        metrics.look(registry.served)
        await registry.revive()
        if workers and os.getppid() != parent:
            log.error("the supervisor has died, so this worker ends")
            signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(1)


def _say(opening: asyncio.Task[Any]) -> None:
    """Why a model did not open, in the log; requests for it are told the same."""
    if not opening.cancelled() and (error := opening.exception()) is not None:
        log.error("%s", error)


def _completing(app: FastAPI, registry: Registry, settings: Serving) -> None:
    """What people's tools ask for."""

    @app.post("/v1/completions", response_model=schemas.CompletionResponse, responses=WRONG | STREAMED)
    async def complete(body: schemas.CompletionRequest, request: Request) -> Response:
        """Complete a prompt."""
        async with AsyncExitStack() as stack:
            served = await stack.enter_async_context(registry.use(body.model))
            plan = await completions.plan(body, served, settings)
            _prompted(settings, body.prompt)
            if body.stream:
                events = streaming.stream(plan, body.stream_options or schemas.StreamOptions(), stack.pop_all())
                return EventSourceResponse(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
            return _json(await attended(request, completions.complete(plan)))

    @app.post("/v1/suggest", response_model=schemas.SuggestResponse, responses=WRONG)
    async def suggest(body: schemas.SuggestRequest, request: Request) -> Response:
        """Suggest the most probable next words, or endings of the word that is being typed."""
        async with registry.use(body.model) as served:
            _prompted(settings, body.prefix)
            return _json(await attended(request, text_routes.suggest(body, served, settings)))

    @app.post("/v1/score", response_model=schemas.ScoreResponse, responses=WRONG)
    async def score(body: schemas.ScoreRequest, request: Request) -> Response:
        """Score a text: the bits of each character, and what else was likely there."""
        async with registry.use(body.model) as served:
            _prompted(settings, body.text)
            return _json(await attended(request, text_routes.score(body, served, settings)))

    @app.post("/v1/learn", response_model=schemas.LearnResponse, responses=WRONG)
    async def learn(body: schemas.LearnRequest) -> Response:
        """Teach the model a text, until it is forgotten or the server stops."""
        async with registry.use(body.model) as served:
            return _json(await text_routes.learn(body, served, settings))

    @app.delete("/v1/learn", response_model=schemas.ForgetResponse, responses=WRONG)
    async def forget(
        model: Annotated[str | None, Query(max_length=1000)] = None,
        session: Annotated[str | None, Query(max_length=200)] = None,
    ) -> Response:
        """Forget what a session taught; without a session, all that any client taught."""

        async def work() -> schemas.ForgetResponse:
            async with registry.use(model) as served:
                return await text_routes.forget(session, served, settings)

        # What is to be forgotten is forgotten, whether or not somebody waits for the answer.
        return _json(await asyncio.shield(asyncio.create_task(work())))

    @app.get("/v1/models", response_model=schemas.ModelList, responses=WRONG)
    async def models() -> Response:
        """List the models of this server."""
        return _json(schemas.ModelList(data=await asyncio.to_thread(registry.entries)))

    @app.get("/v1/models/{model}", response_model=schemas.ModelEntry, responses=WRONG)
    async def model(model: str) -> Response:
        """Return one model."""
        for entry in await asyncio.to_thread(registry.entries):
            if entry.id == model:
                return _json(entry)
        raise ApiError(404, "there is no model of that name.", param="model", code="model_not_found")


def _evaluating(app: FastAPI, registry: Registry) -> None:
    """What evaluation harnesses ask for."""

    @app.get("/tokenizer_info", response_model=schemas.TokenizerInfo, responses=WRONG)
    async def tokenizer_info(model: Annotated[str | None, Query(max_length=1000)] = None) -> Response:
        """Describe the tokenizer, as evaluation harnesses ask for it."""
        async with registry.use(model) as served:
            return _json(text_routes.tokenizer_info(served))

    @app.post("/tokenize", response_model=schemas.TokenizeResponse, responses=WRONG)
    async def tokenize(body: schemas.TokenizeRequest) -> Response:
        """Convert a text, as the model sees it, to tokens."""
        async with registry.use(body.model) as served:
            return _json(await text_routes.tokenize(body, served))

    @app.post("/detokenize", response_model=schemas.DetokenizeResponse, responses=WRONG)
    async def detokenize(body: schemas.DetokenizeRequest) -> Response:
        """Convert tokens to text."""
        async with registry.use(body.model) as served:
            return _json(await text_routes.detokenize(body, served))


def _watching(app: FastAPI, registry: Registry, metrics: Metrics) -> None:
    """What whoever runs a server asks for."""

    @app.get("/metrics", response_class=PlainTextResponse)
    async def figures() -> Response:
        """Return metrics for Prometheus: requests, errors, queue, tokens, times."""
        metrics.look(registry.served)
        content, media = await asyncio.to_thread(metrics.page)
        return Response(content, media_type=media)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        """Describe all routes on one page."""
        return HTMLResponse(docs_page.page(await asyncio.to_thread(app.openapi)), headers=dict(docs_page.HEADERS))

    @app.get("/health", response_model=schemas.Health, responses={503: WRONG[503]})
    async def health() -> Response:
        """Return 200 when requests are answered at once; 503 while the first model, or one that stopped, is opened."""
        if not registry.ready:
            raise ApiError(503, "the model is being opened; try again in a second.", headers={"Retry-After": "1"})
        return _json(schemas.Health())


def _page(app: FastAPI) -> list[str]:
    """The files of the playground; their paths."""

    async def asset(request: Request) -> Response:
        found = playground.assets().get(request.url.path.removeprefix("/"))
        if found is None:
            raise ApiError(404, "there is nothing here.")
        return Response(found.content, media_type=found.media, headers=dict(playground.HEADERS))

    for path in playground.assets():
        app.add_api_route(f"/{path}", asset, methods=["GET", "HEAD"], include_in_schema=False)
    return [f"/{path}" for path in playground.assets()]


def _prompted(settings: Serving, prompt: object) -> None:
    """Leave a prompt in the log, if that was asked for."""
    if settings.log_prompts:
        log.info("prompt: %r", prompt)


def _json(answer: BaseModel | bytes) -> Response:
    """Written by pydantic in one go, or written already; FastAPI would check it a second time."""
    body = answer if isinstance(answer, bytes) else answer.model_dump_json()
    return Response(body, media_type="application/json")


async def attended(request: Request, work: Awaitable[Answer]) -> Answer:
    """Do the work for as long as the client is there; `ApiError` for what goes wrong in it."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ApiError(499, "the client has left.")
        return doing.result()
    except (ApiError, KammilError):
        raise
    except Exception as error:
        failed = errors.of(error)
        if errors.is_news(error):
            log.error("a request failed", exc_info=error)
        raise failed from error
    finally:
        for task in (doing, leaving):
            if not task.done():
                task.cancel()
        with suppress(asyncio.CancelledError):
            await leaving


async def _left(request: Request) -> None:
    """Returns when the client has."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
