"""Seeded pasts: one that all tests of a file read, and those that a test sows for itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial

import asyncpg
import pytest

from datasources.seed import SeedProgress, SeedReport, seed

NOW = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)


def _unseen(progress: SeedProgress) -> None:
    pass


async def _sow(
    dsn: str,
    number: int = 1,
    *,
    robots: int = 40,
    jobs: int = 3000,
    days: float = 30,
    now: datetime | None = NOW,
    progress: Callable[[SeedProgress], None] = _unseen,
) -> SeedReport:
    return await seed(dsn, robots=robots, jobs=jobs, days=days, seed=number, now=now, progress=progress)


@pytest.fixture
def now() -> datetime:
    """The moment at which the seeded past ends."""
    return NOW


@pytest.fixture
def sow(dsn: str) -> Callable[..., Awaitable[SeedReport]]:
    """Seeds the test's database: with 40 robots and 3,000 jobs, unless told otherwise."""
    return partial(_sow, dsn)


@pytest.fixture(scope="module")
def past_dsn(migrated: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """A database that is seeded once for all tests of a file."""
    with migrated() as dsn:
        asyncio.run(_sow(dsn))
        yield dsn


@pytest.fixture
async def past(past_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A look at the past that is there for all; it cannot be changed."""
    only_reads = {"default_transaction_read_only": "on"}
    connection = await asyncpg.connect(past_dsn, timeout=10, command_timeout=30, server_settings=only_reads)
    yield connection
    await connection.close(timeout=5)
