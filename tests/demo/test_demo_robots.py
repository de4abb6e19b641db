"""Robots of the demo fleet as processes: they work while the monitor is away, and really die."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from faulty import struck

from clients.demo_fleet.orders import Order, entrypoint, install, queries
from clients.demo_fleet.portal import Portal
from clients.demo_fleet.workflows import WORKFLOWS, desk

NOBODY = "http://127.0.0.1:9/graphql"
Spawn = Callable[[str], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def robot(empty_dsn: str, portal: Portal) -> AsyncIterator[Spawn]:
    """Starts robots on a database of their own, with a monitor that is away."""
    await install(empty_dsn)
    processes: list[asyncio.subprocess.Process] = []

    async def spawn(robot_id: str) -> asyncio.subprocess.Process:
        arguments = ("--url", NOBODY, "--robot-id", robot_id, "--environment", "production")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "clients.demo_fleet.robot", *arguments),
            env={**os.environ, "CASARE_DEMO_DSN": empty_dsn},
        )
        processes.append(process)
        return process

    yield spawn
    for process in processes:
        if process.returncode is None:
            process.terminate()
    for process in processes:
        await asyncio.wait_for(process.wait(), timeout=10)


@asynccontextmanager
async def database(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def order(dsn: str, workflow_id: str, number: int) -> str:
    """Enqueue an order; its job id."""
    job_id = str(uuid.uuid4())
    payload = Order(job_id, workflow_id, WORKFLOWS[workflow_id].name, "production", number).to_payload()
    async with queries(dsn) as queue:
        await queue.enqueue(entrypoint("production", workflow_id), payload)
    return job_id


async def until(connection: asyncpg.Connection, condition: str, *arguments: object) -> None:
    """Wait until a query says true, for at most 40 seconds."""
    async with asyncio.timeout(40):
        while not await connection.fetchval(condition, *arguments):  # noqa: ASYNC110  # the event is in Postgres
            await asyncio.sleep(0.1)


DRAINED = "SELECT NOT EXISTS (SELECT FROM pgqueuer)"


@pytest.mark.slow
async def test_every_workflow_runs_through_the_nodes_it_declares_while_the_monitor_is_away(
    robot: Spawn, empty_dsn: str
) -> None:
    jobs = {await order(empty_dsn, workflow_id, 4): workflow for workflow_id, workflow in WORKFLOWS.items()}
    await robot("r1")
    async with database(empty_dsn) as connection:
        await until(connection, DRAINED)
        rows = await connection.fetch(
            """SELECT workflow_uuid, w.status, count(*) AS nodes FROM dbos.workflow_status w
               JOIN dbos.operation_outputs USING (workflow_uuid) GROUP BY 1, 2"""
        )
    assert {row["workflow_uuid"]: (row["status"], row["nodes"]) for row in rows} == {
        job_id: ("SUCCESS", workflow.nodes) for job_id, workflow in jobs.items()
    }


@pytest.mark.slow
async def test_a_failed_job_leaves_its_reason_in_the_queue_and_in_the_workflow(robot: Spawn, empty_dsn: str) -> None:
    day = struck("unbalanced_statement")
    job_id = await order(empty_dsn, "ledger-reconciliation", day)
    await robot("r1")
    async with database(empty_dsn) as connection:
        await until(connection, DRAINED)
        queued = await connection.fetchval(
            "SELECT traceback->>'exception_type' FROM pgqueuer_log WHERE status = 'exception'"
        )
        durable = await connection.fetchval(
            "SELECT error::json->>'name' FROM dbos.workflow_output WHERE workflow_uuid = $1", job_id
        )
    assert (queued, durable) == ("ReconciliationMismatch", "ReconciliationMismatch")


@pytest.mark.slow
async def test_the_job_of_a_robot_that_died_goes_on_elsewhere_after_its_last_finished_node(
    robot: Spawn, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(desk.PACE, "1")
    job_id = await order(empty_dsn, "month-end-report", 4)
    nodes = "SELECT function_id, completed_at_epoch_ms FROM dbos.operation_outputs WHERE workflow_uuid = $1"
    async with database(empty_dsn) as connection:
        mortal = await robot("mortal")
        await until(connection, f"SELECT count(*) >= 2 FROM ({nodes}) AS finished", job_id)
        mortal.send_signal(signal.SIGKILL)
        await mortal.wait()
        before = {step: at for step, at in await connection.fetch(nodes, job_id)}
        await connection.execute("UPDATE pgqueuer SET heartbeat = now() - interval '1 minute'")
        await robot("heir")
        await until(connection, DRAINED)
        after = {step: at for step, at in await connection.fetch(nodes, job_id)}
        end = await connection.fetchval(
            "SELECT status || ' on ' || split_part(executor_id, '/', 1) FROM dbos.workflow_status"
        )
    assert end == "SUCCESS on heir"
    assert sorted(after) == [1, 2, 3, 4, 5, 6]
    assert before.items() <= after.items()


@pytest.mark.slow
async def test_a_robot_that_is_stopped_cancels_its_job_and_ends_well(
    robot: Spawn, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(desk.PACE, "1")
    job_id = await order(empty_dsn, "month-end-report", 4)
    async with database(empty_dsn) as connection:
        process = await robot("r1")
        await until(connection, "SELECT EXISTS (SELECT FROM dbos.operation_outputs)")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), timeout=10) == 0
        queued = await connection.fetchval("SELECT status::text FROM pgqueuer_log ORDER BY id DESC LIMIT 1")
        durable = await connection.fetchval("SELECT status FROM dbos.workflow_status WHERE workflow_uuid = $1", job_id)
    assert (queued, durable) == ("canceled", "CANCELLED")
