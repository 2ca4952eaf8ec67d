"""Metrics for Prometheus: requests, errors, queue, tokens and times, summed over all workers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import Scope

from kammil.server.model_pool import LoadedModel
from kammil.server.scheduler import EngineRequest, Generation

MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder where workers leave their metrics; Prometheus's own client reads it."""
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TOKEN_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)


class Metrics:
    """The metrics of a process.

    Args:
        routes: paths that are counted by name; all others are counted together.
    """

    def __init__(self, routes: Iterable[str]) -> None:
        self._routes = frozenset(routes)
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter("kammil_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._errors = Counter(
            "kammil_errors", "Requests answered with an error.", ["route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "kammil_request_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            registry=registry,
            buckets=REQUEST_BUCKETS,
        )
        self._queue_seconds = Histogram(
            "kammil_queue_seconds",
            "Waiting until the scheduler begins a request.",
            ["model"],
            registry=registry,
            buckets=REQUEST_BUCKETS,
        )
        self._token_seconds = Histogram(
            "kammil_token_seconds",
            "Time per generated token, prompt included.",
            ["model"],
            registry=registry,
            buckets=TOKEN_BUCKETS,
        )
        self._prompt_tokens = Counter("kammil_prompt_tokens", "Tokens of prompts.", ["model"], registry=registry)
        self._completion_tokens = Counter("kammil_completion_tokens", "Generated tokens.", ["model"], registry=registry)
        self._queue = _gauge("kammil_queue_size", "Requests that wait or whose prompts are being read.", registry)
        self._live = _gauge("kammil_live_texts", "Texts being generated.", registry)
        self._steps = Counter("kammil_steps", "Steps of a model.", registry=registry)
        self._rows = Counter("kammil_step_rows", "Texts stepped, summed over all steps.", registry=registry)

    def count_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an HTTP request."""
        path = str(scope["path"])
        route = path if path in self._routes else "other"
        self._requests.labels(route, str(status)).inc()
        if status >= 400:
            self._errors.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_answered(self, loaded: LoadedModel, call: EngineRequest[object], tokens: int) -> None:
        """Count a request that a scheduler answered, for which `tokens` were read."""
        if call.started_at is not None:
            self._queue_seconds.labels(loaded.name).observe(call.started_at - call.submitted_at)
        self._prompt_tokens.labels(loaded.name).inc(tokens)
        if isinstance(call, Generation) and call.started_at is not None:
            decided = sum(job.num_decisions for job in call.sequences)
            self._completion_tokens.labels(loaded.name).inc(decided)
            if decided:
                self._token_seconds.labels(loaded.name).observe(
                    ((call.answered_at or time.monotonic()) - call.started_at) / decided
                )

    def update(self, loaded: Iterable[LoadedModel]) -> None:
        """Read the current numbers of all schedulers, and add what they have done since the last time."""
        all_stats = [one.scheduler.stats for one in loaded]
        self._queue.set(sum(stats.waiting for stats in all_stats))
        self._live.set(sum(stats.live for stats in all_stats))
        for stats in all_stats:
            steps, rows = stats.steps, stats.rows
            self._steps.inc(steps - stats.exported[0])
            self._rows.inc(rows - stats.exported[1])
            stats.exported = steps, rows

    def render(self) -> tuple[bytes, str]:
        """Return all metrics as text, and its media type."""
        registry = self._registry
        if MULTIPROCESS_DIR in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, registry=registry, multiprocess_mode="livesum")
