from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

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
