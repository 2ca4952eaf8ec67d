"""Metrics for Prometheus, summed over all workers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import Scope

from kammil.server.scheduler.requests import EngineRequest, Generation
from kammil.server.scheduler.scheduler import SchedulerStats

MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
"""Prometheus's environment variable for the folder that workers share."""
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TOKEN_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)


class Metrics:
    """Metrics of a process; paths other than its routes are counted together."""

    def __init__(self, routes: Iterable[str]) -> None:
        self._routes, self._registry = frozenset(routes), CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"kammil_{name}", text, labels, registry=self._registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"kammil_{name}", text, registry=self._registry, multiprocess_mode="livesum")

        def seconds(name: str, text: str, label: str, buckets: Sequence[float] = REQUEST_BUCKETS) -> Histogram:
            return Histogram(f"kammil_{name}_seconds", text, [label], registry=self._registry, buckets=buckets)

        self._requests = counter("requests", "Requests answered.", "route", "status")
        self._errors = counter("errors", "Requests answered with an error.", "route", "status")
        self._request_seconds = seconds("request", "From the head of a request to the end of its answer.", "route")
        self._queue_seconds = seconds("queue", "Waiting until the scheduler begins a request.", "model")
        self._token_seconds = seconds("token", "Time per generated token, prompt included.", "model", TOKEN_BUCKETS)
        self._prompt_tokens = counter("prompt_tokens", "Tokens of prompts.", "model")
        self._completion_tokens = counter("completion_tokens", "Generated tokens.", "model")
        self._queue = gauge("queue_size", "Requests that wait or whose prompts are being read.")
        self._live = gauge("live_texts", "Texts being generated.")
        self._steps = counter("steps", "Steps of a model.")
        self._rows = counter("step_rows", "Texts stepped, summed over all steps.")

    def count_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an HTTP request."""
        path = str(scope["path"])
        route = path if path in self._routes else "other"
        self._requests.labels(route, str(status)).inc()
        if status >= 400:
            self._errors.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_answered(self, model: str, call: EngineRequest[object], tokens: int) -> None:
        """Count a request that a scheduler answered after reading `tokens`."""
        self._prompt_tokens.labels(model).inc(tokens)
        if call.started_at is None:
            return
        self._queue_seconds.labels(model).observe(call.started_at - call.submitted_at)
        if isinstance(call, Generation):
            decided = sum(sequence.num_decisions for sequence in call.sequences)
            self._completion_tokens.labels(model).inc(decided)
            if decided:
                seconds = (call.answered_at or time.monotonic()) - call.started_at
                self._token_seconds.labels(model).observe(seconds / decided)

    def update(self, all_stats: Sequence[SchedulerStats]) -> None:
        """Add the schedulers' numbers."""
        self._queue.set(sum(stats.waiting for stats in all_stats))
        self._live.set(sum(stats.live for stats in all_stats))
        for stats in all_stats:
            steps, rows = stats.steps, stats.rows
            self._steps.inc(steps - stats.exported[0])
            self._rows.inc(rows - stats.exported[1])
            stats.exported = steps, rows

    def render(self) -> tuple[bytes, str]:
        """Return all metrics as text and their media type."""
        registry = self._registry
        if MULTIPROCESS_DIR in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST
