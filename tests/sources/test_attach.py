"""Attaching and detaching, over tables that the real libraries have made and filled."""

import asyncio
import json

import asyncpg
import pytest

from datasources import sources
from datasources.sources import attach, detach, renew

pytestmark = pytest.mark.slow  # independent programs that start, work and end

CATALOGUE = """
    SELECT 'trigger' AS kind, t.tgname::text AS name, t.tgrelid::regclass::text AS place FROM pg_trigger t
    UNION ALL SELECT 'function', p.proname, p.pronamespace::regnamespace::text FROM pg_proc p
    UNION ALL SELECT 'relation', c.relname, c.relnamespace::regnamespace::text FROM pg_class c
    WHERE c.relnamespace <> 'pg_toast'::regnamespace
    UNION ALL SELECT 'type', t.typname, t.typnamespace::regnamespace::text FROM pg_type t
    UNION ALL SELECT 'source', name, version FROM monitor.sources
    ORDER BY 1, 2, 3
"""
JOBS = "SELECT * FROM monitor.jobs ORDER BY job_id"
NODES = "SELECT * FROM monitor.node_executions ORDER BY job_id, position"


async def test_what_is_attached_late_is_as_if_it_had_been_watched(dsn, pgqueuer, dbos, known, connection):
    for source in sources.names():
        await attach(dsn, source)
    for entrypoint in ("succeed", "fail", "held", "always_retry", "retry_once"):
        await pgqueuer("enqueue", entrypoint)
    await pgqueuer("work")
    await pgqueuer("enqueue", "succeed", json.dumps({"job_id": "waiting", "workflow_id": "w"}))
    await dbos("run", "invoices", "a", "fails", "b", "fails_in_pickle", "c", "child_fails", "d", "fails_once", "e")
    watched = await known(JOBS), await known(NODES)
    for source in sources.names():
        await detach(dsn, source)
    await connection.execute("DELETE FROM monitor.jobs")
    reports = [await attach(dsn, source) for source in sources.names()]
    assert (await known(JOBS), await known(NODES)) == watched
    assert [report.jobs for report in reports] == [6, 7]
    assert reports[1].node_executions == len(watched[1])


async def test_a_history_that_is_copied_is_no_transition(dsn, pgqueuer, known):
    await pgqueuer("enqueue", "fail")
    await pgqueuer("work")
    await attach(dsn, "pgqueuer")
    assert (len(await known(JOBS)), await known("SELECT FROM monitor.events")) == (1, [])


async def test_attaching_again_copies_only_what_differs(dsn, dbos, known):
    await dbos("run", "invoices", "a")
    await attach(dsn, "dbos")
    before = await known(JOBS), await known(NODES)
    report = await attach(dsn, "dbos")
    assert (report.jobs, report.node_executions, report.errors) == (0, 0, 0)
    assert (await known(JOBS), await known(NODES)) == before


async def test_jobs_that_end_while_detached_are_told_apart_when_attached_again(dsn, pgqueuer, known):
    await attach(dsn, "pgqueuer")
    for number, entrypoint in enumerate(("succeed", "fail")):
        await pgqueuer("enqueue", entrypoint, json.dumps({"job_id": f"job-{number}", "environment": "prod"}))
    await detach(dsn, "pgqueuer")
    await pgqueuer("work")
    await attach(dsn, "pgqueuer")
    assert [(row["job_id"], row["status"], row["environment"]) for row in await known(JOBS)] == [
        ("job-0", "completed", "prod"),
        ("job-1", "failed", "prod"),
    ]


async def test_jobs_that_ended_while_attached_are_not_copied_again_from_the_log(dsn, pgqueuer, known):
    await attach(dsn, "pgqueuer")
    await pgqueuer("enqueue", "succeed", json.dumps({"job_id": "mine"}))
    await pgqueuer("work")
    await detach(dsn, "pgqueuer")
    report = await attach(dsn, "pgqueuer")
    assert ([row["job_id"] for row in await known(JOBS)], report.jobs) == (["mine"], 0)


