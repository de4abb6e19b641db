import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg
import pytest

from datasources.seed import AlreadySeeded, SeedingElsewhere, SeedProgress, SeedReport, Stage
from datasources.sql import queries

pytestmark = pytest.mark.slow

ROBOTS, JOBS = 40, 3000
TABLES = ("robots", "heartbeats", "jobs", "node_executions", "healing_events")

Seed = Callable[..., Awaitable[SeedReport]]


async def fingerprint(connection: asyncpg.Connection) -> list[str]:
    """One hash of all rows for each table; generated identities aside."""
    return [
        await connection.fetchval(f"""
            SELECT coalesce(md5(string_agg(line, E'\\n' ORDER BY line)), '')
            FROM (SELECT (to_jsonb(t) - 'healing_id')::text AS line FROM monitor.{table} t) s""")
        for table in TABLES
    ]


async def indexes(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    rows = await connection.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'monitor' ORDER BY 1")
    return [(row["indexname"], row["indexdef"]) for row in rows]


async def test_the_report_counts_what_is_in_the_database(sow: Seed, connection: asyncpg.Connection) -> None:
    report = await sow()
    counts = {table: await connection.fetchval(f"SELECT count(*) FROM monitor.{table}") for table in TABLES}
    assert counts == {table: getattr(report, table) for table in TABLES}
    assert (report.robots, report.jobs) == (ROBOTS, JOBS)
    assert min(counts.values()) > 0


async def test_history_is_not_a_transition(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    assert await connection.fetch("SELECT * FROM monitor.events") == []


async def test_the_same_seed_and_moment_give_the_same_rows(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow(5)
    first = await fingerprint(connection)
    await connection.execute("TRUNCATE monitor.robots, monitor.jobs CASCADE")
    await sow(5)
    assert await fingerprint(connection) == first
    await connection.execute("TRUNCATE monitor.robots, monitor.jobs CASCADE")
    await sow(6)
    assert all(one != other for one, other in zip(await fingerprint(connection), first, strict=True))


async def test_seeding_twice_with_one_seed_is_refused_and_changes_nothing(
    sow: Seed, connection: asyncpg.Connection
) -> None:
    await sow(3)
    before = await fingerprint(connection)
    with pytest.raises(AlreadySeeded, match="seeded with 3 already"):
        await sow(3, jobs=10)
    assert await fingerprint(connection) == before


async def test_another_seed_adds_its_own_robots_and_jobs(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow(1)
    await sow(11, robots=7, jobs=500)
    assert await connection.fetchval("SELECT count(*) FROM monitor.jobs") == JOBS + 500
    assert await connection.fetchval("SELECT max(robot_id) FROM monitor.robots") == f"robot-{ROBOTS + 7:03d}"
    rows = await connection.fetch("SELECT robot_id FROM monitor.jobs WHERE status = 'claimed'")
    assert len(rows) == len({row["robot_id"] for row in rows}) > 0


async def test_jobs_that_are_there_stay_there(sow: Seed, connection: asyncpg.Connection) -> None:
    await connection.execute(
        """INSERT INTO monitor.jobs
             (job_id, source, workflow_id, workflow_name, status, raw_status, created_at)
           VALUES ('mine', 'report', 'w', 'W', 'pending', 'pending', now())"""
    )
    await sow(jobs=100)
    assert await connection.fetchval("SELECT count(*) FROM monitor.jobs WHERE job_id = 'mine'") == 1
    assert await connection.fetchval("SELECT count(*) FROM monitor.jobs") == 101


async def test_seeding_leaves_the_indexes_as_they_were(sow: Seed, connection: asyncpg.Connection) -> None:
    before = await indexes(connection)
    await sow()
    assert await indexes(connection) == before


@pytest.mark.parametrize("stage", list(Stage)[:4])
async def test_a_failure_leaves_the_database_as_it_was(sow: Seed, connection: asyncpg.Connection, stage: Stage) -> None:
    before = await indexes(connection)

    def fail(progress: SeedProgress) -> None:
        if progress.stage is stage and progress.done == progress.total:
            raise RuntimeError("the terminal went away")

    with pytest.raises(RuntimeError, match="went away"):
        await sow(progress=fail)
    assert await indexes(connection) == before
    assert await fingerprint(connection) == [""] * len(TABLES)


async def test_an_interrupt_leaves_the_database_as_it_was(sow: Seed, connection: asyncpg.Connection) -> None:
    before = await indexes(connection)
    task: asyncio.Task[SeedReport] | None = None

    def interrupt(progress: SeedProgress) -> None:
        if progress.stage is Stage.INDEXES and progress.done == 3 and task is not None:
            task.cancel()

    task = asyncio.ensure_future(sow(progress=interrupt))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await indexes(connection) == before
    assert await fingerprint(connection) == [""] * len(TABLES)


async def test_a_second_seeding_at_the_same_time_is_refused(sow: Seed, connection: asyncpg.Connection) -> None:
    claim, _ = queries("seed/loading")["claim_seeding"].bind({})
    async with connection.transaction():
        assert await connection.fetchval(claim)
        with pytest.raises(SeedingElsewhere):
            await sow()
    assert (await sow()).jobs == JOBS


async def test_progress_ends_every_stage_at_its_total(sow: Seed) -> None:
    last: dict[Stage, SeedProgress] = {}
    await sow(progress=lambda progress: last.__setitem__(progress.stage, progress))
    assert list(last) == list(Stage)
    assert all(progress.done == progress.total > 0 for progress in last.values())
    assert last[Stage.JOBS].total == JOBS


async def test_the_statistics_are_fresh(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    rows = await connection.fetchval("SELECT reltuples FROM pg_class WHERE oid = 'monitor.jobs'::regclass")
    assert rows == JOBS


async def test_without_a_moment_the_past_ends_now(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow(jobs=10, now=None)
    age = await connection.fetchval("SELECT now() - max(last_heartbeat) FROM monitor.robots")
    assert timedelta(0) < age < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"robots": 0}, "robots must be 1 to 100,000, not 0"),
        ({"robots": -3}, "robots must be 1 to 100,000, not -3"),
        ({"jobs": 0}, "jobs must be 1 to 50,000,000, not 0"),
        ({"jobs": 50_000_001}, "jobs must be 1 to 50,000,000, not 50,000,001"),
        ({"days": 0}, "days must be more than 0"),
        ({"days": float("nan")}, "days must be more than 0"),
        ({"days": 1e9}, "at most 3,650"),
        ({"now": datetime(2026, 1, 1)}, "time zone"),
    ],
)
async def test_numbers_out_of_range_are_refused(sow: Seed, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await sow(**wrong)


async def test_a_negative_seed_is_refused(sow: Seed) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        await sow(-1)
