"""The audit log, over a real Postgres."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from command_line import run
from serving import serving

from datasources.audit import AuditKind, newest
from datasources.postgres import Database
from datasources.rates import Wish, lease
from datasources.settings import Settings
from graph.access.audit import Audit
from graph.operating.exchanges import Exchange
from graph.viewer import Viewer
from subscriptions.sweeper import Sweeper


@asynccontextmanager
async def audits(dsn: str, number: int = 1) -> AsyncIterator[list[Audit]]:
    """The audit logs of so many workers."""
    databases = [Database(dsn, Settings(pool_size=2, connect_timeout_seconds=2)) for _ in range(number)]
    for database in databases:
        await database.open()
    try:
        yield [Audit(database) for database in databases]
    finally:
        for database in databases:
            await database.close()


async def rows(audit: Audit, kind: AuditKind | None = None) -> list[tuple[str, str | None, str | None, int]]:
    return [(row.kind, row.code, row.viewer, row.times) for row in await newest(audit._database, 100, kind)]


class Clock(datetime):
    """A clock that stands still, in the middle of a minute."""

    at = datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)

    @classmethod
    def now(cls, tz=None):
        return cls.at


@pytest.fixture
def clock(monkeypatch):
    """The clock of the audit."""
    clock = type("StoppedClock", (Clock,), {})
    monkeypatch.setattr("graph.access.audit.datetime", clock)
    return clock


async def test_what_is_noted_is_written(dsn):
    async with audits(dsn) as [audit]:
        audit.note("authentication_failed", code="UNAUTHENTICATED", viewer="eve", address="192.0.2.1", detail="expired")
        await audit.write()
        [row] = await newest(audit._database, 10)
    assert (row.kind, row.code, row.viewer) == (AuditKind.AUTHENTICATION_FAILED, "UNAUTHENTICATED", "eve")
    assert (row.address, row.detail, row.times) == ("192.0.2.1", "expired", 1)


async def test_an_unknown_kind_is_a_mistake_of_the_program(dsn):
    async with audits(dsn) as [audit]:
        with pytest.raises(ValueError, match="gossip"):
            audit.note("gossip")


async def test_a_flood_is_one_row_with_a_number_whoever_met_it(dsn, clock):
    async with audits(dsn, 2) as [one, other]:
        for _ in range(500):
            one.note("operation_refused", code="RATE_LIMITED", viewer="eve", address="192.0.2.1")
        await one.write()
        for audit in (one, other):
            audit.note("operation_refused", code="RATE_LIMITED", viewer="eve", address="192.0.2.1")
            audit.note("operation_refused", code="FORBIDDEN", viewer="eve", address="192.0.2.1")
            await audit.write()
        assert sorted(await rows(one)) == [
            (AuditKind.OPERATION_REFUSED, "FORBIDDEN", "eve", 2),
            (AuditKind.OPERATION_REFUSED, "RATE_LIMITED", "eve", 502),
        ]


async def test_the_next_minute_is_another_row(dsn, clock):
    async with audits(dsn) as [audit]:
        for _ in range(2):
            audit.note("operation_refused", code="FORBIDDEN", viewer="eve")
            await audit.write()
            clock.at += timedelta(minutes=1)
        assert len(await rows(audit)) == 2


async def test_a_key_is_told_when_it_is_used_first_and_then_every_hour(dsn, clock, caplog):
    caplog.set_level(logging.INFO, "graph.audit")
    async with audits(dsn) as [audit]:
        for _ in range(200):
            audit.note("key_used", viewer="robot-7")
            clock.at += timedelta(minutes=1)
        await audit.write()
        assert await rows(audit) == [(AuditKind.KEY_USED, None, "robot-7", 1)] * 4
    assert len(caplog.records) == 4


async def test_rows_wait_while_the_database_is_away_and_no_longer(dsn):
    async with audits(dsn) as [audit]:
        connection = await asyncpg.connect(dsn, timeout=10)
        await connection.execute("ALTER TABLE monitor.audit RENAME TO hidden")
        audit.note("operation_refused", code="FORBIDDEN", viewer="eve")
        await audit.write()
        assert audit.counts["failures"] == 1
        await connection.execute("ALTER TABLE monitor.hidden RENAME TO audit")
        await connection.close(timeout=5)
        await audit.close()
        assert await rows(audit) == [(AuditKind.OPERATION_REFUSED, "FORBIDDEN", "eve", 1)]


async def test_ten_thousand_rows_wait_and_the_next_are_dropped_and_counted(dsn, caplog):
    async with audits(dsn) as [audit]:
        for number in range(10_003):
            audit.note("authentication_failed", viewer="eve", detail=f"guess {number}")
        assert audit.counts["dropped"] == 3
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        await audit.write()
        assert audit.counts["written"] == 10_000


async def test_a_writer_that_is_cancelled_while_it_writes_keeps_its_rows(dsn):
    async with audits(dsn) as [audit]:
        connection = await asyncpg.connect(dsn, timeout=10)
        async with connection.transaction():
            await connection.execute("LOCK TABLE monitor.audit")
            audit.note("operation_refused", code="FORBIDDEN", viewer="eve")
            writing = asyncio.create_task(audit.write())
            async with asyncio.timeout(10):
                while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
        await connection.close(timeout=5)
        await audit.close()
        assert await rows(audit) == [(AuditKind.OPERATION_REFUSED, "FORBIDDEN", "eve", 1)]


async def test_of_refusals_only_those_that_matter_are_told_with_whom_they_met(dsn):
    async with audits(dsn) as [audit]:
        now = Exchange("abc", "192.0.2.1", viewer=Viewer("eve"), codes=["BAD_USER_INPUT", "QUERY_TOO_COMPLEX"])
        audit.refused(now)
        await audit.write()
        [row] = await newest(audit._database, 10)
    assert (row.code, row.viewer, row.address, row.request_id) == ("QUERY_TOO_COMPLEX", "eve", "192.0.2.1", "abc")


async def test_text_from_outside_is_short_and_printable(dsn):
    async with audits(dsn) as [audit]:
        audit.note("authentication_failed", viewer="eve\0\n\x1b[2J" + "x" * 1000, detail="\ud800")
        await audit.write()
        [row] = await newest(audit._database, 10)
    assert row.viewer.isprintable()
    assert len(row.viewer) < 350
    assert row.detail == r"\ud800"


@pytest.mark.slow
def test_a_refused_operation_stands_in_the_audit_and_the_command_shows_it(dsn):
    with serving(dsn, max_query_cost=100) as graph:
        refused = graph.ask("{ jobs(first: 100) { nodes { jobId workflowName } } }")
        assert refused.codes == ["QUERY_TOO_COMPLEX"]
    shown = run("audit", "--kind", "operation_refused", DATABASE_URL=dsn)
    assert shown.returncode == 0
    [line] = [line for line in shown.stdout.splitlines() if "QUERY_TOO_COMPLEX" in line]
    assert "127.0.0.1" in line
    assert refused.response.headers["x-request-id"] in line
    assert "jobId" not in shown.stdout


@pytest.mark.slow
def test_what_admins_do_stands_in_the_audit(empty_dsn):
    assert run("migrate", DATABASE_URL=empty_dsn).returncode == 0
    assert run("seed", "--robots", "1", "--jobs", "10", "--days", "1", DATABASE_URL=empty_dsn).returncode == 0
    shown = run("audit", DATABASE_URL=empty_dsn).stdout
    assert "MIGRATED" in shown
    assert "SEEDED" in shown
    assert "command line" in shown


async def test_sweeping_forgets_old_entries_and_who_has_not_paid_for_more_than_a_minute(dsn):
    async with audits(dsn) as [audit]:
        database = audit._database
        connection = await asyncpg.connect(dsn, timeout=10)
        audit.note("admin_action", viewer="command line", detail="yesterday")
        await audit.write()
        await connection.execute("UPDATE monitor.audit SET at = now() - interval '91 days'")
        audit.note("admin_action", viewer="command line", detail="today")
        await audit.write()
        for payer in (b"now", b"then"):
            await lease(database, payer, 100, Wish(1, 1))
        await connection.execute("UPDATE monitor.rates SET bucket = bucket - 14 WHERE payer = 'then'")
        sweeper = Sweeper(database, Settings(audit_days=90))
        await sweeper.sweep()
        assert (sweeper.swept["audit"], sweeper.swept["rates"]) == (1, 1)
        assert [row.detail for row in await newest(database, 10)] == ["today"]
        assert await connection.fetchval("SELECT payer FROM monitor.rates") == b"now"
        await connection.close(timeout=5)