async def test_detaching_leaves_no_trace_but_the_history(dsn, pgqueuer, dbos, known, connection):
    await connection.execute("CREATE TABLE somebody_elses (id integer PRIMARY KEY)")
    await pgqueuer("enqueue", "succeed")
    before = await known(CATALOGUE)
    for source in sources.names():
        await attach(dsn, source)
        assert await detach(dsn, source) is True
    assert await known(CATALOGUE) == before
    assert len(await known(JOBS)) == 1


async def test_detaching_what_is_not_attached_is_false(dsn):
    assert await detach(dsn, "dbos") is False


async def test_every_trigger_bears_our_name_and_every_function_lies_with_us(dsn, pgqueuer, dbos, known):
    before = {(row["kind"], row["name"], row["place"]) for row in await known(CATALOGUE)}
    for source in sources.names():
        await attach(dsn, source)
    added = {(row["kind"], row["name"], row["place"]) for row in await known(CATALOGUE)} - before
    assert {kind for kind, _, _ in added} == {"trigger", "function", "source"}
    assert all(name.startswith("monitor_") for kind, name, _ in added if kind == "trigger")
    assert {place for kind, _, place in added if kind == "function"} == {"monitor"}


async def test_pgqueuer_may_have_a_prefix_and_a_schema_of_its_own(dsn, pgqueuer, known, connection):
    await connection.execute("""
        CREATE SCHEMA "Robots";
        ALTER TABLE pgqueuer SET SCHEMA "Robots"; ALTER TABLE "Robots".pgqueuer RENAME TO my_pgqueuer;
        ALTER TABLE pgqueuer_log SET SCHEMA "Robots"; ALTER TABLE "Robots".pgqueuer_log RENAME TO my_pgqueuer_log;
    """)
    await attach(dsn, "pgqueuer")
    await connection.execute(
        """INSERT INTO "Robots".my_pgqueuer (priority, status, entrypoint) VALUES (0, 'queued', 'e')"""
    )
    assert [row["status"] for row in await known(JOBS)] == ["pending"]


async def test_dbos_may_have_a_schema_of_its_own(dsn, dbos, known):
    await dbos("--schema", "Own-Schema", "migrate")
    with pytest.raises(sources.AmbiguousSource, match="Own-Schema, dbos"):
        await attach(dsn, "dbos")
    await attach(dsn, "dbos", place="Own-Schema")
    await dbos("--schema", "Own-Schema", "run", "fails", "w")
    assert [row["error_type"] for row in await known(JOBS)] == ["ValueError"]
    with pytest.raises(sources.AmbiguousSource, match="detach it first"):
        await attach(dsn, "dbos", place="dbos")


async def test_an_unknown_source_is_refused(dsn):
    with pytest.raises(sources.UnknownSource, match="known are pgqueuer, dbos"):
        await attach(dsn, "celery")


async def test_a_source_that_is_not_in_the_database_is_refused_with_what_may_help(dsn):
    with pytest.raises(sources.SourceNotFound, match="no PgQueuer tables in this database"):
        await attach(dsn, "pgqueuer")
    with pytest.raises(sources.SourceNotFound, match="keeps its system tables in another database"):
        await attach(dsn, "dbos")


async def test_a_database_without_our_schema_is_refused(empty_dsn):
    with pytest.raises(sources.NotMigrated):
        await attach(empty_dsn, "pgqueuer")


async def test_an_unknown_version_of_dbos_is_refused_and_nothing_is_left(dsn, dbos, known, connection):
    before = await known(CATALOGUE)
    await connection.execute("UPDATE dbos.dbos_migrations SET version = 126")
    with pytest.raises(sources.UnsupportedVersion, match=r"known is DBOS 3\.4 \(migration 125\).*has migration 126"):
        await attach(dsn, "dbos")
    assert await known(CATALOGUE) == before


async def test_an_unknown_shape_of_pgqueuer_is_refused(dsn, pgqueuer, connection):
    await connection.execute("ALTER TYPE pgqueuer_status ADD VALUE 'paused'")
    with pytest.raises(sources.UnsupportedVersion, match=r"known is PgQueuer 1\.6; .* paused"):
        await attach(dsn, "pgqueuer")


