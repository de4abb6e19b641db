"""Whatever is cut off, killed or away for a while: who comes back gets every transition once, in order."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from chaos import Watch, watched
from redis_server import RedisServer, redis_server, until
from worker_process import workers

from datasources.embedded import EmbeddedPostgres
from datasources.migrate import migrate

pytestmark = pytest.mark.slow

CUTS = 200
AWAY = 10.0  # seconds
BUSES = ["memory", "redis"]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def bus(request: pytest.FixtureRequest) -> str:
    """The bus that a test is run with."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("redis").url


@asynccontextmanager
async def stranger(dsn: str) -> AsyncIterator[None]:
    """Somebody who leaves a transaction open that has nothing to do with the ledger."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute("BEGIN; SELECT pg_current_xact_id()")
        yield
        assert connection.is_in_transaction()
    finally:
        connection.terminate()


def listening_at(dsn: str) -> int:
    """The process id of the Postgres that this process has started there."""
    port = urlsplit(dsn).port
    return next(
        child.pid
        for child in psutil.Process().children()
        if any(each.laddr.port == port and each.status == "LISTEN" for each in child.net_connections("tcp"))
    )


async def leading_port(dsn: str) -> int | None:
    """The port from which somebody holds the lock of the one who reads for all."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(
            "SELECT a.client_port FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' "
            "AND l.granted AND l.objsubid = 1 AND a.application_name = 'casare-monitor leader'",
            timeout=10,
        )
    finally:
        connection.terminate()


async def some_cuts(watch: Watch, number: int) -> None:
    """Wait until watchers were cut off so many more times."""
    enough = watch.cuts + number
    await until(lambda: watch.cuts >= enough, 180)


@pytest.mark.parametrize("bus", BUSES, indirect=True)
async def test_two_hundred_cuts_between_two_workers_lose_nothing_and_repeat_nothing(
    dsn: str, bus: str, tmp_path: Path
) -> None:
    with workers(dsn, tmp_path, bus=bus) as places:
        async with stranger(dsn), watched(dsn, places) as watch:
            await some_cuts(watch, CUTS)
        print(watch.report())


@pytest.mark.parametrize("bus", BUSES, indirect=True)
async def test_a_postgres_that_is_killed_and_away_for_ten_seconds_loses_nothing_and_repeats_nothing(
    data_dir: Path, bus: str, tmp_path: Path
) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        dsn = postgres.dsn
        await migrate(dsn)
        with workers(dsn, tmp_path, bus=bus) as places:
            async with watched(dsn, places) as watch:
                await some_cuts(watch, CUTS // 10)
                os.kill(listening_at(dsn), signal.SIGKILL)
                await asyncio.to_thread(postgres.stop)
                await asyncio.sleep(AWAY)
                assert await asyncio.to_thread(postgres.start) == dsn
                await some_cuts(watch, CUTS // 10)
            print(watch.report())


async def test_a_redis_that_is_killed_and_away_for_ten_seconds_loses_nothing_and_repeats_nothing(
    dsn: str, redis: RedisServer, tmp_path: Path
) -> None:
    with workers(dsn, tmp_path, bus=redis.url) as places:
        async with watched(dsn, places) as watch:
            await some_cuts(watch, CUTS // 10)
            redis.kill()
            await asyncio.sleep(AWAY)
            await asyncio.to_thread(redis.start)
            await some_cuts(watch, CUTS // 10)
        print(watch.report())


async def test_a_worker_that_is_killed_loses_nothing_and_repeats_nothing(dsn: str, tmp_path: Path) -> None:
    with workers(dsn, tmp_path) as places:
        async with watched(dsn, places) as watch:
            for worker in places:
                await some_cuts(watch, CUTS // 20)
                worker.kill()
                await some_cuts(watch, CUTS // 20)
                await asyncio.to_thread(worker.start)
        print(watch.report())


async def test_when_the_worker_that_reads_for_all_is_killed_another_reads_within_five_seconds(
    dsn: str, redis: RedisServer, tmp_path: Path
) -> None:
    with workers(dsn, tmp_path, bus=redis.url) as places:
        async with watched(dsn, places) as watch:
            await some_cuts(watch, CUTS // 10)
            port = await leading_port(dsn)
            leading = next(worker for worker in places if port in worker.ports())
            leading.kill()
            async with asyncio.timeout(5):
                while await leading_port(dsn) in {None, port}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await some_cuts(watch, CUTS // 10)
            await asyncio.to_thread(leading.start)
            await some_cuts(watch, CUTS // 10)
        print(watch.report())
