"""A worker's way to a fresh database, and one connection beside it, for tests of history."""

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from datasources.postgres import Database
from datasources.rollups import fold, folding
from datasources.settings import Settings

Fold = Callable[[], Awaitable[int]]


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A worker's pool."""
    database = Database(dsn, Settings())
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
def fold_all(database: Database) -> Fold:
    """Fold what there is."""

    async def run() -> int:
        async with folding(database) as connection:
            assert connection is not None
            return await fold(connection, limit=100_000)

    return run
