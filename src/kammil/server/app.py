"""The FastAPI application."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shutil
import signal
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute

from kammil.server.api import completions, responses, schemas, text_routes
from kammil.server.api.responses import ApiError, json_response
from kammil.server.metrics import MULTIPROCESS_DIR, Metrics
from kammil.server.model_pool import ModelPool
from kammil.server.security import guard
from kammil.server.settings import ServerSettings
from kammil.server.workers import trim_heap
from kammil.views import playground

TRIM_SECONDS = 5
"""Interval between returns of free memory to the system, where there was work."""

log = logging.getLogger("kammil.server")


def create(settings: ServerSettings) -> FastAPI:
    """Create the application, which opens its models once it runs."""
    routers = (completions.router, text_routes.router)
    paths = {route.path for router in routers for route in router.routes if isinstance(route, APIRoute)}
    metrics = Metrics({"/", "/health", "/metrics", *paths})
    pool = ModelPool(settings, metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        opening = asyncio.create_task(pool.open())
        opening.add_done_callback(_log_failure)
        watching = asyncio.create_task(_supervise(pool, workers=settings.workers > 1))
        with _reload_on_sighup(pool):
            log.info("process %d serves %s", os.getpid(), ", ".join(pool.names))
            yield
        opening.cancel()
        watching.cancel()
        pool.workers.close()

    app = FastAPI(
        title="Kammil",
        version=version("kammil"),
        description="Completes short texts. /v1/completions and /v1/models are those of OpenAI's API.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.pool = pool
    responses.install(app)
    for router in routers:
        app.include_router(router)
    _add_operator_routes(app, pool, metrics)
    public = [f"/{path}" for path in playground.assets()]
    for path in public:
        app.add_api_route(path, _asset, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_middleware(guard, settings=settings, metrics=metrics, public=public)
    return app


@contextmanager
def _reload_on_sighup(pool: ModelPool) -> Generator[None]:
    """Reload on SIGHUP. Windows has none, and only the main thread gets signals."""
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


async def _supervise(pool: ModelPool, *, workers: bool) -> None:
    """Return free memory now and then, and end a worker whose supervisor has died."""
    parent, seen = os.getppid(), 0
    for second in itertools.count():
        if second % TRIM_SECONDS == 0 and pool.workers.num_slices > seen:
            seen = pool.workers.num_slices
            await asyncio.to_thread(trim_heap)
        if workers and os.getppid() != parent:
            log.error("the supervisor has died, so this worker ends")
            shutil.rmtree(os.environ[MULTIPROCESS_DIR], ignore_errors=True)  # as the supervisor would
            signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(1)


def _log_failure(opening: asyncio.Task[Any]) -> None:
    if not opening.cancelled() and (error := opening.exception()) is not None:
        log.error("%s", error)


def _add_operator_routes(app: FastAPI, pool: ModelPool, metrics: Metrics) -> None:
    @app.get("/metrics", response_class=PlainTextResponse)
    async def figures() -> Response:
        """Return metrics for Prometheus: requests, errors, queue, tokens, times."""
        content, media = await asyncio.to_thread(metrics.render)
        return Response(content, media_type=media)

    @app.get("/health", response_model=schemas.Health, responses={503: responses.ERRORS[503]})
    async def health() -> Response:
        """Return 200 if requests are answered at once, and 503 while the first model is being opened, or where a
        request hangs."""
        if not pool.ready:
            message = "the model is being opened, or a request hangs; try again in a second."
            raise ApiError(503, message, headers={"Retry-After": "1"})
        return json_response(schemas.Health())


async def _asset(request: Request) -> Response:
    body, headers = playground.assets()[request.url.path.removeprefix("/")].answer(
        request.headers.get("accept-encoding", "")
    )
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers)
