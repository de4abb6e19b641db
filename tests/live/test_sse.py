"""Subscriptions as HTTP answers: Server-Sent Events as graphql-sse has them, and multipart as Apollo has it."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from live_server import PATIENCE, PROBE, LiveServer, wait_until

JOBS = "subscription { jobUpdates { jobId cursor } }"
QUEUE = "subscription { queueMetrics { depth } }"
EVENT_STREAM = {"Accept": "text/event-stream"}
MULTIPART = {"Accept": 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0, application/json'}
COMPLETE = {"event": "complete", "data": ""}


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.http, timeout=PATIENCE) as client:
        yield client


def events(response: httpx.Response) -> Iterator[dict[str, str]]:
    """Events as a browser reads them."""
    event: dict[str, str] = {}
    for line in response.iter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            event[name] = value.removeprefix(" ")
        elif event:
            if PROBE not in event["data"]:
                yield event
            event = {}


def parts(response: httpx.Response) -> Iterator[Any]:
    """Parts as Apollo's client reads them: each once the boundary behind it has come."""
    text = ""
    for chunk in response.iter_text():
        text += chunk
        while (end := text.find("\r\n--graphql")) >= 0:
            part, text = text[:end], text[end + len("\r\n--graphql") :]
            headers, _, body = part.partition("\r\n\r\n")
            if body and PROBE not in body:
                assert headers.strip() == "Content-Type: application/json"
                yield json.loads(body)
    assert text == "--\r\n"


@contextmanager
def streaming(
    http: httpx.Client, query: str, headers: dict[str, str] = EVENT_STREAM, **variables: Any
) -> Iterator[httpx.Response]:
    with http.stream("POST", "/graphql", json={"query": query, "variables": variables}, headers=headers) as response:
        assert response.status_code == 200
        yield response


def job_id(event: dict[str, str]) -> str:
    assert event["event"] == "next"
    return json.loads(event["data"])["data"]["jobUpdates"]["jobId"]


def test_a_subscription_is_a_stream_of_events_with_cursors(server: LiveServer, http: httpx.Client) -> None:
    with streaming(http, JOBS) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"]
        server.settle(1)
        server.new_jobs(2)
        stream = events(response)
        for number in range(2):
            event = next(stream)
            assert job_id(event) == f"j{number}"
            assert event["id"] == json.loads(event["data"])["data"]["jobUpdates"]["cursor"]


def test_a_subscription_may_be_asked_for_by_get(server: LiveServer, http: httpx.Client) -> None:
    with http.stream("GET", "/graphql", params={"query": QUEUE}, headers=EVENT_STREAM) as response:
        assert json.loads(next(events(response))["data"]) == {"data": {"queueMetrics": {"depth": 0}}}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_comes_back_with_the_last_event_id_has_missed_nothing(
    server: LiveServer, http: httpx.Client, method: str
) -> None:
    with streaming(http, JOBS) as response:
        server.settle(1)
        server.new_jobs(1)
        last = next(events(response))["id"]
    server.new_jobs(3, first=1)
    headers = {**EVENT_STREAM, "Last-Event-ID": last}
    asked: dict[str, Any] = {"json": {"query": JOBS}} if method == "POST" else {"params": {"query": JOBS}}
    with http.stream(method, "/graphql", headers=headers, **asked) as response:
        stream = events(response)
        assert [job_id(next(stream)) for _ in range(3)] == ["j1", "j2", "j3"]


def test_a_last_event_id_that_makes_no_sense_is_refused(http: httpx.Client) -> None:
    with streaming(http, JOBS, {**EVENT_STREAM, "Last-Event-ID": "x"}) as response:
        refusal, end = events(response)
        assert json.loads(refusal["data"])["errors"][0]["extensions"]["code"] == "BAD_CURSOR"
        assert end == COMPLETE


def test_a_question_is_answered_as_one_event(http: httpx.Client) -> None:
    with streaming(http, "{ __typename }") as response:
        assert list(events(response)) == [{"event": "next", "data": '{"data":{"__typename":"Query"}}'}, COMPLETE]


def test_a_connection_can_be_used_again_after_a_stream(http: httpx.Client) -> None:
    for _ in range(3):
        with streaming(http, "{ __typename }") as response:
            assert list(events(response))[-1] == COMPLETE


