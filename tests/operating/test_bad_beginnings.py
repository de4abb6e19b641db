"""Requests that never get to the point: refused or timed out within ten seconds, while others are served."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest
from serving import Graph

WITHIN = 10.0


def exchange(graph: Graph, *pieces: bytes, pause: Callable[[], None] = lambda: None) -> bytes:
    """What the server says to these bytes, up to its end of the connection."""
    place = urlsplit(graph.url)
    with socket.create_connection((place.hostname, place.port), timeout=WITHIN) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
                pause()
        said = b""
        while piece := connection.recv(65536):
            said += piece
        return said


def test_a_url_of_100_kilobytes_is_refused(graph: Graph) -> None:
    said = exchange(graph, b"GET /graphql?query=" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 414 ")
    assert b"x-request-id: " in said


def test_a_long_but_sane_url_is_answered(graph: Graph) -> None:
    padding = "#" + "x" * 20_000
    answer = graph.http.get("/graphql", params={"query": f"{{ fleet {{ totalRobots }} }}{padding}"})
    assert answer.json() == {"data": {"fleet": {"totalRobots": 0}}}


@pytest.mark.parametrize(
    "headers",
    [
        b"".join(b"X-%d: y\r\n" % number for number in range(20_000)),
        b"X: " + b"y" * 1_000_000 + b"\r\n",
        b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(100)),
    ],
    ids=["many", "one", "long"],
)
def test_a_flood_of_headers_is_refused(graph: Graph, headers: bytes) -> None:
    said = exchange(graph, b"GET /health HTTP/1.1\r\nHost: localhost\r\n", headers, b"\r\n")
    assert said.startswith(b"HTTP/1.1 431 ")


def test_headers_that_a_proxy_and_a_browser_send_are_taken(graph: Graph) -> None:
    headers = {f"x-{number}": "y" * 500 for number in range(60)}
    assert graph.http.get("/health/live", headers=headers).status_code == 200


def test_what_is_no_http_is_refused(graph: Graph) -> None:
    assert exchange(graph, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").startswith(b"HTTP/1.1 400 ")


@pytest.mark.slow
@pytest.mark.parametrize("beginning", [b"", b"GET /heal", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Y: "])
def test_a_request_that_is_held_open_is_given_up(graph: Graph, beginning: bytes) -> None:
    said = exchange(graph, beginning)
    assert said.startswith(b"HTTP/1.1 408 " if beginning else b"")
    assert (said == b"") == (beginning == b"")


@pytest.mark.slow
def test_headers_that_come_drop_by_drop_do_not_buy_time(graph: Graph) -> None:
    drops = (b"X-%d: y\r\n" % number for number in range(1000))
    said = exchange(graph, b"GET /health HTTP/1.1\r\nHost: localhost\r\n", *drops, pause=lambda: time.sleep(0.1))
    assert not said or said.startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_a_body_that_is_held_open_is_given_up(graph: Graph) -> None:
    head = (
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    assert exchange(graph, head).startswith(b"HTTP/1.1 408 ")


def test_a_long_body_behind_another_request_is_no_beginning(graph: Graph) -> None:
    body = b'{"query": "{ __typename }"' + b" " * 200_000 + b"}"
    first = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = (
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    said = exchange(graph, first + head + body[:100], body[100:100_000], body[100_000:], pause=lambda: time.sleep(0.1))
    assert said.count(b"HTTP/1.1 200 ") == 2
    assert said.endswith(b'{"data":{"__typename":"Query"}}')


@pytest.mark.slow
@pytest.mark.parametrize("crumbs", [[b"\r\n"], [b"\r\n"] * 100], ids=["one", "many"])
def test_empty_lines_behind_a_request_do_not_keep_a_connection_open(graph: Graph, crumbs: list[bytes]) -> None:
    request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    said = exchange(graph, request, *crumbs, pause=lambda: time.sleep(0.1))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.slow
def test_an_empty_line_behind_a_request_does_not_end_its_answer(graph: Graph) -> None:
    body = b'{"query": "subscription { queueMetrics { depth } }"}'
    place = urlsplit(graph.url)
    with socket.create_connection((place.hostname, place.port), timeout=1) as connection:
        connection.sendall(
            b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Accept: text/event-stream\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(body), body)
        )
        deadline = time.monotonic() + WITHIN
        said = b""
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                piece = connection.recv(65536)
                assert piece, said
                said += piece
    assert said.startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_a_connection_in_use_outlives_the_deadline_of_a_beginning(graph: Graph) -> None:
    with httpx.Client(base_url=graph.url) as client:
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            assert client.get("/health/live").status_code == 200
            time.sleep(0.5)


@pytest.mark.parametrize("head", [b"Content-Length: 0", b"Transfer-Encoding: chunked"])
def test_a_request_that_turns_into_nonsense_while_it_is_worked_on_is_refused_once(
    graph: Graph, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    begun = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + head + b"\r\n\r\n"
    for _ in range(20):  # it takes some luck for the two to meet
        assert exchange(graph, begun + b"nonsense").startswith(b"HTTP/1.1 400 ")
    assert graph.http.get("/health/live").status_code == 200
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
