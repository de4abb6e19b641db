"""Whom an open server answers to, and who is believed about where a request comes from."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from serving import Graph, serving
from speaking import introduced, refusals, token_of
from tokens_at_hand import SECRET, close_of, socket
from websockets.exceptions import InvalidStatus

PATHS = ["/graphql?query={__typename}", "/health", "/metrics", "/api/v1/metrics/fleet", "/docs", "/"]
STRANGERS = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "a@localhost", "[", ""]


@pytest.fixture
def serve(seeded_dsn: str) -> Callable[..., Any]:
    """Start a server with settings of the test's choice."""
    return lambda **settings: serving(seeded_dsn, **settings)


@pytest.fixture(scope="module")
def server(seeded_dsn: str) -> Any:
    """An open server."""
    with serving(seeded_dsn) as server:
        yield server


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.9.1:80", "[::1]:8000"])
def test_an_open_server_answers_to_the_names_of_its_machine(server: Graph, host: str) -> None:
    assert server.http.get("/health/live", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", STRANGERS)
def test_an_open_server_answers_to_no_other_name(server: Graph, host: str) -> None:
    for path in PATHS:
        answer = server.http.get(path, headers={"Host": host})
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (421, "HOST_NOT_ALLOWED")


def test_what_is_refused_by_its_host_is_counted(serve) -> None:
    with serve() as server:
        server.http.get("/health", headers={"Host": "evil.example"})
        assert refusals(server, "HOST_NOT_ALLOWED") == 1


@pytest.mark.parametrize("path", ["/graphql", "/ws/live-jobs"])
def test_an_open_server_opens_no_socket_under_another_name(server: Graph, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused, socket(server, path, Host="evil.example"):
        pass
    assert refused.value.response.status_code in {400, 421}


def test_names_may_be_added(serve) -> None:
    with serve(allowed_hosts="monitor.example, Other.example") as server:
        for host, status in (("monitor.example:8000", 200), ("other.example", 200), ("evil.example", 421)):
            assert server.http.get("/health/live", headers={"Host": host}).status_code == status


def test_a_server_that_asks_for_tokens_answers_under_any_name(serve) -> None:
    with serve(jwt_secret=SECRET) as server:
        assert server.http.get("/health/live", headers={"Host": "monitor.example"}).status_code == 200


@pytest.mark.parametrize(
    ("trusted", "forwarded", "sockets"),
    [
        ("", "203.0.113.7", "one"),
        ("10.0.0.0/8", "203.0.113.7", "one"),
        ("127.0.0.0/8", "203.0.113.7", "each"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.7", "each"),
    ],
    ids=["nobody is", "another proxy is", "its network is", "only the last word of a proxy counts"],
)
def test_an_address_is_believed_only_from_a_trusted_proxy(serve, trusted: str, forwarded: str, sockets: str) -> None:
    token = {"Authorization": f"Bearer {token_of()}"}
    with serve(jwt_secret=SECRET, trusted_proxies=trusted, max_sockets_per_address=1) as server, ExitStack() as stack:
        stack.enter_context(introduced(server, **token))
        if sockets == "one":
            with socket(server, **token, **{"X-Forwarded-For": forwarded}) as client:
                assert close_of(client) == (4429, "Too many connections")
        else:
            stack.enter_context(introduced(server, **token, **{"X-Forwarded-For": forwarded}))
            with socket(server, **token, **{"X-Forwarded-For": re.sub("^6", "7", forwarded)}) as client:
                assert close_of(client) == (4429, "Too many connections")
