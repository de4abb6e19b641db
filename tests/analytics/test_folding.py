"""Folding: each job counts exactly once, whatever becomes of it and whoever dies when."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from histories import HEALING, MANY, NOW, ROLLUPS, STEP, WEEK, bulk, expect_all, job, rolled_up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from straight import expect_totals

from datasources.analytics import MetricsAggregator
from datasources.migrate import migrate, shipped
from datasources.postgres import Database
from datasources.rollups import Unfolded, fold, fold_gap, folding, unfolded
from datasources.settings import Settings
from datasources.windows import AnalyticsScope
from subscriptions.folder import Folder
from subscriptions.sweeper import Sweeper

Fold = Callable[[], Awaitable[int]]

JOBS = st.fixed_dictionaries(
    {
        "workflow": st.sampled_from(["a", "b"]),
        "robot": st.sampled_from([None, "r1", "r2"]),
        "environment": st.sampled_from(["production", "staging"]),
        "status": st.sampled_from(["pending", "claimed", "completed", "failed", "cancelled"]),
        "created_at": st.integers(0, 3 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes)),
        "wait": st.integers(0, 1000),
        "run_ms": st.integers(0, 10**7),
        "error": st.sampled_from(["TimeoutError", "KeyError"]),
    }
)
NAMES = st.integers(1, 6).map(lambda number: f"job-{number}")
CHANGES = st.one_of(
    st.tuples(st.just("job"), NAMES, JOBS),
    st.tuples(st.just("job"), NAMES, JOBS),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("heal"), NAMES, st.sampled_from(["anchor", "vision"]), st.booleans()),
    st.tuples(st.just("step"), NAMES, st.integers(0, 1), st.sampled_from(["running", "completed", "failed"])),
    st.tuples(st.just("fold"), st.integers(1, 4)),
    st.tuples(st.just("bulk"), NAMES, JOBS),
    st.tuples(st.just("fold a day")),
)


def without_day(fields: dict[str, Any]) -> dict[str, Any]:
    """What a job is, but for when it was created."""
    return {name: value for name, value in fields.items() if name != "created_at"}


async def change(database: Database, connection: asyncpg.Connection, what: tuple[Any, ...]) -> None:
    """Do one of CHANGES."""
    match what:
        case ("job", name, fields):
            await job(connection, name, **fields)
        case ("delete", name):
            await connection.execute("DELETE FROM monitor.jobs WHERE job_id = $1", name)
        case ("fold", limit):
            async with folding(database) as folder:
                await fold(folder, limit=limit)
        case ("fold a day",):
            async with folding(database) as folder:
                await fold_gap(folder)
        case ("bulk", name, fields):
            if not await connection.fetch("SELECT FROM monitor.jobs WHERE job_id = $1", name):
                await bulk(connection, name, day=fields["created_at"], **without_day(fields))
        case (kind, name, *rest):
            if not await connection.fetch("SELECT FROM monitor.jobs WHERE job_id = $1", name):
                return
            if kind == "heal":
                await connection.execute(HEALING, name, *rest)
            else:
                await connection.execute(STEP, name, *rest, 7.0)


@pytest.mark.slow
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(CHANGES, max_size=25))
def test_whatever_becomes_of_jobs_history_says_what_they_say(dsn: str, changes: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        database = Database(dsn, Settings())
        await database.open()
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await connection.execute(
                "TRUNCATE monitor.jobs, monitor.rollup_deltas, monitor.rollup_gaps,"
                f" {', '.join(f'monitor.{table}' for table in ROLLUPS)} CASCADE"
            )
            for what in changes:
                await change(database, connection, what)
            await expect_all(database, connection, extremes=False)
            await Folder(database).fold()
            assert await unfolded(connection) == Unfolded(0, 0)
            await expect_all(database, connection)
        finally:
            await connection.close(timeout=5)
            await database.close()

    asyncio.run(run())


async def test_folding_twice_changes_nothing(connection: asyncpg.Connection, fold_all: Fold) -> None:
    await job(connection)
    assert await fold_all() == 1
    before = await rolled_up(connection)
    assert await fold_all() == 0
    assert await rolled_up(connection) == before


async def test_what_is_folded_in_pieces_is_what_is_folded_at_once(
    database: Database, connection: asyncpg.Connection, fold_all: Fold
) -> None:
    await connection.execute(MANY, 500)
    await fold_all()
    at_once = await rolled_up(connection)
    await connection.execute("TRUNCATE monitor.jobs CASCADE")
    for table in ROLLUPS:
        await connection.execute(f"TRUNCATE monitor.{table}")
    await connection.execute(MANY, 500)
    async with folding(database) as folder:
        while await fold(folder, limit=37):
            pass
    in_pieces = await rolled_up(connection)
    assert [len(rows) for rows in in_pieces.values()] == [len(rows) for rows in at_once.values()]
    assert in_pieces["rollup_sketches"] == at_once["rollup_sketches"]
    await expect_totals(connection, WEEK, (await MetricsAggregator(database, NOW).totals([WEEK]))[0])


async def test_a_job_that_is_corrected_moves(
    database: Database, connection: asyncpg.Connection, fold_all: Fold
) -> None:
    await job(connection, status="failed", run_ms=9000.0)
    await job(connection, "other", run_ms=10.0)
    await fold_all()
    await job(connection, status="completed", run_ms=20.0, workflow="v")
    await fold_all()
    [totals] = await MetricsAggregator(database, NOW).totals([WEEK])
    assert (totals.completed, totals.failed, totals.longest, totals.run_ms) == (2, 0, 20.0, 30.0)
    scopes = [AnalyticsScope(WEEK.since, WEEK.until, workflow_id=name) for name in ("v", "w")]
    assert [totals.total for totals in await MetricsAggregator(database, NOW).totals(scopes)] == [1, 1]


async def test_progress_and_claims_note_nothing(connection: asyncpg.Connection, database: Database) -> None:
    await job(connection, status="pending", robot=None)
    await job(connection, status="claimed")
    await connection.execute("UPDATE monitor.jobs SET progress_percent = 50, current_node = 'n'")
    assert (await unfolded(connection)).changes == 0


async def test_a_job_s_transaction_waits_for_no_folding(
    database: Database, connection: asyncpg.Connection, fold_all: Fold
) -> None:
    await job(connection)
    async with asyncio.timeout(10), folding(database) as folder:
        await fold(folder, limit=10)
        await job(connection, "meanwhile")
    assert await fold_all() == 1


async def test_only_one_worker_folds(database: Database, connection: asyncpg.Connection) -> None:
    await job(connection)
    async with folding(database) as first, folding(database) as second:
        assert first is not None
        assert second is None


async def test_what_cannot_be_folded_is_recorded_and_does_not_keep_the_rest_from_it(
    database: Database, connection: asyncpg.Connection
) -> None:
    await job(connection, "before")
    await connection.execute(
        "INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, workflow_id, status)"
        " VALUES ('node', 1, now(), 'e', 'odd', 'completed')"
    )
    await job(connection, "after")
    folder = Folder(database)
    await folder.fold()
    assert (folder.folded, folder.refused, (await unfolded(connection)).changes) == (2, 1, 0)
    assert await connection.fetchval("SELECT source_key FROM monitor.source_errors WHERE source = 'rollups'") == "odd"
    [totals] = await MetricsAggregator(database, NOW).totals([WEEK])
    assert totals.completed == 2


async def test_times_without_end_are_left_out_of_durations(
    database: Database, connection: asyncpg.Connection, fold_all: Fold
) -> None:
    await connection.execute(
        "INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, workflow_id, status, duration_ms,"
        " queue_wait_ms) VALUES ('job', 1, $1, 'e', 'w', 'completed', 'infinity', 'NaN'),"
        " ('job', 1, 'infinity', 'e', 'w', 'failed', 1, 1)",
        NOW - timedelta(days=1),
    )
    await fold_all()
    [totals] = await MetricsAggregator(database, NOW).totals([WEEK])
    assert (totals.completed, totals.failed, totals.runs, totals.waits) == (1, 0, 0, 0)


async def test_robots_hours_are_told_by_their_status(
    database: Database, connection: asyncpg.Connection, fold_all: Fold
) -> None:
    await connection.execute(
        "INSERT INTO monitor.robots (robot_id, hostname, status, status_since) VALUES ('r', 'h', 'busy', $1)",
        NOW - timedelta(hours=30),
    )
    day = AnalyticsScope(NOW - timedelta(hours=40), NOW, robot_id="r")
    aggregator = MetricsAggregator(database, NOW)
    [open_span] = await aggregator.robot_time([day])
    assert open_span is not None
    assert open_span.busy == pytest.approx(30.0)
    await connection.execute("UPDATE monitor.robots SET status = 'idle'")
    for folded in (False, True):
        if folded:
            await fold_all()
        [hours] = await aggregator.robot_time([day])
        assert hours is not None
        assert hours.busy == pytest.approx(30.0, abs=0.5)  # until it was told to be idle, a moment after NOW
        assert hours.utilisation == pytest.approx(100.0, abs=2)
    assert await aggregator.robot_time([AnalyticsScope(day.since, day.until, robot_id="unknown")]) == [None]


async def test_jobs_that_are_forgotten_stay_in_history(
    database: Database, connection: asyncpg.Connection, fold_all: Fold
) -> None:
    await job(connection, "old", created_at=NOW - timedelta(days=3))
    await job(connection, "stuck", created_at=NOW - timedelta(days=3), status="claimed")
    await job(connection, "new", run_ms=5.0)
    await connection.execute(HEALING, "old", "anchor", True)
    await connection.execute(STEP, "old", 0, "completed", 3.0)
    sweeper = Sweeper(database, Settings(job_days=2))
    await sweeper.sweep()
    assert sweeper.swept["jobs"] == 1
    assert {row["job_id"] for row in await connection.fetch("SELECT job_id FROM monitor.jobs")} == {"stuck", "new"}
    aggregator = MetricsAggregator(database, NOW, NOW - timedelta(days=1))
    for folded in (False, True):
        if folded:
            await fold_all()
        [totals], [tiers], [runs] = await asyncio.gather(
            aggregator.totals([WEEK]), aggregator.healing([WEEK]), aggregator.percentiles([WEEK])
        )
        assert (totals.completed, totals.alive, totals.run_ms, tiers[0].attempts) == (2, 1, 1005.0, 1)
        assert not runs.exact, "a job is gone: only the sketch knows it"
        assert runs.p99 == pytest.approx(995, rel=0.02)


async def test_what_was_there_before_is_folded_after_the_migration(empty_dsn: str) -> None:
    await migrate(empty_dsn, [migration for migration in shipped() if migration.version <= 3])
    old = await asyncpg.connect(empty_dsn, timeout=10)
    try:
        await job(old, "good", created_at=NOW - timedelta(days=2))
        await job(old, "bad", status="failed")
        await old.execute(HEALING, "bad", "anchor", True)
        await old.execute("INSERT INTO monitor.robots (robot_id, hostname) VALUES ('r', 'h')")
        await old.execute("UPDATE monitor.robots SET status = 'busy'")
        await migrate(empty_dsn)
        database = Database(empty_dsn, Settings())
        await database.open()
        try:
            assert (await unfolded(old)).changes == 1  # a robot was idle
            for _ in range(2):
                await expect_all(database, old)
                await Folder(database).fold()
        finally:
            await database.close()
    finally:
        await old.close(timeout=5)
