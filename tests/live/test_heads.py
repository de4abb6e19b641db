"""Heads of answers: written with the body behind them, and never kept from a client that waits."""

import socket
from asyncio import Transport
from collections.abc import Iterator
from typing import Any, cast

import pytest
from live_server import PATIENCE, LiveServer, serving_live

from graph.transports.http_wire import HttpWire
from graph.transports.wire import SERVED_BY

BODY = b'{"query":"{ __typename }"}'
STREAM = "/graphql?query=subscription{fleet{totalRobots}}"
POSTED = f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"


class Counted:
    """A transport that keeps what is written to it, piece by piece."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))
        self.transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


class CountingWire(HttpWire):
    """A wire whose newest connection can be looked at."""

    newest: Counted

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        CountingWire.newest = Counted(transport)
        super().connection_made(cast(Transport, CountingWire.newest))


@pytest.fixture
def server(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    monkeypatch.setitem(cast(dict[str, Any], SERVED_BY), "http", CountingWire)
    with serving_live(dsn) as server:
        yield server


@pytest.fixture
def connection(server: LiveServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(server.http.rpartition(":")[2])), timeout=PATIENCE) as connection:
        yield connection


def asked(path: str, headers: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """What is said until this was."""
    said = b""
    while end not in said:
        piece = connection.recv(65536)
        assert piece, said
        said += piece
    return said


def test_an_answer_is_written_in_one_piece(connection: socket.socket) -> None:
    for _ in range(3):
        connection.sendall(asked("/graphql", POSTED, "POST") + BODY)
        assert read_until(connection, b"}}").startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(CountingWire.newest.written) == 3


def test_an_answer_without_a_body_is_written_before_the_next_one(connection: socket.socket) -> None:
    connection.sendall(asked("/health/live", method="HEAD") + asked("/health/live"))
    said = read_until(connection, b"}")
    assert said.count(b"HTTP/1.1 200 OK\r\n") == 2
    heads = [piece for piece in CountingWire.newest.written if piece.startswith(b"HTTP/1.1 200 OK\r\n")]
    assert len(heads) == 2
    assert heads[0].endswith(b"\r\n\r\n")


def test_who_waits_to_send_a_body_is_told_to_go_on(connection: socket.socket) -> None:
    connection.sendall(asked("/graphql", POSTED + "Expect: 100-continue\r\n", "POST"))
    assert read_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(BODY)
    assert read_until(connection, b"}}").startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(CountingWire.newest.written) == 2


def test_a_stream_begins_before_anything_happens(connection: socket.socket) -> None:
    connection.sendall(asked(STREAM, "Accept: text/event-stream\r\n"))
    assert b"content-type: text/event-stream" in read_until(connection, b"\r\n\r\n")


def test_an_answer_that_ends_its_connection_is_written_before_that(connection: socket.socket) -> None:
    connection.sendall(asked("/health/live", "Connection: close\r\n", "HEAD"))
    assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    assert connection.recv(1) == b""
