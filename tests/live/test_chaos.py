"""Whatever is cut off, killed or away for a while: who comes back gets every transition once, in order."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from chaos import watched, workers
from redis_server import RedisServer, redis_server, until

pytestmark = pytest.mark.slow

CUTS = 200
AWAY = 10.0  # seconds


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as server:
        yield server


async def stranger(dsn: str, statement: str) -> asyncpg.Connection:
    """Somebody who leaves a transaction open."""
    connection = await asyncpg.connect(dsn, timeout=10)
    await connection.execute("BEGIN")
    await connection.execute(statement)
    return connection


async def test_two_hundred_cuts_between_two_workers_lose_nothing_and_repeat_nothing(dsn: str, tmp_path: Path) -> None:
    elsewhere = await stranger(dsn, "SELECT pg_current_xact_id()")
    with workers(dsn, tmp_path) as places:
        async with watched(dsn, places) as watch:
            await until(lambda: watch.cuts >= CUTS, 120)
        print(watch.report())
    elsewhere.terminate()


async def test_two_hundred_cuts_while_one_worker_reads_for_both_lose_nothing_and_repeat_nothing(
    dsn: str, redis: RedisServer, tmp_path: Path
) -> None:
    elsewhere = await stranger(dsn, "SELECT pg_current_xact_id()")
    with workers(dsn, tmp_path, bus=redis.url) as places:
        async with watched(dsn, places) as watch:
            await until(lambda: watch.cuts >= CUTS, 120)
        print(watch.report())
    elsewhere.terminate()
