"""What a client of graphql-transport-ws says, and hears."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from serving import Graph
from tokens_at_hand import claims, signed, socket
from websockets.sync.client import ClientConnection

QUEUE = "subscription { queueMetrics(intervalSeconds: 0.1) { depth } }"
PATIENCE = 10.0


def token_of(name: str = "ann", *roles: str, seconds: float = 3600, **more: Any) -> str:
    """A token of somebody, a viewer unless it says otherwise."""
    expires = time.time() + seconds
    issued = expires - max(seconds, 3600)
    return signed(claims(sub=name, roles=list(roles or ("viewer",)), iat=issued, exp=expires, **more))


def say(client: ClientConnection, kind: str, payload: Any = None, **more: Any) -> None:
    """Send a message."""
    said = {"type": kind, **more} | ({} if payload is None else {"payload": payload})
    client.send(json.dumps(said))


def subscribe(client: ClientConnection, operation_id: str, query: str = QUEUE) -> None:
    """Ask for an operation."""
    say(client, "subscribe", {"query": query}, id=operation_id)


def hear(client: ClientConnection, kind: str | None = None) -> Any:
    """The next message, but for pings; with a kind, the next of that kind."""
    while True:
        message = json.loads(client.recv(timeout=PATIENCE))
        if message["type"] == kind or (kind is None and message["type"] != "ping"):
            return message


@contextmanager
def introduced(
    server: Graph, payload: Any = None, path: str = "/graphql", **headers: str
) -> Iterator[ClientConnection]:
    """A socket whose client has introduced itself."""
    with socket(server, path, **headers) as client:
        say(client, "connection_init", payload)
        assert hear(client) == {"type": "connection_ack"}
        yield client


@contextmanager
def streamed(server: Graph, accept: str = "text/event-stream", **headers: str) -> Iterator[httpx.Response]:
    """An answer that is a stream."""
    asked = {"Accept": accept, **headers}
    with server.http.stream("POST", "/graphql", json={"query": QUEUE}, headers=asked) as response:
        yield response


def refusals(server: Graph, code: str, **headers: str) -> float:
    """How often the server says that it refused something so."""
    for line in server.http.get("/metrics", headers=headers).text.splitlines():
        if line.startswith(f'casare_requests_rejected_total{{code="{code}"}}'):
            return float(line.rpartition(" ")[2])
    return 0.0
