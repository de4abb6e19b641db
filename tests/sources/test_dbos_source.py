"""DBOS workflows, run by the real library in a process of its own, alone and inside PgQueuer's jobs."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datasources.sources import attach

pytestmark = pytest.mark.slow  # independent programs that start, work and end

NODES = "SELECT * FROM monitor.node_executions WHERE job_id = $1 ORDER BY position"
WORDS = {"PENDING", "SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED", "ENQUEUED", "DELAYED"}


@pytest.fixture(autouse=True)
async def attached(dsn, dbos):
    await attach(dsn, "dbos")


async def job(known, job_id):
    [row] = await known("SELECT * FROM monitor.jobs WHERE job_id = $1", job_id)
    return row


async def test_a_workflow_is_a_job_with_its_true_times(dbos, known):
    await dbos("run", "invoices", "w")
    row = await job(known, "w")
    [status] = await known("SELECT created_at, completed_at FROM dbos.workflow_status WHERE workflow_uuid = 'w'")
    assert (row["source"], row["status"], row["raw_status"]) == ("dbos", "completed", "SUCCESS")
    assert row["workflow_id"] == row["workflow_name"] == "invoices"
    assert row["created_at"].timestamp() * 1000 == pytest.approx(status["created_at"], abs=0.01)
    assert row["duration_ms"] == status["completed_at"] - status["created_at"]
    assert row["claimed_at"] == row["created_at"]


async def test_its_steps_are_nodes_in_their_order(dbos, known):
    await dbos("run", "invoices", "w")
    nodes = await known(NODES, "w")
    assert [(node["position"], node["node_id"], node["node_type"]) for node in nodes] == [
        (1, "parse", "step"),
        (2, "parse", "step"),
        (3, "parse", "step"),
        (4, "child", "child_workflow"),
        (5, "DBOS.getResult", "get_result"),
        (6, "DBOS.sleep", "sleep"),
    ]
    assert {node["status"] for node in nodes} == {"completed"}


async def test_steps_that_run_side_by_side_overlap(dbos, known):
    await dbos("run", "invoices", "w")
    _, left, right, *_ = await known(NODES, "w")
    assert max(left["started_at"], right["started_at"]) < min(left["completed_at"], right["completed_at"])


async def test_a_step_lasts_as_long_as_dbos_says(dbos, known):
    await dbos("run", "invoices", "w")
    steps = await known("SELECT * FROM dbos.operation_outputs WHERE workflow_uuid = 'w' AND function_id <> 4")
    durations = {node["position"]: node["duration_ms"] for node in await known(NODES, "w")}
    for step in steps:
        assert durations[step["function_id"]] == step["completed_at_epoch_ms"] - step["started_at_epoch_ms"]


async def test_a_child_workflow_is_a_job_and_a_node_that_lasts_as_long_as_it(dbos, known):
    await dbos("run", "invoices", "w")
    child = await job(known, "w-4")
    node = (await known(NODES, "w"))[3]
    assert (child["workflow_id"], child["status"]) == ("child", "completed")
    assert node["completed_at"] == child["completed_at"]
    assert len(await known(NODES, "w-4")) == 1


async def test_a_workflow_fails_with_the_error_it_wrote_portably(dbos, known):
    await dbos("run", "fails", "w")
    row = await job(known, "w")
    assert (row["status"], row["raw_status"]) == ("failed", "ERROR")
    assert (row["error_type"], row["error_message"]) == ("ValueError", "no such invoice")
    assert [node["status"] for node in await known(NODES, "w")] == ["completed", "failed"]


async def test_an_error_in_a_pickle_is_counted_but_not_read(dbos, known):
    await dbos("run", "fails_in_pickle", "w")
    row = await job(known, "w")
    assert (row["status"], row["error_type"]) == ("failed", "OpaqueError")
    assert "py_pickle" in row["error_message"]


async def test_a_steps_error_is_read_where_the_serializer_is_portable(dbos, known):
    await dbos("--portable", "run", "fails", "w")
    _, step = await known(NODES, "w")
    assert (step["error_type"], step["error_message"]) == ("ValueError", "no such invoice")


async def test_a_child_that_fails_fails_its_node_but_not_a_parent_that_copes(dbos, known):
    await dbos("run", "child_fails", "w")
    node, *_ = await known(NODES, "w")
    assert (await job(known, "w"))["status"] == "completed"
    assert (node["node_type"], node["status"], node["error_type"]) == ("child_workflow", "failed", "ValueError")


async def test_a_sleep_is_running_until_the_next_step(dbos, known):
    await dbos("run", "sleeps", "w")
    slept = await known("SELECT status FROM monitor.events WHERE kind = 'node' AND position = 2 ORDER BY seq")
    assert [event["status"] for event in slept] == ["running", "completed"]
    assert (await known(NODES, "w"))[1]["duration_ms"] == pytest.approx(2000, abs=20)


async def test_a_sleep_is_running_until_the_workflow_is_cancelled(dbos, known, until, meanwhile):
    async with meanwhile(dbos("run", "sleeps", "w")):
        await until("SELECT FROM monitor.node_executions WHERE node_type = 'sleep' AND status = 'running'")
        await dbos("cancel", "w")
    row = await job(known, "w")
    assert (row["status"], row["raw_status"]) == ("cancelled", "CANCELLED")
    assert row["created_at"] == row["claimed_at"] < row["completed_at"]
    assert [node["status"] for node in await known(NODES, "w")] == ["completed", "cancelled"]


@pytest.mark.parametrize(("delay", "word"), [((), "ENQUEUED"), (("3600",), "DELAYED")])
async def test_a_workflow_in_a_queue_of_dbos_waits_until_it_is_cancelled(dbos, known, delay, word):
    await dbos("enqueue", "invoices", "w", *delay)
    row = await job(known, "w")
    assert (row["status"], row["raw_status"], row["claimed_at"]) == ("pending", word, None)
    assert row["environment"] == "prod"
    await dbos("cancel", "w")
    row = await job(known, "w")
    assert (row["status"], row["claimed_at"]) == ("cancelled", None)


async def test_a_workflow_that_dbos_gave_up_failed(dbos, known, connection):
    await dbos("enqueue", "invoices", "w")
    await connection.execute(
        "UPDATE dbos.workflow_status SET status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', recovery_attempts = 5"
    )
    row = await job(known, "w")
    assert (row["status"], row["error_type"], row["retry_count"]) == ("failed", "MaxRecoveryAttemptsExceededError", 4)


async def test_a_waiting_workflow_that_dbos_deletes_is_cancelled(dbos, known):
    await dbos("enqueue", "invoices", "w")
    await dbos("delete", "w")
    row = await job(known, "w")
    assert (row["status"], row["raw_status"]) == ("cancelled", "DELETED")


async def test_a_workflow_that_is_rewound_runs_again_with_new_steps(dbos, known):
    await dbos("run", "fails_once", "w")
    assert (await job(known, "w"))["status"] == "failed"
    await dbos("rewind", "w")
    row = await job(known, "w")
    assert (row["status"], row["error_type"]) == ("completed", None)
    assert [node["node_id"] for node in await known(NODES, "w")] == ["parse", "DBOS.recv", "DBOS.sleep", "parse"]
    assert [
        event["status"]
        for event in await known("SELECT status FROM monitor.events WHERE kind = 'job' AND job_id = 'w' ORDER BY seq")
    ] == ["claimed", "failed", "pending", "claimed", "completed"]


async def test_a_fork_is_a_job_of_its_own_with_the_steps_it_was_given(dbos, known):
    await dbos("run", "invoices", "w")
    await dbos("fork", "w")
    [fork] = await known("SELECT * FROM monitor.jobs WHERE workflow_id = 'invoices' AND job_id <> 'w'")
    assert (fork["status"], len(await known(NODES, fork["job_id"]))) == ("completed", 6)


async def test_a_workflow_that_dbos_deletes_stays_known(dbos, known):
    await dbos("run", "fails", "w")
    await dbos("delete", "w")
    assert (await job(known, "w"))["status"] == "failed"
    assert len(await known(NODES, "w")) == 2


async def test_a_workflow_inside_a_queues_job_is_one_job(dsn, pgqueuer, known):
    await attach(dsn, "pgqueuer")
    await pgqueuer("enqueue", "workflow", json.dumps({"job_id": "j", "workflow": "invoices"}))
    await pgqueuer("--dbos", "work")
    row = await job(known, "j")
    assert (row["source"], row["status"], row["raw_status"]) == ("pgqueuer", "completed", "successful")
    assert row["workflow_id"] == "workflow"
    assert len(await known(NODES, "j")) == 6
    assert row["claimed_at"] <= (await known(NODES, "j"))[0]["started_at"]
    assert [
        event["status"]
        for event in await known("SELECT status FROM monitor.events WHERE kind = 'job' AND job_id = 'j' ORDER BY seq")
    ] == ["pending", "claimed", "completed"]


async def test_the_queue_tells_the_error_of_a_joined_job(dsn, pgqueuer, known):
    await attach(dsn, "pgqueuer")
    await pgqueuer("enqueue", "workflow", json.dumps({"job_id": "j", "workflow": "fails_in_pickle"}))
    await pgqueuer("--dbos", "work")
    row = await job(known, "j")
    assert (row["status"], row["error_type"]) == ("failed", "ValueError")


async def test_a_queue_that_comes_second_takes_the_job_over(dsn, dbos, pgqueuer, known):
    await dbos("run", "invoices", "j")
    await attach(dsn, "pgqueuer")
    await pgqueuer("enqueue", "succeed", json.dumps({"job_id": "j"}))
    row = await job(known, "j")
    assert (row["source"], row["status"], row["completed_at"]) == ("pgqueuer", "pending", None)


FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


@FIXTURE
@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.sampled_from(["portable_json", None])
)
@example("[" * 100_000, "portable_json")
@example('{"name": {"a": 1}, "message": null}', "portable_json")
@example("\\u0000", "js_superjson")
async def test_no_error_text_is_too_odd_to_read(connection, text, serialization):
    row = await connection.fetchrow("SELECT * FROM monitor.dbos_error($1, $2)", text, serialization)
    assert row["error_type"]


@FIXTURE
@given(st.sampled_from(sorted(WORDS)) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
async def test_every_status_word_of_dbos_and_no_other_has_a_status_of_ours(connection, word):
    status = await connection.fetchval("SELECT monitor.dbos_status($1)", word)
    assert (status in {"pending", "claimed", "completed", "failed", "cancelled"}) == (word in WORDS)
