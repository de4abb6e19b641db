"""One robot, one process: claims jobs from PgQueuer one at a time and runs each as a DBOS workflow.

Who recovers the work of a robot that died? PgQueuer alone: a picked job whose worker is silent for 20 seconds
goes to the next free robot, and DBOS goes on there after the last finished node, because the job's id is the
workflow's. To keep DBOS from recovering the same workflow by itself, each start of a robot is an executor of
its own, and a workflow is resumed only in the queue of the robot that holds its job.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta

from dbos import DBOS, SetWorkflowID, WorkflowHandleAsync
from pgqueuer import Job, QueueManager
from pgqueuer.models import Context

from clients.demo_fleet.activity import activity
from clients.demo_fleet.lifeline import stopped_by_signals, until_over
from clients.demo_fleet.monitor import Reporter
from clients.demo_fleet.orders import DATABASE_LOST, Order, dbos_config, entrypoint, queries
from clients.demo_fleet.workflows import WORKFLOWS
from clients.demo_fleet.workflows.desk import folder_of

_SILENCE = timedelta(seconds=20)
_LOOK_AGAIN = timedelta(seconds=5)
_RESULT_POLL_SECONDS = 1.0


class OneAtATime(QueueManager):
    """A worker that holds a single job: PgQueuer's own limit starts at two."""

    async def fetch_jobs(
        self, batch_size: int, global_concurrency_limit: int | None, heartbeat_timeout: timedelta
    ) -> AsyncGenerator[Job, None]:
        """Claim a job when none is held."""
        async for job in super().fetch_jobs(1, 1, heartbeat_timeout):
            yield job


async def perform(order: Order, home_queue: str) -> None:
    """Run the order's workflow to its end, from where an earlier robot left it."""
    workflow = WORKFLOWS[order.workflow_id]
    with activity.job(order.job_id, workflow.nodes):
        handle = await _start(order, home_queue)
        await handle.get_result(polling_interval_sec=_RESULT_POLL_SECONDS)


async def _start(order: Order, home_queue: str) -> WorkflowHandleAsync[dict[str, object]]:
    known = await DBOS.get_workflow_status_async(order.job_id)
    if known is not None and known.status not in ("SUCCESS", "ERROR"):
        return await DBOS.resume_workflow_async(order.job_id, queue_name=home_queue)
    with SetWorkflowID(order.job_id):
        return await DBOS.start_workflow_async(WORKFLOWS[order.workflow_id].run, order.number)


async def handle(job: Job, context: Context, home_queue: str) -> None:
    """Do a job for the queue; cancelled there or by our own stop, its workflow is cancelled too."""
    order = Order.from_payload(job.payload)
    try:
        with context.cancellation:
            await perform(order, home_queue)
        if context.cancellation.cancel_called:
            await DBOS.cancel_workflow_async(order.job_id)
    finally:
        if (papers := folder_of(order.job_id)).exists():
            await asyncio.to_thread(shutil.rmtree, papers)


async def run(dsn: str, url: str, robot_id: str, environment: str) -> None:
    """Work until told to stop, or until the supervisor is gone."""
    stop, ended = stopped_by_signals(), asyncio.Event()
    DBOS(config=dbos_config(dsn, f"{robot_id}/{os.getpid()}"))
    logging.getLogger("dbos").addFilter(_of_itself)
    DBOS.listen_queues([robot_id])
    try:
        async with queries(dsn) as queue:
            await asyncio.to_thread(DBOS.launch)
            await DBOS.register_queue_async(robot_id, on_conflict="always_update")
            worker = OneAtATime(queue)
            worker.min_dequeue_poll_interval = timedelta(seconds=1)
            for workflow_id in WORKFLOWS:

                @worker.entrypoint(entrypoint(environment, workflow_id))
                async def claimed(job: Job, context: Context) -> None:
                    await handle(job, context, robot_id)

            reporter = Reporter(url, robot_id, environment, list(WORKFLOWS), str(worker.queue_manager_id))
            async with asyncio.TaskGroup() as group:
                group.create_task(reporter.run(ended))
                group.create_task(_lead_out(worker, stop))
                await worker.run(
                    dequeue_timeout=_LOOK_AGAIN,
                    batch_size=1,
                    max_concurrent_tasks=2,
                    heartbeat_timeout=_SILENCE,
                    shutdown_on_listener_failure=True,
                )
                ended.set()
                stop.set()
    finally:
        await asyncio.to_thread(DBOS.destroy)


def _of_itself(record: logging.LogRecord) -> bool:
    """Whether DBOS speaks of itself: that a job failed is told by the monitor, not by a log."""
    return not record.getMessage().startswith("Exception encountered in")


async def _lead_out(worker: QueueManager, stop: asyncio.Event) -> None:
    """End the work when it is over, with what is in hand."""
    await until_over(stop)
    for context in worker.job_context.values():
        context.cancellation.cancel()
    worker.shutdown.set()


def main() -> None:
    """Run one robot."""
    parser = argparse.ArgumentParser(prog="python -m clients.demo_fleet.robot", description=main.__doc__)
    parser.add_argument("--url", required=True, help="the monitor's GraphQL endpoint")
    parser.add_argument("--robot-id", required=True)
    parser.add_argument("--environment", required=True)
    arguments = parser.parse_args()
    dsn = os.environ["CASARE_DEMO_DSN"]  # not an argument: those can be read by everybody on the machine
    try:
        asyncio.run(run(dsn, arguments.url, arguments.robot_id, arguments.environment))
    except* DATABASE_LOST as lost:
        sys.exit(f"{arguments.robot_id} lost the database: {lost.exceptions[0]}")


if __name__ == "__main__":
    main()
