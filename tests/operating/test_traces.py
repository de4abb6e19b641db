"""Spans of operations, events and statements, and what is paid for them where nobody wants them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from serving import Graph, eventually, serving

from graph.operating.tracing import Traces

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Traced:
    """A server whose spans stay in memory."""

    def __init__(self, graph: Graph, exporter: InMemorySpanExporter) -> None:
        self.graph = graph
        self._exporter = exporter

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span


@pytest.fixture
def traced(dsn: str) -> Iterator[Traced]:
    exporter = InMemorySpanExporter()
    with serving(dsn, spans=Traces(SimpleSpanProcessor(exporter))) as graph:
        yield Traced(graph, exporter)


def test_an_operation_is_a_span_and_its_statements_are_spans_below(traced: Traced) -> None:
    traced.graph.ask("query Ours { jobs(first: 2) { nodes { jobId } } }")
    operation, statement = traced.span("query Ours"), traced.span("jobs_page")
    assert operation.kind is SpanKind.SERVER
    assert operation.attributes is not None
    assert operation.attributes["graphql.operation.name"] == "Ours"
    assert statement.kind is SpanKind.CLIENT
    assert statement.parent is not None
    assert statement.parent.span_id == operation.context.span_id
    assert operation.start_time <= statement.start_time <= statement.end_time <= operation.end_time


def test_the_trace_of_the_client_goes_on_and_comes_back(traced: Traced) -> None:
    answer = traced.graph.http.post(
        "/graphql",
        json={"query": "query Ours { fleet { totalRobots } }"},
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
    )
    span = traced.span("query Ours")
    assert format(span.context.trace_id, "032x") == TRACE
    assert span.parent is not None
    assert format(span.parent.span_id, "016x") == PARENT
    assert answer.headers["traceparent"] == f"00-{TRACE}-{span.context.span_id:016x}-01"


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", "ä"])
def test_a_trace_that_makes_no_sense_is_not_gone_on_with(traced: Traced, header: str) -> None:
    question = {"query": "query Ours { fleet { totalRobots } }"}
    traced.graph.http.post("/graphql", json=question, headers={"traceparent": header.encode()})
    assert traced.span("query Ours").parent is None


def test_a_client_that_samples_nothing_gets_no_spans(traced: Traced) -> None:
    question = {"query": "query Ours { fleet { totalRobots } }"}
    traced.graph.http.post("/graphql", json=question, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert traced.spans("query Ours") == []


def test_what_nobody_asked_for_makes_no_traces(traced: Traced) -> None:
    eventually(lambda: traced.graph.http.get("/health").json()["status"] == "ok")
    assert traced.graph.http.get("/metrics").status_code == 200
    assert traced.all == ()


def test_an_operation_that_fails_says_so_in_its_span(traced: Traced) -> None:
    traced.graph.sql("DROP TABLE monitor.heartbeats CASCADE")
    traced.graph.sql("INSERT INTO monitor.robots (robot_id, hostname) VALUES ('r', 'h')")
    traced.graph.ask('query Ours { robot(robotId: "r") { heartbeats(last: 1) { status } } }')
    span = traced.span("query Ours")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "INTERNAL_SERVER_ERROR"


def test_each_event_of_a_stream_is_a_span(traced: Traced) -> None:
    query = {"query": "subscription Watch { queueMetrics { depth } }"}
    with traced.graph.http.stream("GET", "/graphql", params=query, headers={"Accept": "text/event-stream"}):
        eventually(lambda: traced.spans("event Watch"))


def test_no_variable_and_no_document_stands_in_a_span(traced: Traced) -> None:
    jobs = "jobs(first: 1, filter: {search: $s}) { nodes { jobId } }"
    query = f'query Ours($s: String) {{ {jobs} job(jobId: "swordfish-2") {{ jobId }} }}'
    assert traced.graph.ask(query, s="swordfish-1").data
    spans = [traced.span("query Ours"), traced.span("jobs_page"), traced.span("jobs_by_id")]
    assert not [span for span in spans if "swordfish" in span.to_json()]


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A collector that speaks OTLP over HTTP, and what it was sent."""
    taken: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            taken.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", taken
        finally:
            server.shutdown()
            thread.join(timeout=10)


def test_a_collector_gets_the_spans_at_the_end_at_the_latest(dsn: str) -> None:
    with collector() as (url, taken):
        with serving(dsn, otlp_endpoint=url) as graph:
            graph.ask("query Ours { fleet { totalRobots } }")
        resources = [resource for request in taken for resource in request.resource_spans]
        names = {span.name for resource in resources for scope in resource.scope_spans for span in scope.spans}
        about = {attribute.key: attribute.value.string_value for attribute in resources[0].resource.attributes}
    assert "query Ours" in names
    assert about["service.name"] == "casare-monitor"


def test_a_collector_that_is_away_hinders_nobody(dsn: str) -> None:
    with serving(dsn, otlp_endpoint="http://127.0.0.1:1") as graph:
        assert graph.ask("query Ours { fleet { totalRobots } }").data


def test_without_traces_nothing_of_them_is_imported() -> None:
    program = (
        "import sys; from datasources.settings import Settings; from graph.app import create_app; "
        "create_app(Settings(), 'postgresql://x/y'); "
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', "
        "'graph.operating.tracing'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
