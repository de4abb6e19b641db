"""Folding that dies in the middle, or goes on while questions are asked: no job is lost, and none counts twice."""

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest
from histories import MANY, NOW, WEEK, expect_all
from straight import expect_totals

from datasources.analytics import MetricsAggregator
from datasources.postgres import Database
from datasources.rollups import Unfolded, folding, unfolded
from datasources.seed import SeedProgress, Stage, seed
from subscriptions.folder import Folder

pytestmark = pytest.mark.slow

# The same jobs over three days, as who leaves gaps writes them.
BULK = f"""
SET LOCAL monitor.rollups = off;
{MANY.replace("'1 second'", "'2 minutes'").replace("$1::int", "2000")};
INSERT INTO monitor.rollup_gaps (source, day)
SELECT DISTINCT source, date_trunc('day', created_at, 'UTC') FROM monitor.jobs;
"""
KILLED = """
import asyncio, sys
from datasources.postgres import Database
from datasources.settings import Settings
from datasources.rollups import fold, fold_gap, folding

async def main():
    database = Database(sys.argv[1], Settings())
    await database.open()
    step = fold_gap if sys.argv[2] == "days" else lambda connection: fold(connection, limit=300)
    for _ in range(2):
        async with folding(database) as connection:
            await step(connection)
    async with folding(database) as connection:
        await step(connection)
        print("in the middle", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("what", ["changes", "days"])
async def test_a_worker_that_is_killed_in_the_middle_of_folding_leaves_every_job_counted_once(
    dsn: str, database: Database, connection: asyncpg.Connection, what: str
) -> None:
    async with connection.transaction():
        await (connection.execute(BULK) if what == "days" else connection.execute(MANY, 2000))
    before = await unfolded(connection)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, dsn, what, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    async with asyncio.timeout(60):
        assert worker.stdout is not None
        while (line := await worker.stdout.readline()) != b"in the middle\n":
            assert line, "the worker ended by itself"
        worker.kill()
        await worker.wait()
        while not await _free(database):  # noqa: ASYNC110  # Postgres tells nobody that it has noticed
            await asyncio.sleep(0.05)
    done = Unfolded(0, 2) if what == "days" else Unfolded(600, 0)
    assert await unfolded(connection) == Unfolded(before.changes - done.changes, before.days - done.days)
    await expect_all(database, connection)
    await Folder(database).fold()
    assert await unfolded(connection) == Unfolded(0, 0)
    await expect_all(database, connection)


async def _free(database: Database) -> bool:
    async with folding(database) as connection:
        return connection is not None


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_backfill_is_folded_while_questions_are_answered(
    database: Database, connection: asyncpg.Connection, bulk: bool
) -> None:
    jobs = 2_000 if bulk else 30_000
    async with connection.transaction():
        await (connection.execute(BULK) if bulk else connection.execute(MANY, jobs))
    folder = Folder(database)
    folding_all = asyncio.create_task(folder.fold())
    aggregator = MetricsAggregator(database, NOW)
    seen = 0
    while not folding_all.done() or not seen:
        [totals], [slowest] = await asyncio.gather(aggregator.totals([WEEK]), aggregator.slowest([WEEK]))
        assert totals.total == sum(workflow.runs for workflow in slowest) == jobs
        seen += 1
    await folding_all
    assert folder.days if bulk else folder.folded == jobs
    await expect_totals(connection, WEEK, (await aggregator.totals([WEEK]))[0])


async def test_a_seed_that_is_interrupted_after_it_has_written_leaves_its_history_to_the_server(
    dsn: str, database: Database, connection: asyncpg.Connection
) -> None:
    def interrupt(progress: SeedProgress) -> None:
        if progress.stage is Stage.ROLLUPS and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await seed(dsn, robots=20, jobs=2000, days=6, seed=1, progress=interrupt)
    assert (await unfolded(connection)).days > 1
    aggregator = MetricsAggregator(database, NOW)
    await expect_totals(connection, WEEK, (await aggregator.totals([WEEK]))[0])
    await Folder(database).fold()
    assert await unfolded(connection) == Unfolded(0, 0)
    await expect_totals(connection, WEEK, (await aggregator.totals([WEEK]))[0])
