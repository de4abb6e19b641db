"""What the monitor cannot take never disturbs the source: its transaction commits, and the error is recorded."""

import asyncpg
import pytest

from datasources.migrate import uninstall
from datasources.sources import attach

pytestmark = pytest.mark.slow

ENQUEUE = (
    "INSERT INTO pgqueuer (priority, status, entrypoint, headers) VALUES (0, 'queued', 'e', $1::jsonb) RETURNING id"
)
ERRORS = "SELECT source, source_key, code, times FROM monitor.source_errors"


@pytest.fixture(autouse=True)
async def attached(dsn, pgqueuer):
    await attach(dsn, "pgqueuer")


async def test_a_row_that_breaks_a_rule_of_ours_is_recorded_with_its_key(connection, known):
    await connection.execute("ALTER TABLE monitor.jobs ADD CHECK (environment <> 'mars')")
    key = await connection.fetchval(ENQUEUE, '{"environment": "mars"}')
    assert await known(ERRORS) == [{"source": "pgqueuer", "source_key": str(key), "code": "23514", "times": 1}]
    assert await known("SELECT id FROM pgqueuer") == [{"id": key}]


async def test_the_same_error_again_is_counted(connection, known):
    await connection.execute("ALTER TABLE monitor.jobs RENAME TO gone")
    key = await connection.fetchval(ENQUEUE, "{}")
    await connection.execute("UPDATE pgqueuer SET priority = 1 WHERE id = $1", key)
    assert await known(ERRORS) == [{"source": "pgqueuer", "source_key": str(key), "code": "42P01", "times": 2}]


async def test_attaching_again_heals_what_was_missed(dsn, connection, known):
    await connection.execute("ALTER TABLE monitor.jobs RENAME TO gone")
    await connection.fetchval(ENQUEUE, '{"job_id": "j"}')
    await connection.execute("ALTER TABLE monitor.gone RENAME TO jobs")
    await attach(dsn, "pgqueuer")
    assert await known("SELECT job_id, status FROM monitor.jobs") == [{"job_id": "j", "status": "pending"}]


async def test_a_job_id_too_long_for_an_index_is_recorded(connection, known):
    letters = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(8000))
    await connection.fetchval(ENQUEUE, f'{{"job_id": "{letters}"}}')
    assert [row["code"] for row in await known(ERRORS)] == ["54000"]


async def test_a_source_does_not_wait_for_a_locked_monitor(dsn, connection, known):
    holder = await asyncpg.connect(dsn, timeout=10)
    async with holder.transaction():
        await holder.execute("LOCK TABLE monitor.jobs")
        key = await connection.fetchval(ENQUEUE, "{}", timeout=10)
    await holder.close(timeout=5)
    assert await known(ERRORS) == [{"source": "pgqueuer", "source_key": str(key), "code": "55P03", "times": 1}]


async def test_a_batch_waits_for_a_locked_monitor_only_once(dsn, connection, known):
    holder = await asyncpg.connect(dsn, timeout=10)
    async with holder.transaction():
        await holder.execute("LOCK TABLE monitor.jobs")
        await connection.execute(
            "INSERT INTO pgqueuer (priority, status, entrypoint) SELECT 0, 'queued', 'e' FROM generate_series(1, 200)",
            timeout=20,
        )
    await holder.close(timeout=5)
    assert await known("SELECT count(*) AS rows, sum(times)::int AS times FROM monitor.source_errors") == [
        {"rows": 200, "times": 200}
    ]


async def test_a_source_commits_even_where_the_error_cannot_be_recorded(connection, known):
    await connection.execute("DROP TABLE monitor.source_errors, monitor.jobs CASCADE")
    key = await connection.fetchval(ENQUEUE, "{}")
    assert await known("SELECT id FROM pgqueuer") == [{"id": key}]


async def test_a_batch_is_taken_but_for_the_row_that_cannot_be(connection, known):
    await connection.execute("ALTER TABLE monitor.jobs ADD CHECK (workflow_id <> 'bad')")
    await connection.execute(
        "INSERT INTO pgqueuer (priority, status, entrypoint) SELECT 0, 'queued', e FROM unnest($1::text[]) e",
        ["good", "bad", "better"],
    )
    assert [row["workflow_id"] for row in await known("SELECT workflow_id FROM monitor.jobs")] == ["good", "better"]


async def test_a_bad_row_does_not_stop_a_backfill(dsn, connection, known):
    await connection.execute("ALTER TABLE pgqueuer DISABLE TRIGGER monitor_changed")
    await connection.execute("ALTER TABLE monitor.jobs ADD CHECK (environment <> 'mars')")
    for environment in ("earth", "mars"):
        await connection.fetchval(ENQUEUE, f'{{"environment": "{environment}"}}')
    report = await attach(dsn, "pgqueuer")
    assert (report.jobs, report.errors) == (1, 1)


async def test_a_source_works_on_when_the_monitor_is_taken_away(dsn, pgqueuer, connection, known):
    await uninstall(dsn)
    await pgqueuer("enqueue", "succeed")
    await pgqueuer("work")
    assert await known("SELECT FROM pgqueuer") == []
    assert await known("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'monitor%'") == []


async def test_a_source_needs_no_rights_on_the_monitor(connection, known):
    await connection.execute("""
        CREATE ROLE worker_of_sources; GRANT USAGE ON SCHEMA public TO worker_of_sources;
        GRANT ALL ON pgqueuer, pgqueuer_log TO worker_of_sources;
        GRANT ALL ON SEQUENCE pgqueuer_id_seq TO worker_of_sources; SET ROLE worker_of_sources;
    """)
    try:
        await connection.fetchval(ENQUEUE, '{"job_id": "j"}')
    finally:
        await connection.execute("RESET ROLE; DROP OWNED BY worker_of_sources; DROP ROLE worker_of_sources")
    assert await known("SELECT job_id FROM monitor.jobs") == [{"job_id": "j"}]
