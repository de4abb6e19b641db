"""What the tests of moving things share: the worker's way to Postgres, and connections of others beside it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from ledger_scenes import WRITERS, Writer

from datasources.postgres import Database
from datasources.settings import Settings

Connect = Callable[[], Awaitable[asyncpg.Connection]]


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
