"""What is measured, for Prometheus: by one process, or by several that lay their counts into one directory.

Names of operations come from clients, so that the first 200 are told apart and the others are one. What the workers
count anyway (sockets, deliveries, sweeps) is taken over once a second: on the hot path nothing is paid for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeVar, cast

import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

Family = TypeVar("Family", Counter, Histogram)
OverWorkers = Literal["livesum", "livemax", "livemin"]

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # where several workers lay their counts; set before they start

_MOST_NAMES = 200
_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
_LIFETIMES = (0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)
_SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
_METHODS = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"}


class Names:
    """Values of a label that come from outside: so many are told apart, the others are `other`."""

    def __init__(self, most: int = _MOST_NAMES) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, name: str | None) -> str:
        """The value for a name; `-` where there is none."""
        if not name:
            return "-"
        if name not in self._known:
            if len(self._known) >= self._most:
                return "other"
            self._known.add(name)
        return name


class Metrics:
    """The instruments of one worker."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._directory = os.environ.get(DIRECTORY)
        self._registry = CollectorRegistry()
        if self._directory is None:
            ProcessCollector(registry=self._registry)
        self._of_requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._children: dict[tuple[object, ...], Counter | Histogram] = {}
        self._names = Names()
        self._queries = Names()
        self._requests = self.counter("http_requests", "HTTP requests.", "handler", "method", "status")
        self._request_seconds = self.histogram("http_request_duration_seconds", "HTTP requests.", "handler")
        self._operation_seconds = self.histogram(
            "operation_duration_seconds", "GraphQL operations, from execution to answer.", "operation", "type"
        )
        self._event_seconds = self.histogram(
            "stream_event_duration_seconds", "Executions of a subscription for one event.", "operation"
        )
        self._errors = self.counter("operation_errors", "Errors in answers of operations that ran.", "code")
        self._rejected = self.counter("requests_rejected", "Requests that were refused or limited.", "code")
        self._statement_seconds = self.histogram("sql_statement_duration_seconds", "SQL statements.", "query")
        self._batches = self.histogram("loader_batch_keys", "Keys that a loader asked for at once.", buckets=_SIZES)
        self._job_seconds = self.histogram(
            "job_duration_seconds", "Run time of jobs that ended.", "outcome", buckets=_LIFETIMES
        )
        self._wait_seconds = self.histogram(
            "job_queue_wait_seconds", "Time that ended jobs had waited for a robot.", buckets=_LIFETIMES
        )
        self._jobs = self.counter("jobs_finished", "Jobs that ended.", "outcome", "environment")
        self._environments = Names(50)

    def request(self, handler: str, method: str, status: int, seconds: float) -> None:
        """Count an HTTP request."""
        series = self._of_requests.get((handler, method, status))
        if series is None:
            known = method if method in _METHODS else "other"
            series = self._requests.labels(handler, known, status), self._request_seconds.labels(handler)
            if known == method:  # as the others are as many as clients like
                self._of_requests[handler, method, status] = series
        counter, histogram = series
        counter.inc()
        histogram.observe(seconds)

    def operation(self, name: str | None, kind: str, seconds: float, codes: Iterable[str]) -> None:
        """Count an operation that ran, with the codes of the errors in its answer."""
        self._child(self._operation_seconds, self._names.of(name), kind).observe(seconds)
        for code in codes:
            self._errors.labels(code).inc()

    def event(self, name: str | None, seconds: float, codes: Iterable[str]) -> None:
        """Count an execution of a subscription."""
        self._child(self._event_seconds, self._names.of(name)).observe(seconds)
        for code in codes:
            self._errors.labels(code).inc()

    def rejected(self, code: str) -> None:
        """Count a request that was refused."""
        self._rejected.labels(code).inc()

    def statement(self, query: str, seconds: float) -> None:
        """Count a SQL statement."""
        self._child(self._statement_seconds, self._queries.of(query)).observe(seconds)

    def batch(self, keys: int) -> None:
        """Count a batch of a loader."""
        self._batches.observe(keys)

    def job(self, outcome: str, environment: str, duration: float | None, queue_wait: float | None) -> None:
        """Count a job that ended."""
        self._jobs.labels(outcome, self._environments.of(environment)).inc()
        if duration is not None:
            self._job_seconds.labels(outcome).observe(max(duration, 0.0))
        if queue_wait is not None:
            self._wait_seconds.observe(max(queue_wait, 0.0))

    def _child(self, family: Family, *labels: str) -> Family:
        """One series of a family; looking it up here is several times faster than there."""
        key = (id(family), *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = family.labels(*labels)
        return cast(Family, child)

    def counter(self, name: str, what: str, *labels: str) -> Counter:
        """A new counter; all of a worker stand in one registry."""
        return Counter(f"casare_{name}", what, labels, registry=self._registry)

    def gauge(self, name: str, what: str, over_workers: OverWorkers) -> Gauge:
        """A new gauge, and what becomes of the values of several workers."""
        return Gauge(f"casare_{name}", what, registry=self._registry, multiprocess_mode=over_workers)

    def histogram(self, name: str, what: str, *labels: str, buckets: tuple[float, ...] = _LATENCIES) -> Histogram:
        """A new histogram."""
        return Histogram(f"casare_{name}", what, labels, registry=self._registry, buckets=buckets)

    def page(self, accept: str, fleet: Collector) -> tuple[bytes, str]:
        """All there is, of all workers, with its content type; reads files, so it is for a thread."""
        if self._directory is None:
            registry = _Union(self._registry, fleet)
        else:
            _forget_dead_workers(Path(self._directory))
            workers = CollectorRegistry()
            MultiProcessCollector(workers, self._directory)  # type: ignore[no-untyped-call]
            registry = _Union(workers, fleet)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type


class _Union(CollectorRegistry):
    """What a registry holds, and one collector more."""

    def __init__(self, registry: CollectorRegistry, more: Collector) -> None:
        super().__init__()
        self._both = registry, more

    def collect(self) -> Iterator[Metric]:
        """Everything."""
        for source in self._both:
            yield from source.collect()


def _forget_dead_workers(directory: Path) -> None:
    """What a dead worker counted remains; what it was doing does not."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in directory.glob("gauge_live*_*.db")}:
        if not psutil.pid_exists(pid):
            mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
