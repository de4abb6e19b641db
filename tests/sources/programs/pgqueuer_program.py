"""A program that uses PgQueuer as its users do: installs, enqueues, cancels, works the queue until empty."""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import timedelta
from uuid import UUID

import asyncpg
from dbos import DBOS, SetWorkflowID
from pgqueuer import AsyncpgDriver, Job, Queries, QueueManager
from pgqueuer.core.executors import DatabaseRetryEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.domain.types import JobId, QueueExecutionMode, QueueManagerId

ACTIONS = ("install", "upgrade", "uninstall", "enqueue", "cancel", "requeue", "clear", "work")


def retrying(parameters: EntrypointExecutorParameters) -> DatabaseRetryEntrypointExecutor:
    return DatabaseRetryEntrypointExecutor(parameters, max_attempts=2, initial_delay=timedelta(seconds=0.01))


def worker(queries: Queries) -> QueueManager:
    """A queue manager with one entrypoint for each way a job can go."""
    manager = QueueManager(queries)

    @manager.entrypoint("succeed")
    async def succeed(job: Job) -> None: ...

    @manager.entrypoint("fail")
    async def fail(job: Job) -> None:
        raise ValueError("no such invoice")

    @manager.entrypoint("held", on_failure="hold")
    async def held(job: Job) -> None:
        raise KeyError("kept for a look")

    @manager.entrypoint("always_retry", executor_factory=retrying)
    async def always_retry(job: Job) -> None:
        raise ConnectionError("still down")

    @manager.entrypoint("retry_once", executor_factory=retrying)
    async def retry_once(job: Job) -> None:
        if job.attempts == 0:
            raise ConnectionError("down")

    @manager.entrypoint("wait")
    async def wait(job: Job) -> None:
        with manager.get_context(job.id).cancellation:
            await asyncio.sleep(60)

    @manager.entrypoint("workflow")
    async def workflow(job: Job) -> None:
        import workflows

        details = json.loads(job.payload or b"{}")
        with SetWorkflowID(details["job_id"]):
            await workflows.WORKFLOWS[details["workflow"]]()

    return manager


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dsn")
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("arguments", nargs="*", help="ENTRYPOINT [PAYLOAD [HEADERS]], or an id")
    parser.add_argument("--manager", type=UUID)
    parser.add_argument("--dbos", action="store_true")
    given = parser.parse_args()
    connection = await asyncpg.connect(given.dsn)
    queries = Queries(AsyncpgDriver(connection))
    match given.action, given.arguments:
        case "install", []:
            await queries.install()
        case "upgrade", []:
            await queries.upgrade()
        case "uninstall", []:
            await queries.uninstall()
        case "enqueue", [entrypoint, *rest]:
            payload = rest[0].encode() if rest else None
            headers = json.loads(rest[1]) if len(rest) > 1 else None
            [job_id] = await queries.enqueue(entrypoint, payload, priority=3, headers=headers)
            print(job_id)
        case "cancel", [job_id]:
            await queries.mark_job_as_cancelled([JobId(int(job_id))])
        case "requeue", [job_id]:
            await queries.requeue_jobs([JobId(int(job_id))])
        case "clear", []:
            await queries.clear_queue()
        case "work", []:
            manager = worker(queries)
            if given.manager:
                manager.queue_manager_id = QueueManagerId(given.manager)
            if given.dbos:
                import workflows

                workflows.launch(given.dsn)
            await manager.run(dequeue_timeout=timedelta(seconds=0.2), mode=QueueExecutionMode.drain, batch_size=4)
            if given.dbos:
                DBOS.destroy(workflow_completion_timeout_sec=0)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
