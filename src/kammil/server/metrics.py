"""Figures for Prometheus: requests, errors, queue, tokens and times; of all workers together."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import Scope

from kammil.server.model_pool import Served
from kammil.server.scheduler import Call, Writing

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable that names the folder in which workers leave their figures; Prometheus's own client reads it."""
QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TINY = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)


class Metrics:
    """All figures of a process.

    Args:
        routes: paths that are counted by name; all others count as one.
    """

    def __init__(self, routes: Iterable[str]) -> None:
        """All at zero."""
        self._routes = frozenset(routes)
        self._registry = CollectorRegistry()
        own = self._registry
        self._requests = Counter("kammil_requests", "Requests answered.", ["route", "status"], registry=own)
        self._errors = Counter("kammil_errors", "Requests answered with an error.", ["route", "status"], registry=own)
        self._seconds = Histogram(
            "kammil_request_seconds",
            "From a request's head to its answer's end.",
            ["route"],
            registry=own,
            buckets=QUICK,
        )
        self._queued = Histogram(
            "kammil_queue_seconds", "Waiting until the engine takes a call up.", ["model"], registry=own, buckets=QUICK
        )
        self._each = Histogram(
            "kammil_token_seconds", "Per token written, prompt included.", ["model"], registry=own, buckets=TINY
        )
        self._read = Counter("kammil_prompt_tokens", "Tokens of prompts.", ["model"], registry=own)
        self._written = Counter("kammil_completion_tokens", "Tokens written.", ["model"], registry=own)
        self._queue = _gauge("kammil_queue_size", "Calls that wait or are being read.", own)
        self._live = _gauge("kammil_live_texts", "Texts being written.", own)
        self._steps = Counter("kammil_steps", "Steps of a model.", registry=own)
        self._rows = Counter("kammil_step_rows", "Texts stepped, all steps together.", registry=own)

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """One request."""
        path = str(scope["path"])
        route = path if path in self._routes else "other"
        self._requests.labels(route, str(status)).inc()
        if status >= 400:
            self._errors.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def worked(self, served: Served, call: Call[object], tokens: int) -> None:
        """One call that an engine answered; `tokens` were read."""
        if call.begun is not None:
            self._queued.labels(served.name).observe(call.begun - call.arrived)
        self._read.labels(served.name).inc(tokens)
        if isinstance(call, Writing) and call.begun is not None:
            decided = sum(job.decided for job in call.jobs)
            self._written.labels(served.name).inc(decided)
            if decided:
                self._each.labels(served.name).observe(((call.finished or time.monotonic()) - call.begun) / decided)

    def look(self, served: Iterable[Served]) -> None:
        """What the engines do now, and have done since the last time."""
        tallies = [one.engine.tally for one in served]
        self._queue.set(sum(tally.waiting for tally in tallies))
        self._live.set(sum(tally.live for tally in tallies))
        for tally in tallies:
            steps, rows = tally.steps, tally.rows
            self._steps.inc(steps - tally.told[0])
            self._rows.inc(rows - tally.told[1])
            tally.told = steps, rows

    def page(self) -> tuple[bytes, str]:
        """All figures, and the media type that they are written in."""
        registry = self._registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, registry=registry, multiprocess_mode="livesum")
