from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import pytest

from datasources.seed import SeedProgress, SeedReport, seed

NOW = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)


def _unseen(progress: SeedProgress) -> None:
    pass


@pytest.fixture
def now() -> datetime:
    """The moment at which the seeded past ends."""
    return NOW


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A look at the database that is seeded."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
def sow(dsn: str) -> Callable[..., Awaitable[SeedReport]]:
    """Seeds the database: with 40 robots and 3,000 jobs, unless told otherwise."""

    async def sow(
        number: int = 1,
        *,
        robots: int = 40,
        jobs: int = 3000,
        days: float = 30,
        now: datetime | None = NOW,
        progress: Callable[[SeedProgress], None] = _unseen,
    ) -> SeedReport:
        return await seed(dsn, robots=robots, jobs=jobs, days=days, seed=number, now=now, progress=progress)

    return sow
