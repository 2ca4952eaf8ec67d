"""Starts and supervises the server's processes."""

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
from kammil.server.settings import VARIABLE, ServerSettings

SWITCH_SECONDS = 0.001
"""Switch interval between event loop and threads; Python's 5 ms last as long as a completion."""
HEADER_SECONDS = 20.0
"""Time limit for the head of a request."""

log = logging.getLogger("kammil.server")


def run(settings: ServerSettings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish requests at work; `OptionError` for an address in use."""
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
        os.environ[VARIABLE] = settings.model_dump_json()
        config.configure_logging()
        log.info("listening on http://%s:%d", host, listening.getsockname()[1])
        if settings.warning is not None:
            log.warning("%s", settings.warning)
        if settings.workers == 1:
            signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit())  # uvicorn raises it again at the end
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listening])
            return
        os.environ[MULTIPROCESS_DIR] = folder
        listening.set_inheritable(True)
        Supervisor(config, sockets=[listening]).run()


def application() -> Any:
    """Build the application of a worker."""
    from kammil.server.app import create

    sys.setswitchinterval(SWITCH_SECONDS)
    return create(ServerSettings.model_validate_json(os.environ[VARIABLE]))


class Supervisor(Multiprocess):
    """Starts workers, and replaces those that die or hang."""

    def keep_subprocess_alive(self) -> None:
        """Replace dead workers and remove their gauges."""
        for process in self.processes:
            process.ping = partial(_responds, process)
            if not process.process.is_alive() and process.pid is not None:
                mark_process_dead(process.pid, os.environ[MULTIPROCESS_DIR])
        super().keep_subprocess_alive()

    def handle_hup(self) -> None:
        """Have each worker reload its models; uvicorn would restart it."""
        for process in self.processes:
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)


def _responds(process: Process, timeout: float = 5) -> bool:
    """Ping a worker; uvicorn's own check waits long for a dead one."""
    try:
        process.parent_conn.send(b"ping")
        wait([process.parent_conn, process.process.sentinel], timeout)
        return process.parent_conn.poll() and process.parent_conn.recv() is not None
    except (OSError, EOFError):
        return False


def listen(settings: ServerSettings) -> socket.socket:
    """Open a listening socket; `OptionError` if that fails, where uvicorn would print a traceback."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without it a body waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        place = f"{settings.host} port {settings.port}"
        message = f"cannot listen on {place} ({error.strerror or error}); give another --host or --port."
        raise OptionError(message) from error
    return listener


def _log_config() -> dict[str, Any]:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    config["loggers"]["kammil"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    config["loggers"]["uvicorn.error"] = {"level": "WARNING"}
    return config


_Uvicorn = cast(Any, AutoHTTPProtocol)


class HeaderTimeoutProtocol(_Uvicorn):
    """Closes a connection whose next request does not come in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the timer."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_idle)

    def on_response_complete(self) -> None:
        """Restart the timer."""
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
