"""Folding by hand, for tests of history."""

from collections.abc import Awaitable, Callable

import pytest

from datasources.postgres import Database
from datasources.rollups import fold, folding

Fold = Callable[[], Awaitable[int]]


@pytest.fixture
def fold_all(database: Database) -> Fold:
    """Fold what there is."""

    async def run() -> int:
        async with folding(database) as connection:
            assert connection is not None
            return await fold(connection, limit=100_000)

    return run
