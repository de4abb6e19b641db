"""What stands in the log, and what never does."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Graph, eventually
from websockets.sync.client import connect

from graph.operating.logs import JsonLines, TextLines

SECRETS = ("swordfish-1", "swordfish-2", "swordfish-3", "swordfish-4")


class Log:
    """The lines that were logged."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(formatter)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def line(self, **wanted: Any) -> dict[str, Any]:
        """The one line with these values, once it is there."""
        found = lambda: [line for line in self.lines if wanted.items() <= line.items()]  # noqa: E731
        eventually(found)
        (line,) = found()
        return line


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    log = Log(JsonLines())
    logger = logging.getLogger()
    logger.addHandler(log.handler)
    with caplog.at_level(logging.INFO):
        yield log
    logger.removeHandler(log.handler)


def test_a_request_is_one_line_that_tells_how_it_went(graph: Graph, log: Log) -> None:
    query = {"query": "query Ours { jobs(first: 2) { totalCount nodes { jobId } } }"}
    answer = graph.http.post("/graphql", json=query, headers={"X-Request-ID": "mine-1"})
    line = log.line(request_id="mine-1")
    assert line["logger"] == "graph.requests"
    assert (line["method"], line["path"], line["status"], line["operation"]) == ("POST", "/graphql", 200, "Ours")
    assert (line["outcome"], line["codes"], line["client"]) == ("ok", [], "127.0.0.1")
    assert (line["sql_statements"], line["bytes"]) == (2, len(answer.content))
    assert line["viewer"] == "anonymous"  # until there is authentication, nobody is anybody
    assert line["duration_ms"] >= line["sql_ms"] > 0


def test_a_refused_request_tells_the_code(graph: Graph, log: Log) -> None:
    graph.http.post("/graphql", json={"query": "{ nope }"}, headers={"X-Request-ID": "mine-2"})
    line = log.line(request_id="mine-2")
    assert (line["outcome"], line["codes"]) == ("refused", ["GRAPHQL_VALIDATION_FAILED"])


def test_an_incident_is_logged_with_its_traceback_under_the_same_id(graph: Graph, log: Log) -> None:
    graph.sql("DROP TABLE monitor.node_executions CASCADE")
    graph.sql(
        """INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at)
           VALUES ('j', 'report', 'w', 'W', 'pending', 'pending', now())"""
    )
    question = {"query": '{ job(jobId: "j") { nodeExecutions { nodeId } } }'}
    graph.http.post("/graphql", json=question, headers={"X-Request-ID": "mine-3"})
    assert "Traceback" in log.line(request_id="mine-3", logger="graph")["exception"]
    assert log.line(request_id="mine-3", logger="graph.requests")["outcome"] == "error"


def test_an_operation_on_a_socket_names_the_connection_it_came_by(graph: Graph, log: Log) -> None:
    url = graph.url.replace("http", "ws") + "/graphql"
    with connect(
        url, subprotocols=["graphql-transport-ws"], additional_headers={"X-Request-ID": "socket-1"}, open_timeout=10
    ) as socket:
        assert socket.response is not None
        assert socket.response.headers["X-Request-ID"] == "socket-1"
        socket.send(json.dumps({"type": "connection_init"}))
        payload = {"query": "query Ours { fleet { totalRobots } }", "operationName": "Ours"}
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        while json.loads(socket.recv(timeout=10))["type"] != "complete":
            pass
    line = log.line(connection="socket-1")
    assert (line["operation"], line["outcome"]) == ("Ours", "ok")
    assert log.line(request_id="socket-1", logger="graph.requests")["method"] == "WS"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'id", "level": "critical', "naïve"])
def test_an_id_that_is_not_sane_is_replaced(graph: Graph, given: str) -> None:
    answer = graph.http.get("/health/live", headers={"X-Request-ID": given.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/health", "/metrics", "/graphql", "/api/v1/metrics/fleet", "/nowhere", "/"])
def test_every_answer_has_its_id_once(graph: Graph, path: str) -> None:
    answer = graph.http.get(path, headers={"X-Request-ID": "mine-4"})
    assert answer.headers.get_list("x-request-id") == ["mine-4"]


def test_nothing_that_clients_send_stands_in_the_log(graph: Graph, log: Log) -> None:
    one, two, three, four = SECRETS
    query = "query Ours($s: String) { jobs(first: 1, filter: {search: $s}) { nodes { jobId } } }"
    headers = {"Authorization": f"Bearer {three}", "Cookie": f"session={three}", "X-Request-ID": "mine-5"}
    graph.http.post("/graphql", json={"query": query, "variables": {"s": one}}, headers=headers)
    graph.http.get("/graphql", params={"query": f'{{ job(jobId: "{two}") {{ jobId }} }}'}, headers=headers)
    graph.http.get("/api/v1/metrics/jobs", params={"workflow_id": four}, headers=headers)
    graph.http.post("/graphql", json={"query": f"{{ nope(a: {two!r}) }}"}, headers=headers)
    eventually(lambda: sum(line.get("request_id") == "mine-5" for line in log.lines) >= 4)
    ours = [json.dumps(line) for line in log.lines if line["logger"] != "httpx"]
    assert not [line for line in ours for secret in SECRETS if secret in line]


def test_a_path_does_not_break_out_of_its_line() -> None:
    record = logging.makeLogRecord({"msg": "GET %s", "args": ("a\nb",), "levelname": "INFO", "name": "x"})
    assert len(JsonLines().format(record).splitlines()) == 1


def test_people_get_a_line_they_can_read() -> None:
    extras = {"operation": "Ours", "duration_ms": 3.2, "codes": [], "request_id": "mine-6"}
    record = logging.makeLogRecord({"msg": "POST 200", "levelname": "INFO", "name": "graph.requests", **extras})
    shown = r"\d\d:\d\d:\d\d info    graph.requests: POST 200  operation=Ours duration_ms=3.2 request_id=mine-6"
    assert re.fullmatch(shown, TextLines().format(record))
