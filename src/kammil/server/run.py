"""Start and supervise the server's processes; close connections that send no request."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import os
import signal
import socket
import sys
import tempfile
from functools import partial
from multiprocessing.connection import wait
from typing import Any, cast

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from kammil.errors import OptionError
from kammil.server.metrics import MULTIPROCESS_DIR
from kammil.server.settings import ServerSettings

SWITCH_SECONDS = 0.001
"""Seconds after which the event loop and a scheduler's thread give way to each other. Python's default, 5 ms, is as
long as a whole completion takes."""
HEADER_SECONDS = 20.0
"""Seconds from the opening of a connection to the end of its first request's head."""

log = logging.getLogger("kammil.server")


def run(settings: ServerSettings) -> None:
    """Serve until told to stop; `OptionError` if nothing can listen on the address.

    SIGTERM and Ctrl-C let requests at work finish; SIGHUP reads the model folders again.
    """
    listening = listen(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        "kammil.server.run:application",
        factory=True,
        http=HeaderTimeoutProtocol,
        ws="none",
        workers=settings.workers,
        log_config=_log_config(),
        access_log=settings.access_log,
        server_header=False,
        timeout_graceful_shutdown=int(settings.timeout) + 5,
        timeout_worker_healthcheck=15,
    )
    with tempfile.TemporaryDirectory(prefix="kammil-") as folder:
        settings.to_environment()
        config.configure_logging()
        log.info("listening on http://%s:%d", host, listening.getsockname()[1])
        if settings.warning is not None:
            log.warning("%s", settings.warning)
        if settings.workers == 1:
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listening])
            return
        os.environ[MULTIPROCESS_DIR] = folder
        listening.set_inheritable(True)
        Supervisor(config, sockets=[listening]).run()


def application() -> Any:
    """Build the application of one process from the settings that `run` passed; uvicorn calls this in every worker."""
    from kammil.server.app import create

    sys.setswitchinterval(SWITCH_SECONDS)
    return create(ServerSettings.from_environment())


class Supervisor(Multiprocess):
    """Starts workers, replaces those that die or hang, and passes SIGHUP on, on which each reads its models again."""

    def keep_subprocess_alive(self) -> None:
        """Replace dead workers, and remove their gauges from the metrics."""
        for process in self.processes:
            process.ping = partial(_responds, process)
            if not process.process.is_alive() and process.pid is not None:
                mark_process_dead(process.pid, os.environ[MULTIPROCESS_DIR])
        super().keep_subprocess_alive()

    def handle_hup(self) -> None:
        """Pass SIGHUP on. Uvicorn would restart the workers one by one, which would close their connections for
        nothing."""
        for process in self.processes:
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)


def _responds(process: Process, timeout: float = 5) -> bool:
    """Whether a worker answers a ping. Uvicorn's own check waits the whole time-out for a worker that has died
    meanwhile."""
    try:
        process.parent_conn.send(b"ping")
        wait([process.parent_conn, process.process.sentinel], timeout)
        return process.parent_conn.poll() and process.parent_conn.recv() is not None
    except (OSError, EOFError):
        return False


def listen(settings: ServerSettings) -> socket.socket:
    """Open a listening socket; `OptionError` where uvicorn would exit with a traceback."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that name it. Otherwise the body of an
    # answer waits 40 ms until the client has acknowledged the head.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise OptionError(
            f"cannot listen on {settings.host} port {settings.port} ({error.strerror or error}); "
            "give another --host or --port."
        ) from error
    return listener


def _log_config() -> dict[str, Any]:
    """Return uvicorn's log configuration, with everything on stderr, and Kammil's own logger."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    config["loggers"]["kammil"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    config["loggers"]["uvicorn.error"] = {"level": "WARNING"}
    return config


_Uvicorn = cast(Any, AutoHTTPProtocol)


class HeaderTimeoutProtocol(_Uvicorn):
    """Uvicorn's protocol, which closes a connection whose first or next request does not come in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the timer."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_idle)

    def on_response_complete(self) -> None:
        """Start the timer again: a next head may begin and never end."""
        super().on_response_complete()
        self._timer.cancel()
        self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._timer.cancel()
        super().connection_lost(exc)

    def _close_if_idle(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()
