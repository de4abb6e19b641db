"""Answers over plain HTTP that are not read: who takes nothing is cut off, who is slow gets every byte."""

import socket
import time
from asyncio import Transport
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from live_server import PATIENCE, LiveServer, serving_live, wait_until

from graph.transports.http_wire import HttpWire
from graph.transports.wire import SERVED_BY

LITTLE = 4096  # bytes that the kernel of a stuck reader takes
MUCH = 12_000_000  # bytes, more than the kernel of a server takes
QUESTION = "/graphql?query={job(jobId:%22j0%22){errorMessage}}"
STREAM = "/graphql?query=subscription{jobUpdates{jobId%20job{errorMessage}}}"
CLOSE = "Connection: close\r\n"
DEADLINE = "graph.transports.http_wire.WRITE_DEADLINE"


@pytest.fixture
def server(dsn: str, tmp_path: Path) -> Iterator[LiveServer]:
    """A server with a job that has much to say, and a large file."""
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "large.js").write_bytes(b"x" * MUCH)
    with serving_live(dsn, spa_dir=tmp_path) as server:
        server.new_jobs(1, message="x" * MUCH)
        yield server


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the loops that a server may run on."""
    monkeypatch.setitem(cast(dict[str, Any], SERVED_BY), "loop", request.param)


class Roomy(HttpWire):
    """A wire to whose buffer nothing is too much: what is left of a whole answer is little to it."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=2 * MUCH)


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast(dict[str, Any], SERVED_BY), "http", Roomy)


def asked(path: str, headers: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


@contextmanager
def asking(server: LiveServer, requests: bytes) -> Iterator[socket.socket]:
    """A connection that has sent its requests, and whose kernel takes next to nothing."""
    host, port = server.http.removeprefix("http://").split(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
        connection.settimeout(PATIENCE)
        connection.connect((host, int(port)))
        connection.sendall(requests)
        yield connection


def held(server: LiveServer) -> int:
    """How many connections the server holds."""
    port = int(server.http.rpartition(":")[2])
    found = psutil.Process().net_connections("tcp4")
    return sum(one.laddr.port == port and one.status != psutil.CONN_LISTEN for one in found)


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("headers", ["", CLOSE], ids=["kept", "closed"])
@pytest.mark.parametrize("path", [QUESTION, "/api/v1/metrics/jobs/j0", "/large.js"], ids=["graphql", "rest", "file"])
def test_an_answer_of_which_nothing_is_read_ends_with_its_connection(
    server: LiveServer, path: str, headers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DEADLINE, 0.5)
    with asking(server, asked(path, headers)) as connection:
        assert connection.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: server.traffic.aborted == 1)
        wait_until(lambda: not held(server))


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("headers", ["", CLOSE], ids=["kept", "closed"])
def test_a_rest_that_is_too_little_to_stop_writing_does_not_hold_a_connection(
    server: LiveServer, headers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DEADLINE, 0.5)
    with asking(server, asked(QUESTION, headers)):
        wait_until(lambda: server.traffic.aborted == 1)
        wait_until(lambda: not held(server))


def test_requests_behind_an_answer_that_is_not_read_do_not_hold_it(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DEADLINE, 0.5)
    with asking(server, asked(QUESTION) * 5):
        wait_until(lambda: server.traffic.aborted == 1)
        wait_until(lambda: not held(server))


@pytest.mark.slow
@pytest.mark.parametrize(("path", "headers"), [(QUESTION, ""), ("/large.js", CLOSE)], ids=["kept", "closed"])
def test_a_slow_reader_gets_every_byte(
    server: LiveServer, path: str, headers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DEADLINE, 2.0)
    with asking(server, asked(path, headers)) as connection:
        body = 0
        for _ in range(50):  # far longer than the deadline
            body += connection.recv(LITTLE).count(b"x")
            time.sleep(0.1)
        while body < MUCH:
            piece = connection.recv(1 << 20)
            assert piece, "the answer is cut off"
            body += piece.count(b"x")
    assert server.traffic.aborted == 0


@pytest.mark.usefixtures("loop")
def test_answers_that_the_kernel_takes_are_not_looked_after(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DEADLINE, None)  # a timer of which would end the connection with an error
    small = asked("/graphql?query={__typename}")
    requests = [small, asked(QUESTION, method="HEAD"), asked("/health/live"), small * 3, asked("/health/live", CLOSE)]
    with asking(server, b"") as connection:
        said = b""
        for request, answers in zip(requests, (1, 2, 3, 6, 7), strict=True):
            connection.sendall(request)
            while said.count(b"HTTP/1.1 200 ") < answers:
                piece = connection.recv(65536)
                assert piece, said
                said += piece


def test_a_stream_sees_to_its_reader_itself(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DEADLINE, 0.3)
    with asking(server, asked(STREAM, "Accept: text/event-stream\r\n")) as connection:
        server.settle(1)
        made = 1
        while not server.traffic.closed_slow:
            server.new_jobs(20, first=made, message="x" * 100_000)
            made += 20
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert server.traffic.aborted == 0
            time.sleep(0.05)
        said = b""
        while not said.endswith(b"0\r\n\r\n"):
            said = said[-4:] + connection.recv(1 << 20)


def test_a_stream_with_a_request_behind_it_ends_with_its_client(server: LiveServer) -> None:
    with asking(server, asked(STREAM, "Accept: text/event-stream\r\n") + asked("/health/live")) as connection:
        assert connection.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: server.traffic.open_streams == 1)
    wait_until(lambda: server.traffic.open_streams == 0)


def test_a_server_that_stops_does_not_wait_for_who_does_not_read(dsn: str) -> None:
    with ExitStack() as stack:
        with serving_live(dsn) as server:
            server.new_jobs(1, message="x" * MUCH)
            connection = stack.enter_context(asking(server, asked(QUESTION)))
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert server.traffic.aborted == 1
