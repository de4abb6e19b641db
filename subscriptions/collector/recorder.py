"""Recording what happens, under the documents' names: each call is a report, so that every worker hears of it.

What is refused is logged, kept with the other refusals and returned; it raises nothing, since whoever records in
passing has other things to do. That the database cannot be reached is raised. A job that nobody has told of belongs to
the workflow `unknown`, a robot runs on the host `unknown`, until somebody who knows tells.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from datasources.jobs import jobs_by_id
from datasources.postgres import Database
from datasources.reports.executions import NodeReport, next_position, report_nodes
from datasources.reports.healing import HealingReport, report_healing
from datasources.reports.jobs import JobReport, report_job
from datasources.reports.refusals import Reported
from datasources.reports.robots import Registration, register_robot, registered, unregister_robot
from datasources.statuses import JobStatus, NodeStatus

_log = logging.getLogger(__name__)

UNKNOWN = "unknown"


def heeded(reported: Reported) -> Reported:
    """What was reported, with a word in the log on what was refused."""
    for refusal in reported.refused:
        _log.warning("refused (%s): %s", refusal.code.value, refusal.message)
    return reported


class Recorder:
    """Records jobs, robots, steps and healing."""

    def __init__(self, database: Database) -> None:
        self.__database = database

    async def record_job_enqueue(
        self,
        job_id: str,
        workflow_name: str,
        priority: int = 0,
        *,
        workflow_id: str | None = None,
        environment: str | None = None,
    ) -> Reported:
        """A job waits; a workflow that has no id is known by its name."""
        report = JobReport(
            job_id,
            workflow_id or workflow_name,
            JobStatus.PENDING,
            workflow_name=workflow_name,
            environment=environment,
            priority=priority,
        )
        return heeded(await report_job(self.__database, report, datetime.now(UTC)))

    async def record_job_start(self, job_id: str, robot_id: str | None = None) -> Reported:
        """A robot runs the job."""
        return await self._job(job_id, JobStatus.CLAIMED, robot_id=robot_id)

    async def record_job_complete(
        self,
        job_id: str,
        success: bool,
        duration_seconds: float | None = None,
        *,
        error_message: str | None = None,
        error_type: str | None = None,
    ) -> Reported:
        """The job has ended, after so long a run; without one, it began when it was recorded to start."""
        now = datetime.now(UTC)
        return await self._job(
            job_id,
            JobStatus.COMPLETED if success else JobStatus.FAILED,
            claimed_at=None if duration_seconds is None else now - timedelta(seconds=duration_seconds),
            completed_at=now,
            error_message=error_message,
            error_type=error_type,
        )

    async def record_job_retry(self, job_id: str, attempt_number: int, reason: str | None = None) -> Reported:
        """The job waits again: this is its so-many-th try after the first."""
        return await self._job(job_id, JobStatus.PENDING, retry_count=attempt_number, error_message=reason)

    async def record_job_cancel(self, job_id: str, reason: str = "user_requested") -> Reported:
        """Nobody wants the job any more."""
        return await self._job(job_id, JobStatus.CANCELLED, error_message=reason)

    async def register_robot(
        self,
        robot_id: str,
        hostname: str | None = None,
        environment: str | None = None,
        capabilities: Sequence[str] | None = None,
    ) -> Reported:
        """A robot presents itself; of one that is known, what is left out stays."""
        known = await registered(self.__database, robot_id) or Registration(robot_id, hostname=UNKNOWN)
        robot = Registration(
            robot_id,
            hostname=known.hostname if hostname is None else hostname,
            environment=known.environment if environment is None else environment,
            capabilities=known.capabilities if capabilities is None else capabilities,
        )
        return heeded(await register_robot(self.__database, robot, datetime.now(UTC)))

    async def unregister_robot(self, robot_id: str) -> Reported:
        """A robot is gone for good: it goes offline, and is no robot any more. Its jobs stay."""
        return heeded(await unregister_robot(self.__database, robot_id, datetime.now(UTC)))

    @asynccontextmanager
    async def track_node_execution(
        self, node_type: str, node_id: str, *, job_id: str, position: int | None = None
    ) -> AsyncIterator[None]:
        """A step of the job runs for as long as the block lasts, and fails with its exception.

        Where no position is named it comes behind the steps that are known: steps that run at once are to name theirs.
        """
        if position is None:
            position = await next_position(self.__database, job_id)
        started_at, error = datetime.now(UTC), None
        status = NodeStatus.CANCELLED
        await self._node(job_id, NodeReport(position, node_id, node_type, NodeStatus.RUNNING, started_at=started_at))
        try:
            yield
            status = NodeStatus.COMPLETED
        except Exception as raised:
            status, error = NodeStatus.FAILED, raised
            raise
        finally:
            report = NodeReport(
                position,
                node_id,
                node_type,
                status,
                completed_at=datetime.now(UTC),
                error_type=None if error is None else type(error).__name__,
                error_message=None if error is None else str(error),
            )
            await self._node(job_id, report)

    async def record_healing_attempt(
        self, selector: str, healing_strategy: str, success: bool, *, job_id: str, node_id: str | None = None
    ) -> Reported:
        """A step of the job tried to heal itself; where its node is not named, it is known by the selector."""
        report = HealingReport(job_id, node_id or selector, healing_strategy, success)
        return heeded(await report_healing(self.__database, report, datetime.now(UTC)))

    async def _node(self, job_id: str, report: NodeReport) -> None:
        heeded(await report_nodes(self.__database, job_id, [report], datetime.now(UTC)))

    async def _job(
        self,
        job_id: str,
        status: JobStatus,
        *,
        robot_id: str | None = None,
        claimed_at: datetime | None = None,
        completed_at: datetime | None = None,
        error_message: str | None = None,
        error_type: str | None = None,
        retry_count: int | None = None,
    ) -> Reported:
        known = (await jobs_by_id(self.__database, [job_id])).get(job_id)
        report = JobReport(
            job_id,
            UNKNOWN if known is None else known.workflow_id,
            status,
            robot_id=robot_id,
            claimed_at=claimed_at,
            completed_at=completed_at,
            error_message=error_message,
            error_type=error_type,
            retry_count=retry_count,
        )
        return heeded(await report_job(self.__database, report, datetime.now(UTC)))