def test_a_syntax_error_is_an_event(http: httpx.Client) -> None:
    with streaming(http, "{") as response:
        refusal, end = events(response)
        assert json.loads(refusal["data"])["errors"][0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"
        assert end == COMPLETE


def test_a_body_that_is_no_request_is_no_stream(http: httpx.Client) -> None:
    assert http.post("/graphql", content=b"{", headers=EVENT_STREAM).status_code == 415
    assert http.post("/graphql", json=[], headers=EVENT_STREAM).status_code == 400


def test_a_mutation_by_get_is_refused(http: httpx.Client) -> None:
    query = 'mutation { registerRobot(input: {robotId: "r", hostname: "h"}) { __typename } }'
    assert http.get("/graphql", params={"query": query}, headers=EVENT_STREAM).status_code == 405


def test_who_takes_json_too_gets_questions_answered_in_json(http: httpx.Client) -> None:
    headers = {"Accept": "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"}
    response = http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    assert response.json() == {"data": {"__typename": "Query"}}
    with http.stream("POST", "/graphql", json={"query": QUEUE}, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")


def test_a_subscription_without_a_stream_is_refused(http: httpx.Client) -> None:
    body = http.post("/graphql", json={"query": QUEUE}).json()
    assert body["errors"][0]["extensions"]["code"] == "SUBSCRIPTION_NOT_STREAMED"


def test_silence_is_broken_by_comments(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.transports.sse._SIGN_OF_LIFE", 0.1)
    with streaming(http, JOBS) as response:
        chunks = response.iter_text()
        assert [next(chunks) for _ in range(3)] == [":\n\n"] * 3


def test_a_reader_that_leaves_ends_its_operation(server: LiveServer, http: httpx.Client) -> None:
    with streaming(http, JOBS):
        wait_until(lambda: server.traffic.open_operations == 1)
    wait_until(lambda: server.traffic.open_operations == server.traffic.open_streams == 0)


def test_a_job_that_ends_completes_its_stream(server: LiveServer, http: httpx.Client) -> None:
    server.new_jobs(1)
    query = 'subscription { nodeExecutions(jobId: "j0") { jobId } }'
    with streaming(http, query) as response:
        wait_until(lambda: server.traffic.open_operations == 1)
        server.sql("UPDATE monitor.jobs SET status = 'failed'")
        assert list(events(response)) == [COMPLETE]


@pytest.mark.parametrize("headers", [EVENT_STREAM, MULTIPART], ids=["events", "multipart"])
def test_a_slow_reader_is_told_and_its_stream_is_not_complete(
    server: LiveServer, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_stream(server, headers) as connection:
        flood(server)
        text = read_all(connection)
        assert "slow consumer: resume with your cursor" in text
        assert "complete" not in text


def test_a_reader_that_never_reads_is_cut_off(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.transports.outbox.WRITE_DEADLINE", 1.0)
    with slow_stream(server, EVENT_STREAM):
        flood(server)
        wait_until(lambda: server.traffic.aborted == 1 and server.traffic.open_streams == 0)


@contextmanager
def slow_stream(server: LiveServer, headers: dict[str, str]) -> Iterator[socket.socket]:
    """A stream whose reader's kernel takes next to nothing."""
    host, port = server.http.removeprefix("http://").split(":")
    query = urlencode({"query": "subscription { jobUpdates { jobId job { errorMessage } } }"})
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        connection.connect((host, int(port)))
        head = f"GET /graphql?{query} HTTP/1.1\r\nHost: {host}\r\nAccept: {headers['Accept']}\r\n\r\n"
        connection.sendall(head.encode())
        server.settle(1)
        yield connection


def flood(server: LiveServer) -> None:
    made = 0
    while not server.traffic.closed_slow:
        server.new_jobs(20, first=made, message="x" * 100_000)
        made += 20
        assert made < 2000, "nobody is found too slow"


def read_all(connection: socket.socket) -> str:
    text = b""
    while not text.endswith(b"0\r\n\r\n"):
        chunk = connection.recv(1 << 20)
        assert chunk, "the stream was cut off"
        text += chunk
    return text.decode()


def test_multipart_has_a_part_for_each_response(server: LiveServer, http: httpx.Client) -> None:
    with streaming(http, JOBS, MULTIPART) as response:
        kind = response.headers["content-type"]
        assert re.fullmatch(r'multipart/mixed; ?boundary="graphql"; ?subscriptionSpec="1.0"', kind)
        server.settle(1)
        server.new_jobs(2)
        stream = parts(response)
        told = [next(stream)["payload"]["data"]["jobUpdates"]["jobId"] for _ in range(2)]
        assert told == ["j0", "j1"]


def test_multipart_ends_when_the_subscription_does(server: LiveServer, http: httpx.Client) -> None:
    server.new_jobs(1)
    with streaming(http, 'subscription { nodeExecutions(jobId: "j0") { jobId } }', MULTIPART) as response:
        wait_until(lambda: server.traffic.open_operations == 1)
        server.sql("UPDATE monitor.jobs SET status = 'failed'")
        assert list(parts(response)) == []


def test_multipart_tells_what_is_wrong_as_a_response(http: httpx.Client) -> None:
    query = 'subscription { jobUpdates(after: "x") { jobId } }'
    with streaming(http, query, MULTIPART) as response:
        (refusal,) = parts(response)
        assert refusal["payload"]["errors"][0]["extensions"]["code"] == "BAD_CURSOR"


def test_multipart_breaks_silence_by_empty_parts(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.transports.sse._SIGN_OF_LIFE", 0.1)
    with streaming(http, JOBS, MULTIPART) as response:
        stream = parts(response)
        assert [next(stream) for _ in range(3)] == [{}, {}, {}]


def test_multipart_is_for_subscriptions(http: httpx.Client) -> None:
    response = http.post("/graphql", json={"query": "{ __typename }"}, headers=MULTIPART)
    assert response.json() == {"data": {"__typename": "Query"}}
