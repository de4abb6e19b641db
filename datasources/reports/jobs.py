"""Jobs as their robots tell them.

Within one try a job only moves forward: it waits, a robot claims it, it ends. What goes back, from claimed or failed,
is a new try and says so with a higher `retry_count`; a report of an earlier try comes too late. A claimed job is its
robot's: another may not tell of it, but may begin a new try.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, assert_never

import orjson

from datasources.postgres import Connection, Database, fetch
from datasources.reports.refusals import (
    REPORTED,
    Refusal,
    RefusalCode,
    Reported,
    ReportOutcome,
    environment_of_robot,
    outside,
    owned,
    refused,
    unknown_robot,
)
from datasources.reports.times import disorder, settle
from datasources.reports.values import Count, Id, Number, Past, Percent, Text, Word, fault, storable
from datasources.scope import Scope
from datasources.sql import queries
from datasources.statuses import JobStatus

_SQL = queries("reports/jobs")
_TIMES = ("created_at", "claimed_at", "completed_at")


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job as its robot knows it; None leaves what is known."""

    job_id: Id
    workflow_id: Id
    status: JobStatus
    workflow_name: Word | None = None
    robot_id: Id | None = None
    environment: Id | None = None
    raw_status: Word | None = None
    priority: Number | None = None
    created_at: Past | None = None
    claimed_at: Past | None = None
    completed_at: Past | None = None
    error_type: Word | None = None
    error_message: Text | None = None
    retry_count: Count | None = None
    max_retries: Count | None = None
    progress_percent: Percent | None = None
    current_node: Word | None = None


async def report_job(database: Database, report: JobReport, now: datetime) -> Reported:
    """The job becomes what the report says, where it may."""
    scope = database.scope
    async with database.transaction() as connection:
        wrong = fault(report, now) or _untimely(report) or disorder(_job(report, None, now), _TIMES)
        if wrong is not None:
            return await refused(connection, Refusal(RefusalCode.INVALID_VALUE, wrong, storable(report.job_id)))
        if (refusal := await _beyond(connection, report, scope)) is not None:
            return await refused(connection, refusal)
        fresh = _job(report, None, now)
        new = scope.sees(fresh["environment"])
        if new and await fetch(connection, _SQL["insert_job"], {"job": orjson.dumps(fresh).decode()}):
            return Reported(ReportOutcome.CREATED, accepted=1)
        held = await fetch(connection, _SQL["held_job"], {"job_id": report.job_id})
        if not held or not scope.sees(held[0]["environment"]):
            return await refused(connection, outside("job", report.job_id, scope))
        known = dict(held[0])
        job = _job(report, known, now)
        refusal = owned(report.job_id, known["source"]) or _backwards(report, known)
        if refusal is None and (wrong := disorder(job, _TIMES)) is not None:
            refusal = Refusal(RefusalCode.INVALID_VALUE, wrong, report.job_id)
        if refusal is not None:
            return await refused(connection, refusal)
        if job != known:
            await fetch(connection, _SQL["update_job"], {"job": orjson.dumps(job).decode()})
        return Reported(ReportOutcome.UNCHANGED if job == known else ReportOutcome.UPDATED, accepted=1)


async def _beyond(connection: Connection, report: JobReport, scope: Scope) -> Refusal | None:
    """Why nobody with this scope may name the environment or the robot of the report."""
    if report.environment is not None and not scope.sees(report.environment):
        return outside("job", report.job_id, scope)
    if report.robot_id is not None and scope.names is not None:
        environment = await environment_of_robot(connection, report.robot_id)
        if environment is None or not scope.sees(environment):
            return unknown_robot(report.robot_id, report.job_id)
    return None


def _job(report: JobReport, known: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    """The row that the report makes of what is known; times that nobody told are now."""
    told = {name: value for name, value in asdict(report).items() if value is not None}
    job = dict.fromkeys(asdict(report)) if known is None else dict(known)
    if known is None:
        created_at = min(filter(None, (now, report.claimed_at, report.completed_at)))
        job |= {"source": REPORTED, "workflow_name": report.workflow_id, "environment": "default", "priority": 0}
        job |= {"created_at": created_at, "retry_count": 0}
    elif _tried_again(report, known) and not (report.status.terminal and known["status"] == JobStatus.CLAIMED):
        job |= dict.fromkeys(("claimed_at", "completed_at", "error_type", "error_message", "progress_percent"))
        job["current_node"] = None
        if report.status is JobStatus.PENDING:
            job["robot_id"] = None
    if known is None or report.status.value != known["status"]:
        job["raw_status"] = report.status.value
    job |= {**told, "status": report.status.value}
    if report.status is JobStatus.CLAIMED and job["claimed_at"] is None:
        job["claimed_at"] = max(now, job["created_at"])
    if report.status.terminal and job["completed_at"] is None:
        job["completed_at"] = max(now, job["claimed_at"] or job["created_at"])
    settle(job, told, _TIMES)
    return job


def _tried_again(report: JobReport, known: dict[str, Any]) -> bool:
    """Whether the report is of a later try than what is known; a job that is done or cancelled has none."""
    ended = known["status"] in {JobStatus.COMPLETED, JobStatus.CANCELLED}
    return not ended and (report.retry_count or 0) > known["retry_count"]


def _backwards(report: JobReport, known: dict[str, Any]) -> Refusal | None:
    """Why a job that is known so cannot become what the report says."""
    key, before, again = report.job_id, JobStatus(known["status"]), _tried_again(report, known)
    if report.retry_count is not None and report.retry_count < known["retry_count"]:
        message = f"job {key} is at retryCount {known['retry_count']}: {report.retry_count} comes too late"
        return Refusal(RefusalCode.ILLEGAL_TRANSITION, message, key)
    if not again and not _forward(before, report.status):
        message = f"job {key} is {before.value}: it cannot become {report.status.value}"
        if before in {JobStatus.CLAIMED, JobStatus.FAILED}:
            message += ", but as a new try with a higher retryCount"
        return Refusal(RefusalCode.ILLEGAL_TRANSITION, message, key)
    others = known["robot_id"] is not None and report.robot_id is not None and report.robot_id != known["robot_id"]
    if others and not again and before is not JobStatus.PENDING:
        message = f"job {key} is {before.value} by robot {known['robot_id']}: a new try has a higher retryCount"
        return Refusal(RefusalCode.CLAIMED_BY_ANOTHER, message, key)
    return None


def _forward(before: JobStatus, after: JobStatus) -> bool:
    """Whether a job may move so within one try; what has ended may only be told again, in other words."""
    match before:
        case JobStatus.PENDING:
            return True
        case JobStatus.CLAIMED:
            return after is not JobStatus.PENDING
        case JobStatus.COMPLETED | JobStatus.FAILED | JobStatus.CANCELLED:
            return after is before
        case _:
            assert_never(before)


def _untimely(report: JobReport) -> str | None:
    """A time that a job of this status does not have yet."""
    if report.status is JobStatus.PENDING and report.claimed_at is not None:
        return "claimedAt belongs to a job that was claimed, not to one that waits"
    if not report.status.terminal and report.completed_at is not None:
        return "completedAt belongs to a job that has ended"
    return None
