"""Metrics for Prometheus, summed over all workers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import Scope

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
        self._queue_seconds = seconds("queue", "Waiting until a thread begins a request.", "model")
        self._token_seconds = seconds("token", "Time per generated token, prompt included.", "model", TOKEN_BUCKETS)
        self._prompt_tokens = counter("prompt_tokens", "Tokens of prompts.", "model")
        self._completion_tokens = counter("completion_tokens", "Generated tokens.", "model")
        self.queue = gauge("queue_size", "Requests that no thread has begun.")
        self.live = gauge("live_texts", "Texts being generated.")

    def count_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an HTTP request."""
        path = str(scope["path"])
        route = path if path in self._routes else "other"
        self._requests.labels(route, str(status)).inc()
        if status >= 400:
            self._errors.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_begun(self, model: str, seconds: float) -> None:
        """Count a request that has waited so long for a thread."""
        self.queue.dec()
        self._queue_seconds.labels(model).observe(seconds)

    def count_tokens(self, model: str, read: int, written: int = 0, seconds: float = 0.0) -> None:
        """Count the tokens of a prompt, and those that were written in so many seconds."""
        self._prompt_tokens.labels(model).inc(read)
        self._completion_tokens.labels(model).inc(written)
        if written:
            self._token_seconds.labels(model).observe(seconds / written)

    def render(self) -> tuple[bytes, str]:
        """Return all metrics as text and their media type."""
        registry = self._registry
        if MULTIPROCESS_DIR in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST
