"""PgQueuer's jobs, worked by the real library in a process of its own."""

import json
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datasources.sources import attach

pytestmark = pytest.mark.slow

LIFE = "SELECT status, previous_status FROM monitor.events WHERE job_id = $1 ORDER BY seq"
WORDS = {"queued", "picked", "successful", "exception", "failed", "canceled", "deleted"}


@pytest.fixture(autouse=True)
async def attached(dsn, pgqueuer):
    await attach(dsn, "pgqueuer")


async def job(known, job_id):
    [row] = await known("SELECT * FROM monitor.jobs WHERE job_id = $1", job_id)
    return row


async def test_a_job_waits_runs_and_completes_with_its_true_times(pgqueuer, known):
    await pgqueuer("enqueue", "succeed")
    await pgqueuer("work")
    row = await job(known, "pgqueuer:1")
    log = {r["status"]: r["created"] for r in await known("SELECT status::text, created FROM pgqueuer_log")}
    assert (row["status"], row["raw_status"], row["priority"]) == ("completed", "successful", 3)
    assert row["workflow_id"] == row["workflow_name"] == "succeed"
    assert (row["created_at"], row["claimed_at"], row["completed_at"]) == (
        log["queued"],
        log["picked"],
        log["successful"],
    )


async def test_the_ledger_tells_a_jobs_whole_life(pgqueuer, known):
    await pgqueuer("enqueue", "retry_once")
    await pgqueuer("work")
    assert [event["status"] for event in await known(LIFE, "pgqueuer:1")] == [
        "pending",
        "claimed",
        "pending",
        "claimed",
        "completed",
    ]


async def test_a_job_that_raises_fails_with_its_error(pgqueuer, known):
    await pgqueuer("enqueue", "fail")
    await pgqueuer("work")
    row = await job(known, "pgqueuer:1")
    assert (row["status"], row["raw_status"]) == ("failed", "exception")
    assert (row["error_type"], row["error_message"]) == ("ValueError", "no such invoice")


async def test_a_job_that_is_retried_counts_it_and_forgets_the_error(pgqueuer, known):
    await pgqueuer("enqueue", "retry_once")
    await pgqueuer("work")
    row = await job(known, "pgqueuer:1")
    assert (row["status"], row["retry_count"], row["error_type"]) == ("completed", 1, None)


async def test_a_job_that_is_out_of_retries_fails_with_the_last_error(pgqueuer, known):
    await pgqueuer("enqueue", "always_retry")
    await pgqueuer("work")
    row = await job(known, "pgqueuer:1")
    assert (row["status"], row["retry_count"], row["error_type"]) == ("failed", 2, "ConnectionError")


async def test_a_failed_job_that_is_held_keeps_its_times_and_can_run_again(pgqueuer, known):
    await pgqueuer("enqueue", "held")
    await pgqueuer("work")
    row = await job(known, "pgqueuer:1")
    assert (row["status"], row["raw_status"], row["error_type"]) == ("failed", "failed", "KeyError")
    assert row["created_at"] < row["claimed_at"] < row["completed_at"]
    await pgqueuer("requeue", "1")
    row = await job(known, "pgqueuer:1")
    assert (row["status"], row["claimed_at"], row["completed_at"], row["error_type"]) == ("pending",) + (None,) * 3


async def test_a_held_job_stays_failed_when_it_is_cleared_away(pgqueuer, known):
    await pgqueuer("enqueue", "held")
    await pgqueuer("work")
    await pgqueuer("cancel", "1")
    assert (await job(known, "pgqueuer:1"))["status"] == "failed"


async def test_a_waiting_job_is_cancelled(pgqueuer, known):
    await pgqueuer("enqueue", "succeed")
    await pgqueuer("cancel", "1")
    row = await job(known, "pgqueuer:1")
    assert (row["status"], row["raw_status"], row["claimed_at"]) == ("cancelled", "canceled", None)
    assert row["completed_at"] is not None


async def test_a_running_job_is_cancelled(pgqueuer, known, until, meanwhile):
    await pgqueuer("enqueue", "wait")
    async with meanwhile(pgqueuer("work")):
        await until("SELECT FROM monitor.jobs WHERE status = 'claimed'")
        await pgqueuer("cancel", "1")
    row = await job(known, "pgqueuer:1")
    assert (row["status"], row["raw_status"]) == ("cancelled", "canceled")
    assert row["claimed_at"] < row["completed_at"]


async def test_clearing_the_queue_cancels_what_was_in_it(pgqueuer, known):
    await pgqueuer("enqueue", "succeed")
    await pgqueuer("clear")
    row = await job(known, "pgqueuer:1")
    assert (row["status"], row["raw_status"]) == ("cancelled", "deleted")


async def test_a_job_names_itself_in_its_headers(pgqueuer, known):
    said = {"job_id": "a", "workflow_id": "w", "workflow_name": "Invoices", "environment": "prod"}
    await pgqueuer("enqueue", "succeed", "not json", json.dumps(said))
    row = await job(known, "a")
    assert {key: row[key] for key in said} == said


async def test_a_job_names_itself_in_its_payload_where_the_headers_do_not(pgqueuer, known):
    payload = {"job_id": "b", "workflow_id": "w", "environment": "test", "amount": 3}
    await pgqueuer("enqueue", "succeed", json.dumps(payload), json.dumps({"job_id": "a"}))
    row = await job(known, "a")
    assert (row["workflow_id"], row["workflow_name"], row["environment"]) == ("w", "succeed", "test")


async def test_the_robot_is_the_one_with_that_queue_manager(pgqueuer, known, connection, until, meanwhile):
    manager = str(uuid4())
    await connection.execute(
        "INSERT INTO monitor.robots (robot_id, hostname, queue_manager_id) VALUES ('r1', 'host', $1)", manager
    )
    await pgqueuer("enqueue", "wait")
    async with meanwhile(pgqueuer("--manager", manager, "work")):
        await until("SELECT FROM monitor.jobs WHERE status = 'claimed' AND robot_id = 'r1'")
        await pgqueuer("cancel", "1")
    assert (await job(known, "pgqueuer:1"))["robot_id"] == "r1"


async def test_a_robot_that_names_its_queue_manager_late_has_its_job_all_the_same(
    pgqueuer, known, connection, until, meanwhile
):
    manager = str(uuid4())
    await connection.execute("INSERT INTO monitor.robots (robot_id, hostname) VALUES ('r1', 'host')")
    await pgqueuer("enqueue", "wait")
    async with meanwhile(pgqueuer("--manager", manager, "work")):
        await until("SELECT FROM monitor.jobs WHERE status = 'claimed' AND robot_id IS NULL")
        await connection.execute("UPDATE monitor.robots SET queue_manager_id = $1", manager)
        assert (await job(known, "pgqueuer:1"))["robot_id"] == "r1"
        await pgqueuer("cancel", "1")


async def test_a_robot_known_by_its_heartbeat_is_not_forgotten(pgqueuer, known, connection, until, meanwhile):
    await pgqueuer("enqueue", "wait")
    async with meanwhile(pgqueuer("work")):
        await until("SELECT FROM monitor.jobs WHERE status = 'claimed'")
        await connection.execute("UPDATE monitor.jobs SET robot_id = 'r2'")
        await pgqueuer("cancel", "1")
    assert (await job(known, "pgqueuer:1"))["robot_id"] == "r2"


async def test_a_job_whose_worker_died_passes_to_the_robot_that_picks_it_up(known, connection):
    managers = [str(uuid4()), str(uuid4())]
    await connection.executemany(
        "INSERT INTO monitor.robots (robot_id, hostname, queue_manager_id) VALUES ($1, 'host', $2)",
        [("r1", managers[0]), ("r2", managers[1])],
    )
    await connection.execute("INSERT INTO pgqueuer (priority, status, entrypoint) VALUES (0, 'queued', 'e')")
    for manager in managers:
        await connection.execute(
            "UPDATE pgqueuer SET status = 'picked', updated = clock_timestamp(), queue_manager_id = $1::uuid", manager
        )
    row = await job(known, "pgqueuer:1")
    [picked] = await known("SELECT updated FROM pgqueuer")
    assert (row["robot_id"], row["claimed_at"]) == ("r2", picked["updated"])


async def test_pgqueuer_can_upgrade_and_remove_its_tables_while_attached(pgqueuer, connection):
    await pgqueuer("enqueue", "succeed")
    await pgqueuer("upgrade")
    await pgqueuer("uninstall")
    assert await connection.fetchval("SELECT to_regclass('pgqueuer')") is None
    assert await connection.fetchval("SELECT count(*) FROM monitor.source_errors") == 0


FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


@FIXTURE
@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
@example(b'{"job_id": "\\u0000"}')
@example(b"[" * 100_000)
@example(b"\xff\xfe")
@example(b'{"job_id": {"a": 1}, "workflow_id": null}')
async def test_no_payload_is_an_error(connection, payload):
    details = await connection.fetchval("SELECT monitor.pgqueuer_details(NULL, $1)", payload)
    assert isinstance(json.loads(details), dict)


@FIXTURE
@given(st.sampled_from(sorted(WORDS)) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
async def test_every_status_word_of_pgqueuer_and_no_other_has_a_status_of_ours(connection, word):
    status = await connection.fetchval("SELECT monitor.pgqueuer_status($1)", word)
    assert (status in {"pending", "claimed", "completed", "failed", "cancelled"}) == (word in WORDS)
