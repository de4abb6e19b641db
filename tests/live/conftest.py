"""What the tests of moving things share: the worker's way to Postgres, and connections of others beside it."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from ledger_scenes import WRITERS, Connect, Writer
from live_server import Client, LiveServer, serving_live

from datasources.postgres import Database
from datasources.settings import Settings


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A worker's pool over a fresh migrated database."""
    database = Database(dsn, Settings())
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def connect(dsn: str) -> AsyncIterator[Connect]:
    """Make connections of the test's own, which end with it."""
    connections = []

    async def connect() -> asyncpg.Connection:
        connections.append(await asyncpg.connect(dsn, timeout=10, command_timeout=30))
        return connections[-1]

    yield connect
    for connection in connections:
        connection.terminate()


@pytest.fixture
async def writers(connect: Connect) -> list[Writer]:
    """Those of a scene, and two strangers."""
    return [Writer(await connect()) for _ in range(WRITERS + 2)]


@pytest.fixture
def server(dsn: str) -> Iterator[LiveServer]:
    """A server over a fresh database, with its gauges and its ledger."""
    with serving_live(dsn) as server:
        yield server


@pytest.fixture
def client(server: LiveServer) -> Iterator[Client]:
    """A WebSocket to it that has introduced itself."""
    with Client(f"{server.ws}/graphql") as client:
        yield client.introduce()
