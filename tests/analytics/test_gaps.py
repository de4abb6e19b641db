"""Gaps: what came in bulk is read from the jobs until its day is folded, and counts once whoever corrects it then."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from histories import HEALING, NOW, STEP, bulk, expect_all, job, rolled_up

from datasources.postgres import Database
from datasources.rollups import Unfolded, fold, fold_gap, folding, unfolded
from datasources.settings import Settings
from datasources.windows import Step
from subscriptions.folder import Folder
from subscriptions.sweeper import Sweeper

DAY = NOW - timedelta(days=2)


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's connection."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    yield connection
    await connection.close(timeout=5)


async def fold_day(database: Database) -> bool:
    async with folding(database) as connection:
        return await fold_gap(connection) is not None


async def test_a_day_that_is_not_folded_is_read_from_its_jobs(
    database: Database, connection: asyncpg.Connection
) -> None:
    await job(connection, "before", created_at=DAY, status="failed")
    await Folder(database).fold()
    await bulk(connection, "a", "b", day=DAY, run_ms=7.0)
    await connection.execute(HEALING, "a", "anchor", True)
    await connection.execute(STEP, "b", 0, "failed", 3.0)
    await expect_all(database, connection)
    assert await fold_day(database)
    await expect_all(database, connection)
    assert await unfolded(connection) == Unfolded(0, 0)
    assert not await fold_day(database)


async def test_a_day_folded_again_is_as_it_was(database: Database, connection: asyncpg.Connection) -> None:
    await bulk(connection, "a", "b", day=DAY, status="failed")
    await connection.execute(STEP, "a", 0, "completed", 3.0)
    await connection.execute(HEALING, "a", "anchor", True)
    await fold_day(database)
    before = await rolled_up(connection)
    await bulk(connection, day=DAY)
    await bulk(connection, day=DAY)
    await fold_day(database)
    assert await rolled_up(connection) == before
    assert (await unfolded(connection)).days == 0


async def test_what_was_noted_of_a_day_is_in_its_jobs(database: Database, connection: asyncpg.Connection) -> None:
    await bulk(connection, "a", "b", "c", day=DAY)
    await job(connection, "a", created_at=DAY, status="failed", workflow="v")
    await job(connection, "b", created_at=DAY + timedelta(days=1))  # to a day that is folded
    await connection.execute("DELETE FROM monitor.jobs WHERE job_id = 'c'")
    await expect_all(database, connection)
    await fold_day(database)
    assert (await unfolded(connection)).changes == 1, "the day that the job went to"
    await expect_all(database, connection)
    await Folder(database).fold()
    await expect_all(database, connection)


async def test_notes_that_are_folded_before_their_day_count_once(
    database: Database, connection: asyncpg.Connection
) -> None:
    await bulk(connection, "a", "b", day=DAY)
    await job(connection, "a", created_at=DAY, status="failed")
    await connection.execute("DELETE FROM monitor.jobs WHERE job_id = 'b'")
    async with folding(database) as folder:
        await fold(folder, limit=100)
    await expect_all(database, connection)
    await fold_day(database)
    await expect_all(database, connection)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_correction_that_is_under_way_while_its_day_is_folded_counts_once(
    database: Database, connection: asyncpg.Connection, other: asyncpg.Connection, kept: bool
) -> None:
    await bulk(connection, "a", "b", day=DAY)
    under_way = other.transaction()
    await under_way.start()
    await job(other, "a", created_at=DAY, status="failed", run_ms=9000.0)
    await fold_day(database)
    await expect_all(database, connection)
    await (under_way.commit() if kept else under_way.rollback())
    await expect_all(database, connection, extremes=False)
    await Folder(database).fold()
    await expect_all(database, connection)


async def test_a_correction_while_its_day_is_being_folded_counts_once(
    database: Database, connection: asyncpg.Connection
) -> None:
    await bulk(connection, "a", "b", day=DAY)
    async with folding(database) as folder:
        await fold_gap(folder)
        await job(connection, "a", created_at=DAY, status="failed", run_ms=9000.0)
        await job(connection, "c", created_at=DAY)
        await expect_all(database, connection)
    await expect_all(database, connection, extremes=False)
    await Folder(database).fold()
    await expect_all(database, connection)


async def test_what_comes_in_bulk_while_its_day_is_being_folded_leaves_the_day_open(
    database: Database, connection: asyncpg.Connection
) -> None:
    await bulk(connection, "a", day=DAY)
    async with folding(database) as folder:
        await fold_gap(folder)
        await bulk(connection, "b", day=DAY)
    assert (await unfolded(connection)).days == 1
    await expect_all(database, connection)
    await fold_day(database)
    await expect_all(database, connection)


async def test_days_of_other_sources_are_left_alone(database: Database, connection: asyncpg.Connection) -> None:
    await job(connection, "elsewhere", created_at=DAY, run_ms=5.0)
    await connection.execute("UPDATE monitor.jobs SET source = 'dbos'")
    await Folder(database).fold()
    await bulk(connection, "a", day=DAY)
    await expect_all(database, connection)
    await fold_day(database)
    await expect_all(database, connection)


async def test_jobs_of_a_day_that_is_not_folded_are_not_forgotten(
    database: Database, connection: asyncpg.Connection
) -> None:
    await bulk(connection, "a", day=NOW - timedelta(days=5))
    sweeper = Sweeper(database, Settings(job_days=2))
    await sweeper.sweep()
    assert sweeper.swept["jobs"] == 0
    await Folder(database).fold()
    await sweeper.sweep()
    assert sweeper.swept["jobs"] == 1


async def test_the_folder_says_how_many_days_there_are_to_go(
    database: Database, connection: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for number in range(3):
        await bulk(connection, f"job-{number}", day=NOW - timedelta(days=number))
    folder = Folder(database)
    await folder.fold()
    assert folder.days == 3
    told = [record.message for record in caplog.records if "days to go" in record.message]
    assert told == [
        f"folded {Step.DAY.floor(NOW) - timedelta(days=number):%Y-%m-%d} of report, 1 changes; {2 - number} days to go"
        for number in range(3)
    ]
    await expect_all(database, connection)
