"""How many sockets, streams, operations and messages there may be, and what the one too many is told."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest
from serving import Graph, eventually, serving
from speaking import hear, introduced, refusals, say, streamed, subscribe, token_of
from tokens_at_hand import SECRET, close_of, socket
from websockets.exceptions import ConnectionClosed

from graph.limits.admission import Ration

TOO_MANY_SOCKETS = (4429, "Too many connections")
TOO_MANY_MESSAGES = (4429, "Too many messages")


@pytest.fixture
def serve(seeded_dsn: str) -> Callable[..., Any]:
    """Start a server with settings of the test's choice."""
    return lambda **settings: serving(seeded_dsn, **settings)


def opens(server: Graph, **headers: str) -> bool:
    """Whether one more socket may come in."""
    with suppress(ConnectionClosed), introduced(server, **headers):
        return True
    return False


def test_an_address_has_so_many_connections_of_whatever_kind(serve) -> None:
    with serve(max_sockets_per_address=3) as server, ExitStack() as stack:
        first = stack.enter_context(introduced(server))
        stack.enter_context(socket(server, "/ws/live-jobs"))
        assert stack.enter_context(streamed(server)).status_code == 200
        for path in ("/graphql", "/ws/live-jobs", "/ws/robot-status"):
            with socket(server, path) as client:
                assert close_of(client) == TOO_MANY_SOCKETS
        with streamed(server) as response:
            assert (response.status_code, response.headers["retry-after"]) == (429, "10")
            assert response.headers["content-type"] == "application/json"
            assert b'"code":"TOO_MANY_CONNECTIONS"' in response.read()
        assert refusals(server, "TOO_MANY_CONNECTIONS") == 4
        first.close()
        eventually(lambda: opens(server), seconds=10)


def test_a_viewer_has_so_many_and_takes_nothing_from_others(serve) -> None:
    ann, bob = ({"Authorization": f"Bearer {token_of(name)}"} for name in ("ann", "bob"))
    with serve(jwt_secret=SECRET, max_sockets_per_viewer=2) as server, ExitStack() as stack:
        first = stack.enter_context(introduced(server, **ann))
        stack.enter_context(socket(server, "/ws/live-jobs", **ann))
        with socket(server) as client:
            say(client, "connection_init", {"authToken": token_of("ann")})
            assert close_of(client) == TOO_MANY_SOCKETS
        with streamed(server, **ann) as response:
            assert response.status_code == 429
        assert opens(server, **bob)
        first.close()
        eventually(lambda: opens(server, **ann), seconds=10)
        assert refusals(server, "TOO_MANY_CONNECTIONS", **bob) >= 2


def test_a_socket_runs_so_many_operations_and_goes_on(serve) -> None:
    with serve(max_operations_per_socket=2) as server, introduced(server) as client:
        for name in ("1", "2", "3"):
            subscribe(client, name)
        refused = hear(client, "error")
        assert (refused["id"], refused["payload"][0]["extensions"]["code"]) == ("3", "TOO_MANY_OPERATIONS")
        say(client, "complete", id="1")
        subscribe(client, "4", "{ __typename }")
        assert hear(client, "complete")["id"] == "4"
        assert refusals(server, "TOO_MANY_OPERATIONS") == 1


def test_a_viewer_runs_so_many_operations_on_all_their_connections(serve) -> None:
    ann, bob = ({"Authorization": f"Bearer {token_of(name)}"} for name in ("ann", "bob"))
    with (
        serve(jwt_secret=SECRET, max_operations_per_viewer=2) as server,
        introduced(server, **ann) as first,
        introduced(server, **ann) as second,
        introduced(server, **bob) as other,
    ):
        for client in (first, second):
            subscribe(client, "1")
            assert hear(client, "next")["id"] == "1"
        subscribe(second, "2")
        assert hear(second, "error")["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
        with streamed(server, **ann) as response:
            assert response.status_code == 429
            assert b"TOO_MANY_OPERATIONS" in response.read()
        subscribe(other, "1")
        assert hear(other, "next")["id"] == "1"


@pytest.mark.parametrize("path", ["/graphql", "/ws/live-jobs"])
def test_a_flood_of_messages_ends_the_socket(serve, path: str) -> None:
    with serve(socket_messages_per_second=1) as server, ExitStack() as stack:
        client = stack.enter_context(introduced(server) if path == "/graphql" else socket(server, path))
        with suppress(ConnectionClosed):
            for _ in range(50):
                client.send('{"type":"ping"}' if path == "/graphql" else "ping")
        assert close_of(client) == TOO_MANY_MESSAGES
        eventually(lambda: refusals(server, "TOO_MANY_MESSAGES") == 1, seconds=10)
        assert opens(server)


def test_a_client_may_begin_all_its_operations_at_once(serve) -> None:
    with serve() as server, introduced(server) as client:
        for number in range(100):
            subscribe(client, str(number), "{ __typename }")
        for _ in range(100):
            hear(client, "complete")


def test_a_ration_fills_up_again_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    ration = Ration(2, 3)
    assert [ration.take() for _ in range(4)] == [True, True, True, False]
    now = 0.5
    assert [ration.take() for _ in range(2)] == [True, False]
    now = 1000.0
    assert [ration.take() for _ in range(4)] == [True, True, True, False]


def test_streams_that_are_over_make_room(serve) -> None:
    with serve(max_sockets_per_address=1) as server:
        for _ in range(3):
            with streamed(server) as response:
                assert response.status_code == 200
            eventually(lambda: _one_more(server), seconds=10)


def _one_more(server: Graph) -> bool:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        answer = client.post("/graphql", json={"query": "{ __typename }"}, headers={"Accept": "text/event-stream"})
    return answer.status_code == 200
