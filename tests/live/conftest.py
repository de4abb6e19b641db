"""What the tests of moving things share: who writes the ledger, and a server with a socket to it."""

from collections.abc import Iterator

import pytest
from ledger_scenes import WRITERS, Connect, Writer
from live_server import Client, LiveServer, serving_live


@pytest.fixture
async def writers(connect: Connect) -> list[Writer]:
    """Those of a scene, and two strangers."""
    return [Writer(await connect()) for _ in range(WRITERS + 2)]


@pytest.fixture
def server(dsn: str) -> Iterator[LiveServer]:
    """A server over a fresh database, with its gauges and its ledger."""
    with serving_live(dsn) as server:
        yield server


@pytest.fixture(scope="module")
def seeded_server(seeded_dsn: str) -> Iterator[LiveServer]:
    """A server over the seeded fleet, for the tests of a file that only read."""
    with serving_live(seeded_dsn) as server:
        yield server


@pytest.fixture
def client(server: LiveServer) -> Iterator[Client]:
    """A WebSocket to it that has introduced itself."""
    with Client(f"{server.ws}/graphql") as client:
        yield client.introduce()
