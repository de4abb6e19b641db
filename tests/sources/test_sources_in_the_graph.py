"""What PgQueuer and DBOS really do, as it is read through the graph."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from serving import serving

from datasources.sources import attach

JOB = """
query ($id: ID!) {
  job(jobId: $id) {
    status rawStatus source workflowId workflowName environment priority errorType errorMessage retryCount
    createdAt claimedAt completedAt durationMs queueWaitMs
    robot { robotId }
    nodeExecutions { position nodeId nodeType status success startedAt completedAt durationMs errorType errorMessage }
  }
}
"""


async def _ask(dsn: str, job_id: str) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        with serving(dsn) as graph:
            return graph.ask(JOB, id=job_id).data["job"]

    return await asyncio.to_thread(ask)


@pytest.mark.slow
async def test_a_pgqueuer_job_that_runs_a_dbos_workflow_is_one_job_with_its_steps(dsn, pgqueuer, dbos):
    await attach(dsn, "pgqueuer")
    await attach(dsn, "dbos")
    job_id = str(uuid4())
    named = {"job_id": job_id, "workflow_id": "invoices", "workflow_name": "Invoices", "environment": "production"}
    await pgqueuer("enqueue", "workflow", json.dumps({"job_id": job_id, "workflow": "invoices"}), json.dumps(named))
    await pgqueuer("work", "--dbos")
    job = await _ask(dsn, job_id)
    assert {
        key: job[key] for key in ("status", "rawStatus", "source", "workflowId", "workflowName", "environment")
    } == {
        "status": "COMPLETED",
        "rawStatus": "successful",
        "source": "pgqueuer",
        "workflowId": "invoices",
        "workflowName": "Invoices",
        "environment": "production",
    }
    assert job["priority"] == 3
    assert job["createdAt"] <= job["claimedAt"] <= job["completedAt"]
    assert job["durationMs"] > 0
    assert job["queueWaitMs"] >= 0
    steps = job["nodeExecutions"]
    assert [step["nodeId"] for step in steps] == ["parse", "parse", "parse", "child", "DBOS.getResult", "DBOS.sleep"]
    assert [step["nodeType"] for step in steps[:4]] == ["step", "step", "step", "child_workflow"]
    assert all(step["success"] for step in steps)
    assert steps[-1]["durationMs"] >= 50
    assert all(job["claimedAt"] <= step["startedAt"] <= step["completedAt"] <= job["completedAt"] for step in steps)


@pytest.mark.slow
async def test_a_job_tells_at_which_step_it_failed_and_why(dsn, dbos):
    await attach(dsn, "dbos")
    job_id = str(uuid4())
    await dbos("--portable", "run", "fails", job_id)
    job = await _ask(dsn, job_id)
    assert (job["status"], job["rawStatus"], job["source"]) == ("FAILED", "ERROR", "dbos")
    assert (job["errorType"], job["errorMessage"]) == ("ValueError", "no such invoice")
    parsed, refused = job["nodeExecutions"]
    assert (parsed["nodeId"], parsed["success"]) == ("parse", True)
    assert (refused["nodeId"], refused["status"], refused["success"]) == ("refuse", "FAILED", False)
    assert (refused["errorType"], refused["errorMessage"]) == ("ValueError", "no such invoice")


@pytest.mark.slow
async def test_what_was_there_before_attaching_is_answered_as_well(dsn, pgqueuer):
    job = await pgqueuer("enqueue", "fail")
    await pgqueuer("work")
    await attach(dsn, "pgqueuer")
    found = await _ask(dsn, f"pgqueuer:{job}")
    assert (found["status"], found["rawStatus"], found["workflowId"]) == ("FAILED", "exception", "fail")
    assert found["errorType"]
    assert found["nodeExecutions"] == []


@pytest.mark.slow
async def test_a_job_that_is_tried_again_and_one_that_is_cancelled_tell_so(dsn, pgqueuer):
    await attach(dsn, "pgqueuer")
    tried = await pgqueuer("enqueue", "retry_once")
    cancelled = await pgqueuer("enqueue", "succeed")
    await pgqueuer("cancel", cancelled)
    await pgqueuer("work")
    again = await _ask(dsn, f"pgqueuer:{tried}")
    assert (again["status"], again["retryCount"], again["errorType"]) == ("COMPLETED", 1, None)
    stopped = await _ask(dsn, f"pgqueuer:{cancelled}")
    assert (stopped["status"], stopped["rawStatus"], stopped["claimedAt"]) == ("CANCELLED", "canceled", None)