async def test_a_source_that_somebody_holds_is_refused_in_time(dsn, pgqueuer, connection):
    async with connection.transaction():
        await connection.execute("LOCK TABLE pgqueuer")
        with pytest.raises(sources.SourceBusy):
            await attach(dsn, "pgqueuer")


async def test_a_user_who_does_not_own_the_tables_is_refused(dsn, pgqueuer, connection):
    await connection.execute("""
        CREATE ROLE stranger_of_sources; GRANT ALL ON SCHEMA monitor TO stranger_of_sources;
        GRANT ALL ON ALL TABLES IN SCHEMA monitor TO stranger_of_sources; SET ROLE stranger_of_sources;
    """)
    try:
        with pytest.raises(sources.SourceForbidden):
            await attach(connection, "pgqueuer")
    finally:
        await connection.execute("RESET ROLE; DROP OWNED BY stranger_of_sources; DROP ROLE stranger_of_sources")


async def test_no_job_is_lost_that_is_enqueued_and_worked_while_attaching(dsn, pgqueuer, known):
    stop = asyncio.Event()

    async def write() -> int:
        connection = await asyncpg.connect(dsn, timeout=10)
        rows = 0
        while not stop.is_set():
            await connection.execute(
                "WITH made AS (INSERT INTO pgqueuer (priority, status, entrypoint, headers)"
                " VALUES (0, 'queued', 'e', jsonb_build_object('job_id', $1::text)) RETURNING id)"
                " INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)"
                " SELECT id, 'queued', 0, 'e' FROM made",
                f"job-{rows}",
            )
            rows += 1
            if rows % 2:
                await connection.execute(
                    "WITH gone AS (DELETE FROM pgqueuer WHERE headers ->> 'job_id' = $1 RETURNING id)"
                    " INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)"
                    " SELECT id, 'successful', 0, 'e' FROM gone",
                    f"job-{rows - 1}",
                )
        await connection.close(timeout=5)
        return rows

    writers = asyncio.create_task(write())
    for _ in range(5):
        report = await attach(dsn, "pgqueuer")
        assert report.errors == 0
        await asyncio.sleep(0)
    stop.set()
    rows = await asyncio.wait_for(writers, timeout=30)
    counts = {
        row["status"]: row["jobs"]
        for row in await known("SELECT status, count(*) AS jobs FROM monitor.jobs GROUP BY 1")
    }
    assert counts == {"completed": (rows + 1) // 2, "pending": rows // 2}


async def test_no_workflow_is_lost_that_runs_while_attaching(dsn, dbos, known, until, meanwhile):
    runs = [word for number in range(20) for word in ("invoices", f"w{number}")]
    async with meanwhile(dbos("run", *runs)):
        await until("SELECT FROM dbos.workflow_status WHERE status = 'SUCCESS'")
        for _ in range(5):
            assert (await attach(dsn, "dbos")).errors == 0
    assert await known("SELECT job_id, raw_status FROM monitor.jobs ORDER BY job_id") == await known(
        "SELECT workflow_uuid AS job_id, status AS raw_status FROM dbos.workflow_status ORDER BY workflow_uuid"
    )
    assert await known("SELECT job_id, position FROM monitor.node_executions ORDER BY 1, 2") == await known(
        "SELECT workflow_uuid AS job_id, function_id AS position FROM dbos.operation_outputs ORDER BY 1, 2"
    )
    assert await known("SELECT DISTINCT status FROM monitor.node_executions") == [{"status": "completed"}]
    assert await known("SELECT * FROM monitor.source_errors") == []


async def test_what_is_attached_is_renewed_with_the_functions_of_a_newer_program(dsn, pgqueuer, connection):
    await attach(dsn, "pgqueuer")
    trigger = "SELECT tgfoid::regproc::text FROM pg_trigger WHERE tgname LIKE 'monitor_%'"
    function = await connection.fetchval(trigger)
    await connection.execute(f"DROP FUNCTION {function} CASCADE")
    job = await pgqueuer("enqueue", "succeed")
    assert [report.source for report in await renew(dsn)] == ["pgqueuer"]
    assert await connection.fetchval(trigger) == function
    assert (
        await connection.fetchval("SELECT status FROM monitor.jobs WHERE job_id = $1", f"pgqueuer:{job}") == "pending"
    )
