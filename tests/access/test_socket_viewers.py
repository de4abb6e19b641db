"""Who speaks on a socket: from credentials that are good, to credentials that are over."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from serving import Graph, serving
from speaking import hear, introduced, say, streamed, subscribe, token_of
from tokens_at_hand import SECRET, close_of, signed, socket
from websockets.exceptions import ConnectionClosed

VIEWER = "{ viewer { name environments } }"
LEGACY = ["/ws/live-jobs", "/ws/robot-status", "/ws/queue-metrics"]
EXPIRED = (4403, "token expired")
FORBIDDEN = (4403, "Forbidden")


@pytest.fixture(scope="module")
def server(seeded_dsn: str) -> Iterator[Graph]:
    """A server with a secret."""
    with serving(seeded_dsn, jwt_secret=SECRET) as server:
        yield server


def renew(client: Any, token: object) -> Any:
    say(client, "ping", {"type": "renew", "authToken": token})
    return hear(client, "pong")["payload"]


def named(client: Any) -> Any:
    subscribe(client, "who", VIEWER)
    answer = hear(client, "next")["payload"]["data"]["viewer"]
    assert hear(client, "complete")["id"] == "who"
    return answer["name"]


@pytest.mark.parametrize(
    "payload",
    [
        lambda token: {"authToken": token},
        lambda token: {"Authorization": f"Bearer {token}"},
        lambda token: {"authorization": f"bearer {token}", "accept": "whatever"},
        lambda token: {"X-API-Key": token},
    ],
    ids=["authToken", "Authorization", "lower case", "X-API-Key"],
)
def test_the_first_message_may_carry_the_credentials(server: Graph, payload: Any) -> None:
    with introduced(server, payload(token_of("ann"))) as client:
        assert named(client) == "ann"


def test_the_request_that_opens_the_socket_may_carry_them(server: Graph) -> None:
    with introduced(server, Authorization=f"Bearer {token_of('ann')}") as client:
        assert named(client) == "ann"


def test_both_may_where_they_name_the_same_viewer(server: Graph) -> None:
    with introduced(server, {"authToken": token_of("ann")}, Authorization=f"Bearer {token_of('ann')}") as client:
        assert named(client) == "ann"


@pytest.mark.parametrize(
    ("payload", "close"),
    [
        (None, FORBIDDEN),
        ({}, FORBIDDEN),
        ({"authToken": None}, FORBIDDEN),
        ({"authToken": ""}, FORBIDDEN),
        ({"authToken": 1}, FORBIDDEN),
        ({"authToken": ["a"]}, FORBIDDEN),
        ({"authToken": {"a": 1}}, FORBIDDEN),
        ({"authToken": "a.b.c"}, FORBIDDEN),
        ({"authToken": "x" * 20_000}, FORBIDDEN),
        ({"Authorization": "Basic YTpi"}, FORBIDDEN),
        ({"authToken": signed(key="another secret, which is as long as ours")}, FORBIDDEN),
        ({"authToken": token_of("ann", seconds=-60)}, EXPIRED),
        ({"authToken": token_of("ann"), "Authorization": f"Bearer {token_of('bob')}"}, FORBIDDEN),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_nothing_is_served_without_good_credentials(server: Graph, payload: Any, close: tuple[int, str]) -> None:
    with socket(server) as client:
        say(client, "connection_init", payload)
        with suppress(ConnectionClosed):
            subscribe(client, "1", VIEWER)
        assert close_of(client) == close


def test_another_viewer_than_the_one_who_opened_the_socket_is_refused(server: Graph) -> None:
    with socket(server, Authorization=f"Bearer {token_of('ann')}") as client:
        say(client, "connection_init", {"authToken": token_of("bob")})
        assert close_of(client) == FORBIDDEN


@pytest.mark.slow
@pytest.mark.parametrize("path", LEGACY)
def test_the_sockets_of_the_documents_take_a_token_in_the_query_or_the_header(server: Graph, path: str) -> None:
    for query, headers in ((f"?token={token_of()}", {}), ("", {"Authorization": f"Bearer {token_of()}"})):
        with socket(server, path + query, **headers) as client:
            client.send("ping")
            assert "pong" in iter(partial(client.recv, timeout=10), None)


@pytest.mark.parametrize("query", ["", "?token=x", f"?token={token_of('r-1', 'robot')}"], ids=["none", "bad", "robot"])
@pytest.mark.parametrize("path", LEGACY)
def test_the_sockets_of_the_documents_say_nothing_to_others(server: Graph, path: str, query: str) -> None:
    with socket(server, path + query) as client:
        assert close_of(client) == FORBIDDEN


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/graphql", *LEGACY])
def test_a_socket_ends_with_its_token(server: Graph, path: str) -> None:
    expires_at = time.time() + 2
    with socket(server, path, Authorization=f"Bearer {token_of(seconds=2)}") as client:
        if path == "/graphql":
            say(client, "connection_init")
            subscribe(client, "1")
        assert close_of(client) == EXPIRED
    assert time.time() >= expires_at - 0.1


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["text/event-stream", "multipart/mixed"])
def test_a_stream_ends_with_its_token_and_says_so(server: Graph, accept: str) -> None:
    with streamed(server, accept, Authorization=f"Bearer {token_of(seconds=2)}") as response:
        assert response.status_code == 200
        told = response.read().decode()
    assert "queueMetrics" in told
    assert told.rindex("TOKEN_EXPIRED") > told.rindex("queueMetrics")
    assert told.endswith("event: complete\ndata:\n\n" if accept == "text/event-stream" else "--graphql--\r\n")


@pytest.mark.slow
def test_a_renewed_socket_outlives_its_first_token_and_what_runs_goes_on(server: Graph) -> None:
    with introduced(server, {"authToken": token_of(seconds=2)}) as client:
        subscribe(client, "1")
        answer = renew(client, token_of(seconds=4))
        assert answer["renewed"] is True
        assert answer["expiresAt"].endswith("Z")
        renewed_at = time.monotonic()
        while time.monotonic() < renewed_at + 3:
            assert hear(client)["id"] == "1"
        assert close_of(client) == EXPIRED


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "UNAUTHENTICATED"),
        (7, "UNAUTHENTICATED"),
        ("a.b.c", "UNAUTHENTICATED"),
        (token_of("bob"), "UNAUTHENTICATED"),
        (token_of("ann", seconds=-60), "TOKEN_EXPIRED"),
    ],
    ids=["none", "a number", "forged", "somebody else's", "expired"],
)
def test_a_token_that_renews_nothing_changes_nothing(server: Graph, token: object, code: str) -> None:
    with introduced(server, {"authToken": token_of("ann")}) as client:
        answer = renew(client, token)
        assert (answer["renewed"], answer["code"]) == (False, code)
        assert named(client) == "ann"


def test_who_goes_on_renewing_with_bad_tokens_is_sent_away(server: Graph) -> None:
    with introduced(server, {"authToken": token_of("ann")}) as client:
        for _ in range(11):
            say(client, "ping", {"type": "renew", "authToken": "a.b.c"})
        assert close_of(client) == FORBIDDEN


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"environments": ["a"]}, {"environments": ["a", "b"]}),
        ({"environments": ["a"]}, {}),
        ({"roles": ["viewer"]}, {"roles": ["admin"]}),
        ({"roles": ["viewer", "robot"]}, {"roles": ["admin"]}),
    ],
    ids=["more environments", "all environments", "a higher role", "a role that includes both"],
)
def test_a_token_that_allows_more_renews(server: Graph, before: Any, after: Any) -> None:
    with introduced(server, {"authToken": _with(before)}) as client:
        assert renew(client, _with(after))["renewed"] is True


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"environments": ["a", "b"]}, {"environments": ["a"]}),
        ({}, {"environments": ["a"]}),
        ({"roles": ["operator"]}, {"roles": ["viewer"]}),
        ({"roles": ["viewer", "robot"]}, {"roles": ["developer"]}),
        ({}, {"environments": []}),
    ],
    ids=["fewer environments", "no longer all", "a lower role", "no robot any more", "nothing"],
)
def test_a_token_that_allows_less_closes_the_socket(server: Graph, before: Any, after: Any) -> None:
    with introduced(server, {"authToken": _with(before)}) as client:
        subscribe(client, "1")
        say(client, "ping", {"type": "renew", "authToken": _with(after)})
        assert close_of(client) == (4403, "scope changed")


def test_a_socket_is_renewed_only_after_its_introduction(server: Graph) -> None:
    with socket(server) as client:
        say(client, "ping", {"type": "renew", "authToken": token_of()})
        assert close_of(client) == (4401, "Unauthorized")


def test_other_pings_are_answered_with_what_they_said(server: Graph) -> None:
    with introduced(server, {"authToken": token_of()}) as client:
        for payload in ({"type": "renewal"}, {"authToken": "x"}, {}):
            say(client, "ping", payload)
            assert hear(client) == {"type": "pong", "payload": payload}


def _with(claims: dict[str, Any]) -> str:
    claims = dict(claims)
    return token_of("ann", *claims.pop("roles", ("viewer",)), **claims)
