"""Start and supervise the server's processes; close connections over which nothing comes."""

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
from kammil.server.metrics import SHARED
from kammil.server.settings import Serving

SWITCH = 0.001
"""Seconds after which the event loop takes over from an engine's thread, or the other way; Python's own 5 ms is as long
as a whole completion takes."""

log = logging.getLogger("kammil.server")


def run(settings: Serving) -> None:
    """Serve until told to stop; `OptionError` where nobody may listen.

    SIGTERM and Ctrl-C let what is being answered come to its end; SIGHUP reads the model folders again.
    """
    listening = listen(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        "kammil.server.run:application",
        factory=True,
        http=Patient,
        ws="none",
        workers=settings.workers,
        log_config=_logging(),
        access_log=settings.access_log,
        server_header=False,
        timeout_graceful_shutdown=int(settings.seconds) + 5,
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
        os.environ[SHARED] = folder
        listening.set_inheritable(True)
        Supervisor(config, sockets=[listening]).run()


def application() -> Any:
    """The application of one process, from the settings that `run` left; a worker calls this."""
    from kammil.server.app import create

    sys.setswitchinterval(SWITCH)
    return create(Serving.from_environment())


class Supervisor(Multiprocess):
    """Starts workers, replaces those that die or hang, and passes SIGHUP on, upon which each reads its models again."""

    def keep_subprocess_alive(self) -> None:
        """Replace the dead, and take what they were doing out of the figures."""
        for process in self.processes:
            process.ping = partial(_answers, process)
            if not process.process.is_alive() and process.pid is not None:
                mark_process_dead(process.pid, os.environ[SHARED])
        super().keep_subprocess_alive()

    def handle_hup(self) -> None:
        """Uvicorn would replace the workers one by one; their connections need not be closed for this."""
        for process in self.processes:
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)


def _answers(process: Process, timeout: float = 5) -> bool:
    """Whether a worker answers the supervisor. Uvicorn itself waits as long for one that dies as for one that hangs."""
    try:
        process.parent_conn.send(b"ping")
        wait([process.parent_conn, process.process.sentinel], timeout)
        return process.parent_conn.poll() and process.parent_conn.recv() is not None
    except (OSError, EOFError):
        return False


def listen(settings: Serving) -> socket.socket:
    """A listening socket; uvicorn would leave with a traceback where it cannot have one."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named TCP: asyncio sends small pieces at once (TCP_NODELAY) on such sockets alone. On others the body of an answer
    # waits 40 ms for the client to acknowledge its head.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((settings.host, settings.port))
        made.listen(2048)
    except OSError as error:
        made.close()
        raise OptionError(
            f"nobody can listen on {settings.host} port {settings.port} ({error.strerror or error}); "
            "give another --host or --port."
        ) from error
    return made


def _logging() -> dict[str, Any]:
    """Uvicorn's log, all of it on stderr, and ours."""
    made = copy.deepcopy(LOGGING_CONFIG)
    made["handlers"]["access"]["stream"] = "ext://sys.stderr"
    made["loggers"]["kammil"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    made["loggers"]["uvicorn.error"] = {"level": "WARNING"}
    return made


HEAD = 20.0
"""Seconds from the opening of a connection to the end of its first request's head."""

_Uvicorn = cast(Any, AutoHTTPProtocol)


class Patient(_Uvicorn):
    """Uvicorn's protocol, which waits only so long for the first request."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(HEAD, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more."""
        self._waiting.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
