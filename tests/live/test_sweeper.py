"""The sweeper: robots that went silent, and history beyond its time."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import asyncpg
import pytest
from ledger_scenes import Connect

from datasources.postgres import Database, UpstreamUnavailable
from datasources.reports.heartbeats import Heartbeat, report_heartbeats
from datasources.settings import Settings
from datasources.statuses import RobotStatus
from subscriptions import sweeper as sweeping
from subscriptions.sweeper import Sweeper

_ROBOTS = """
INSERT INTO monitor.robots (robot_id, hostname, status, last_heartbeat, registered_at)
SELECT id, id, status, now() - make_interval(secs => silent), now() - interval '1 day'
FROM unnest($1::text[], $2::text[], $3::float8[]) AS t (id, status, silent)"""
_EVENTS = """
INSERT INTO monitor.events (kind, job_id, environment, status, at)
SELECT 'job', 'job', 'default', 'pending', now() - make_interval(days => $1) FROM generate_series(1, $2)"""
_HEARTBEATS = """
INSERT INTO monitor.heartbeats (robot_id, at, status)
SELECT 'robot', now() - make_interval(days => $1, secs => n), 'idle' FROM generate_series(1, $2) n"""


@pytest.fixture
def sweeper(database: Database) -> Sweeper:
    return Sweeper(database, Settings(offline_after_seconds=60, ledger_days=7, ledger_events=100))


async def robots(connection: asyncpg.Connection, **known: tuple[str, float]) -> None:
    statuses, silences = zip(*known.values(), strict=True)
    await connection.execute(_ROBOTS, list(known), statuses, silences)


async def told(connection: asyncpg.Connection) -> list[tuple[str, str, str]]:
    """What the ledger says of robots that changed."""
    rows = await connection.fetch(
        "SELECT robot_id, previous_status, status FROM monitor.events WHERE previous_status IS NOT NULL ORDER BY seq"
    )
    return [tuple(row) for row in rows]


async def test_a_silent_robot_is_offline_and_the_ledger_says_so_once(
    sweeper: Sweeper, connection: asyncpg.Connection
) -> None:
    await robots(connection, silent=("busy", 61), alive=("busy", 59), broken=("failed", 3600), gone=("offline", 3600))
    await sweeper.sweep()
    await sweeper.sweep()
    assert sorted(await told(connection)) == [("broken", "failed", "offline"), ("silent", "busy", "offline")]
    assert sweeper.swept["robots"] == 2


async def test_a_robot_that_never_reported_is_offline_when_its_time_is_over(
    sweeper: Sweeper, connection: asyncpg.Connection
) -> None:
    await robots(connection, mute=("idle", 0))
    await connection.execute("UPDATE monitor.robots SET last_heartbeat = NULL")
    await sweeper.sweep()
    assert await told(connection) == [("mute", "idle", "offline")]


async def test_a_robot_that_reports_again_is_back(
    database: Database, sweeper: Sweeper, connection: asyncpg.Connection
) -> None:
    await robots(connection, robot=("busy", 61))
    await sweeper.sweep()
    now = datetime.now(UTC)
    await report_heartbeats(database, [Heartbeat("robot", RobotStatus.IDLE, now)], now)
    await sweeper.sweep()
    assert await told(connection) == [("robot", "busy", "offline"), ("robot", "offline", "idle")]


async def test_a_robot_that_is_just_reporting_is_not_waited_for(
    sweeper: Sweeper, connection: asyncpg.Connection, connect: Connect
) -> None:
    await robots(connection, reporting=("busy", 61), silent=("busy", 61))
    reporter = await connect()
    async with asyncio.timeout(5), reporter.transaction():
        await reporter.execute("SELECT FROM monitor.robots WHERE robot_id = 'reporting' FOR NO KEY UPDATE")
        await sweeper.sweep()
        assert await told(connection) == [("silent", "busy", "offline")]
        await reporter.execute("UPDATE monitor.robots SET last_heartbeat = now() WHERE robot_id = 'reporting'")
    await sweeper.sweep()
    assert await told(connection) == [("silent", "busy", "offline")]


async def test_a_sweep_with_nothing_to_do_rings_nobody(sweeper: Sweeper, connection: asyncpg.Connection) -> None:
    rung: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener("monitor", lambda *notification: rung.put_nowait(notification[-1]))
    await robots(connection, alive=("idle", 1))
    async with asyncio.timeout(5):
        assert {await rung.get(), await rung.get()} == {"events", "robots"}
    await sweeper.sweep()
    await connection.execute("SELECT pg_notify('monitor', 'after the sweep')")
    async with asyncio.timeout(5):
        assert await rung.get() == "after the sweep"


async def test_a_worker_passes_by_while_another_sweeps_and_goes_on_when_it_dies(
    sweeper: Sweeper, database: Database, connection: asyncpg.Connection, dsn: str
) -> None:
    await robots(connection, silent=("busy", 61))
    other = Database(dsn, Settings())
    await other.open()
    stack = AsyncExitStack()
    lead = await stack.enter_async_context(sweeping.sweeping(other))
    await sweeper.sweep()
    assert await told(connection) == []
    await connection.execute("SELECT pg_terminate_backend($1, 5000)", lead.get_server_pid())
    await sweeper.sweep()
    assert await told(connection) == [("silent", "busy", "offline")]
    with pytest.raises(UpstreamUnavailable):
        await stack.aclose()
    await other.close()


async def test_events_beyond_their_days_are_forgotten_in_pieces(
    sweeper: Sweeper, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_PIECE", 3)
    await connection.execute(_EVENTS, 8, 10)
    await connection.execute(_EVENTS, 6, 5)
    await sweeper.sweep()
    assert await connection.fetchrow("SELECT min(seq), max(seq) FROM monitor.events") == (11, 15)
    assert await connection.fetchval("SELECT pruned FROM monitor.ledger") == 10
    assert sweeper.swept["events"] == 10


async def test_events_beyond_their_number_are_forgotten(sweeper: Sweeper, connection: asyncpg.Connection) -> None:
    await connection.execute(_EVENTS, 0, 120)
    await sweeper.sweep()
    assert await connection.fetchrow("SELECT min(seq), max(seq) FROM monitor.events") == (21, 120)


async def test_heartbeats_older_than_a_week_are_forgotten_in_pieces(
    sweeper: Sweeper, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_PIECE", 3)
    await robots(connection, robot=("idle", 1))
    await connection.execute(_HEARTBEATS, 7, 10)
    await connection.execute(_HEARTBEATS, 6, 5)
    await sweeper.sweep()
    assert await connection.fetchval("SELECT count(*) FROM monitor.heartbeats") == 5
    assert sweeper.swept["heartbeats"] == 10


async def test_heartbeats_lie_in_days_that_are_dropped_whole(sweeper: Sweeper, connection: asyncpg.Connection) -> None:
    await robots(connection, robot=("idle", 1))
    await sweeper.sweep()
    made = await partitions(connection)
    assert len(made) == 3
    await connection.execute(
        """CREATE TABLE monitor.heartbeats_20200101 PARTITION OF monitor.heartbeats
           FOR VALUES FROM ('2020-01-01T00:00:00Z') TO ('2020-01-02T00:00:00Z')"""
    )
    await connection.execute(
        "INSERT INTO monitor.heartbeats (robot_id, at, status)"
        " VALUES ('robot', now(), 'idle'), ('robot', '2020-01-01T12:00:00Z', 'idle')"
    )
    await sweeper.sweep()
    assert await partitions(connection) == made
    assert await connection.fetchval("SELECT count(*) FROM monitor.heartbeats") == 1
    assert sweeper.swept["heartbeat_days"] == 1


async def test_a_day_s_partition_does_not_wait_for_those_who_write_heartbeats(
    sweeper: Sweeper, connection: asyncpg.Connection, connect: Connect
) -> None:
    await robots(connection, robot=("idle", 1))
    writer = await connect()
    async with asyncio.timeout(20), writer.transaction():
        await writer.execute("INSERT INTO monitor.heartbeats (robot_id, at, status) VALUES ('robot', now(), 'idle')")
        await sweeper.sweep()
        assert await partitions(connection) == []
    await sweeper.sweep()
    assert len(await partitions(connection)) == 2, "today has heartbeats in the default partition"


async def partitions(connection: asyncpg.Connection) -> list[str]:
    """The days of heartbeats."""
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relname ~ '^heartbeats_[0-9]{8}$' AND relkind = 'r' ORDER BY relname"
    )
    return [row["relname"] for row in rows]


async def test_what_a_source_told_wrong_is_forgotten_after_its_days(
    sweeper: Sweeper, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "INSERT INTO monitor.source_errors (source, source_key, code, message, last_at)"
        " VALUES ('s', 'old', 'c', 'm', now() - interval '31 days'), ('s', 'new', 'c', 'm', now() - interval '29 days')"
    )
    await sweeper.sweep()
    assert await connection.fetchval("SELECT array_agg(source_key) FROM monitor.source_errors") == ["new"]
    assert sweeper.swept["source_errors"] == 1


async def test_a_sweeper_goes_on_when_the_database_is_back(
    database: Database, sweeper: Sweeper, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_EVERY", 0.01)
    await robots(connection, silent=("busy", 61))
    await database.close()
    running = asyncio.create_task(sweeper.run())
    async with asyncio.timeout(20):
        while sweeper.failures < 2:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
        await database.open()
        while not await told(connection):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
