"""Traces for OpenTelemetry: a span for each operation, each event of a stream and each SQL statement.

Only imported where traces are wanted, so that without them nothing is paid. Spans carry names, never variables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry import context as contexts
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PATIENCE = 2  # seconds for the collector to take a batch, the last one at the end included
_CONTEXT = TraceContextTextMapPropagator()


def to_collector(endpoint: str) -> Traces:
    """Traces that are sent to a collector, in batches and aside from the work."""
    url = endpoint.rstrip("/")
    exporter = OTLPSpanExporter(url if url.endswith("/v1/traces") else f"{url}/v1/traces", timeout=_PATIENCE)
    return Traces(BatchSpanProcessor(exporter))


class TracedWork:
    """An operation, or the event of a stream."""

    def __init__(self, span: Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier)
        self.traceparent = carrier.get("traceparent", "")

    def fail(self, code: str) -> None:
        """Note that it did not go well."""
        self._span.set_status(StatusCode.ERROR, code)
        self._span.set_attribute("error.type", code)


class Traces:
    """Makes spans, and hands them to a processor."""

    def __init__(self, processor: SpanProcessor) -> None:
        about = {SERVICE_NAME: "casare-monitor", SERVICE_VERSION: version("casare-monitor")}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("graph")

    @contextmanager
    def within(self, headers: Mapping[bytes, bytes]) -> Iterator[None]:
        """Take over the trace that a client names in its headers, for what happens in the block."""
        names = ("traceparent", "tracestate")
        carrier = {name: headers[key].decode("latin-1") for name in names if (key := name.encode()) in headers}
        token = contexts.attach(_CONTEXT.extract(carrier, contexts.Context()))
        try:
            yield
        finally:
            contexts.detach(token)

    @contextmanager
    def work(self, name: str, kind: str, correlation_id: str) -> Iterator[TracedWork]:
        """A span for the block: an operation, or the event of a stream."""
        attributes = {"graphql.operation.type": kind, "graphql.operation.name": name, "request.id": correlation_id}
        span_kind = SpanKind.INTERNAL if kind == "event" else SpanKind.SERVER
        with self._tracer.start_as_current_span(
            f"{kind} {name}".rstrip(), kind=span_kind, attributes=attributes, record_exception=False
        ) as span:
            yield TracedWork(span)

    def statement(self, query: str, seconds: float) -> None:
        """A span for a statement that has just ended, within the work that asked for it."""
        if not get_current_span().is_recording():
            return
        now = time.time_ns()
        attributes = {"db.system.name": "postgresql", "db.operation.name": query}
        span = self._tracer.start_span(
            query, kind=SpanKind.CLIENT, attributes=attributes, start_time=now - int(seconds * 1e9)
        )
        span.end(now)

    def close(self) -> None:
        """Hand over what there still is."""
        self._provider.force_flush(_PATIENCE * 1000)
        self._provider.shutdown()
