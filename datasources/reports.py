"""What robots tell of themselves, where no attached source does: registration, heartbeats, jobs and their steps.

Every report is idempotent: sent again, it changes nothing. A report that contradicts what is known is refused with a
code and kept in `monitor.source_errors`, so that the robot learns of it and so does whoever looks after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from itertools import pairwise
from typing import Any

import orjson

from datasources.postgres import Connection, Database, fetch
from datasources.sql import queries
from datasources.statuses import JobStatus, NodeStatus, RobotStatus

_SQL = queries("reports")
_CLOCK_SKEW = timedelta(seconds=60)
REPORTED = "report"  # the source of jobs that robots report themselves


class ReportOutcome(Enum):
    """What became of a report."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class RefusalCode(StrEnum):
    """Why a report was not taken."""

    UNKNOWN_ROBOT = "UNKNOWN_ROBOT"
    UNKNOWN_JOB = "UNKNOWN_JOB"
    ILLEGAL_TRANSITION = "ILLEGAL_TRANSITION"
    INVALID_VALUE = "INVALID_VALUE"
    OWNED_BY_SOURCE = "OWNED_BY_SOURCE"
    NAME_TAKEN = "NAME_TAKEN"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one thing was not taken; `index` is its place in the report, `key` names it."""

    code: RefusalCode
    message: str
    key: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Registration:
    """A robot that presents itself."""

    robot_id: str
    hostname: str
    environment: str = "default"
    capabilities: Sequence[str] = ()
    queue_manager_id: str | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A robot's sign of life, with what it measures of its own process. Memory in MB."""

    robot_id: str
    status: RobotStatus
    at: datetime
    cpu_percent: float | None = None
    memory_mb: float | None = None
    memory_percent: float | None = None
    current_job_id: str | None = None
    current_node: str | None = None
    progress_percent: float | None = None


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job as its robot knows it; None leaves what is known."""

    job_id: str
    workflow_id: str
    status: JobStatus
    workflow_name: str | None = None
    robot_id: str | None = None
    environment: str | None = None
    raw_status: str | None = None
    priority: int | None = None
    created_at: datetime | None = None
    claimed_at: datetime | None = None
    completed_at: datetime | None = None
    error_type: str | None = None
    error_message: str | None = None
    retry_count: int | None = None
    max_retries: int | None = None
    progress_percent: float | None = None
    current_node: str | None = None


@dataclass(frozen=True, slots=True)
class NodeReport:
    """A step of a job as its robot knows it; None leaves what is known."""

    position: int
    node_id: str
    node_type: str
    status: NodeStatus
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_type: str | None = None
    error_message: str | None = None
    retry_count: int | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a report: the outcome for the whole, how much of it was taken, and what was not."""

    outcome: ReportOutcome
    accepted: int = 0
    refused: Sequence[Refusal] = field(default_factory=tuple)


async def register_robot(database: Database, robot: Registration) -> Reported:
    """A new robot is created, a known one updated."""
    async with database.transaction() as connection:
        if robot.queue_manager_id is not None:
            holder = await fetch(
                connection,
                _SQL["queue_manager_holder"],
                {"queue_manager_id": robot.queue_manager_id, "robot_id": robot.robot_id},
            )
            if holder:
                message = f"queue manager {robot.queue_manager_id} is robot {holder[0]['robot_id']} already"
                return await _refused(connection, Refusal(RefusalCode.NAME_TAKEN, message, robot.robot_id))
        row = {**asdict(robot), "capabilities": list(robot.capabilities)}
        row["queue_manager_id"] = robot.queue_manager_id or ""
        rows = await fetch(connection, _SQL["register_robot"], row)
    if not rows:
        return Reported(ReportOutcome.UNCHANGED, accepted=1)
    return Reported(ReportOutcome.CREATED if rows[0]["created"] else ReportOutcome.UPDATED, accepted=1)


async def report_heartbeats(database: Database, heartbeats: Sequence[Heartbeat], now: datetime) -> Reported:
    """Each heartbeat is kept, the newest of a robot becomes its state; a late or repeated one changes nothing."""
    async with database.transaction() as connection:
        ids = sorted({heartbeat.robot_id for heartbeat in heartbeats})
        known = {row["robot_id"] for row in await fetch(connection, _SQL["robots_for_heartbeat"], {"robot_ids": ids})}
        taken, refused = [], []
        for index, heartbeat in enumerate(heartbeats):
            refusal = _heartbeat_refusal(heartbeat, known, now)
            if refusal is None:
                taken.append(heartbeat)
            else:
                refused.append(replace(refusal, index=index))
        await _keep(connection, refused)
        if taken:
            columns = _columns(taken)
            await fetch(connection, _SQL["insert_heartbeats"], columns)
            await fetch(connection, _SQL["apply_heartbeats"], columns)
            if any(heartbeat.current_job_id is not None for heartbeat in taken):
                await fetch(connection, _SQL["apply_progress"], columns)
    outcome = ReportOutcome.UPDATED if taken else ReportOutcome.REFUSED
    return Reported(outcome, accepted=len(taken), refused=refused)


def _heartbeat_refusal(heartbeat: Heartbeat, known: set[str], now: datetime) -> Refusal | None:
    key = heartbeat.robot_id
    if key not in known:
        return Refusal(RefusalCode.UNKNOWN_ROBOT, f"robot {key} is not registered: call registerRobot first", key)
    if heartbeat.at > now + _CLOCK_SKEW:
        return Refusal(RefusalCode.INVALID_VALUE, f"at lies in the future; it is {now.isoformat()} here", key)
    shares = {"memoryPercent": heartbeat.memory_percent, "progressPercent": heartbeat.progress_percent}
    for name, value in {
        **shares,
        "cpuPercent": heartbeat.cpu_percent,
        "memoryMb": heartbeat.memory_mb,
    }.items():
        if value is not None and (not math.isfinite(value) or value < 0 or (name in shares and value > 100)):
            return Refusal(RefusalCode.INVALID_VALUE, f"{name} cannot be {value:g}", key)
    return None


def _columns(heartbeats: Iterable[Heartbeat]) -> dict[str, Any]:
    """The heartbeats as one array a column, in the parameters' names."""
    rows = list(heartbeats)
    return {
        "robot_ids": [row.robot_id for row in rows],
        "ats": [row.at for row in rows],
        "statuses": [row.status.value for row in rows],
        "cpu_percents": [row.cpu_percent for row in rows],
        "memory_mbs": [row.memory_mb for row in rows],
        "memory_percents": [row.memory_percent for row in rows],
        "job_ids": [row.current_job_id for row in rows],
        "progress_percents": [row.progress_percent for row in rows],
        "current_nodes": [row.current_node for row in rows],
    }


async def report_job(database: Database, report: JobReport, now: datetime) -> Reported:
    """The job becomes what the report says, where it may: a job that has ended runs again only as a new try."""
    async with database.transaction() as connection:
        fresh = _job(report, None, now)
        if (refusal := _order_refusal(report.job_id, fresh)) is not None:
            return await _refused(connection, refusal)
        if await fetch(connection, _SQL["insert_job"], {"job": _json(fresh)}):
            return Reported(ReportOutcome.CREATED, accepted=1)
        known = dict((await fetch(connection, _SQL["job_for_update"], {"job_id": report.job_id}))[0])
        job = _job(report, known, now)
        refusal = _job_refusal(report, known) or _order_refusal(report.job_id, job)
        if refusal is not None:
            return await _refused(connection, refusal)
        if all(job[name] == value for name, value in known.items()):
            return Reported(ReportOutcome.UNCHANGED, accepted=1)
        await fetch(connection, _SQL["update_job"], {"job": _json(job)})
        return Reported(ReportOutcome.UPDATED, accepted=1)


def _job(report: JobReport, known: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    """The row that the report makes of what is known; times that nobody told are now."""
    told = {name: value for name, value in asdict(report).items() if value is not None}
    defaults: dict[str, Any] = {
        "source": REPORTED,
        "workflow_name": report.workflow_id,
        "robot_id": None,
        "environment": "default",
        "priority": 0,
        "created_at": min(filter(None, (now, report.claimed_at, report.completed_at))),
        "claimed_at": None,
        "completed_at": None,
        "error_type": None,
        "error_message": None,
        "retry_count": 0,
        "max_retries": None,
        "progress_percent": None,
        "current_node": None,
    }
    started_over = known is not None and JobStatus(known["status"]).terminal and not report.status.terminal
    job = {**defaults, **(known or {}), "raw_status": report.status.value}
    if started_over:
        job |= dict.fromkeys(("claimed_at", "completed_at", "error_type", "error_message", "progress_percent"))
    job |= told
    job["status"] = report.status.value
    if known is not None:
        job["created_at"] = known["created_at"]
    if report.status is JobStatus.CLAIMED and job["claimed_at"] is None:
        job["claimed_at"] = now
    if report.status.terminal and job["completed_at"] is None:
        job["completed_at"] = now
    return job


def _job_refusal(report: JobReport, known: dict[str, Any]) -> Refusal | None:
    key, before = report.job_id, JobStatus(known["status"])
    if known["source"] != REPORTED:
        message = f"job {key} is known from {known['source']}, which tells its life"
        return Refusal(RefusalCode.OWNED_BY_SOURCE, message, key)
    if before.terminal and report.status is not before:
        tried_again = before is JobStatus.FAILED and (report.retry_count or 0) > known["retry_count"]
        if report.status.terminal or not tried_again:
            message = f"job {key} is {before.value}: it cannot become {report.status.value}"
            return Refusal(RefusalCode.ILLEGAL_TRANSITION, message, key)
    return None


def _order_refusal(key: str, job: dict[str, Any]) -> Refusal | None:
    progress = job["progress_percent"]
    if progress is not None and not 0 <= progress <= 100:
        return Refusal(RefusalCode.INVALID_VALUE, f"progressPercent cannot be {progress:g}", key)
    if job["retry_count"] < 0 or (job["max_retries"] or 0) < 0:
        return Refusal(RefusalCode.INVALID_VALUE, "retryCount and maxRetries cannot be negative", key)
    times = [(name, job[name]) for name in ("created_at", "claimed_at", "completed_at") if job[name] is not None]
    for (earlier, start), (later, end) in pairwise(times):
        if start > end:
            return Refusal(RefusalCode.INVALID_VALUE, f"{earlier} lies after {later}", key)
    return None


async def report_nodes(database: Database, job_id: str, nodes: Sequence[NodeReport], now: datetime) -> Reported:
    """The steps become what the report says, where they may: a step that has ended runs again only as a new try."""
    async with database.transaction() as connection:
        job = await fetch(connection, _SQL["job_for_update"], {"job_id": job_id})
        if not job:
            message = f"job {job_id} is not known: call reportJob first"
            return await _refused(connection, Refusal(RefusalCode.UNKNOWN_JOB, message, job_id))
        if job[0]["source"] != REPORTED:
            message = f"job {job_id} is known from {job[0]['source']}, which tells its life"
            return await _refused(connection, Refusal(RefusalCode.OWNED_BY_SOURCE, message, job_id))
        positions = [node.position for node in nodes]
        found = await fetch(connection, _SQL["nodes_for_update"], {"job_id": job_id, "positions": positions})
        known = {row["position"]: dict(row) for row in found}
        changed: dict[int, dict[str, Any]] = {}
        refused: list[Refusal] = []
        accepted = 0
        for index, node in enumerate(nodes):
            before = changed.get(node.position) or known.get(node.position)
            row = _node(node, before, now)
            refusal = _node_refusal(job_id, node, before, row)
            if refusal is not None:
                refused.append(replace(refusal, index=index))
                continue
            accepted += 1
            if row != before:
                changed[node.position] = row
        await _keep(connection, refused)
        if changed:
            await fetch(connection, _SQL["upsert_nodes"], {"job_id": job_id, "nodes": _json(list(changed.values()))})
    if changed:
        outcome = ReportOutcome.UPDATED if changed.keys() <= known.keys() else ReportOutcome.CREATED
    else:
        outcome = ReportOutcome.UNCHANGED if accepted else ReportOutcome.REFUSED
    return Reported(outcome, accepted, refused)


def _node(report: NodeReport, known: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    told = {name: value for name, value in asdict(report).items() if value is not None}
    blank = dict.fromkeys(("started_at", "completed_at", "error_type", "error_message"))
    row: dict[str, Any] = {"retry_count": 0, **blank, **(known or {})}
    if report.status is NodeStatus.RUNNING:
        row |= dict.fromkeys(("completed_at", "error_type", "error_message"))
        if known is not None and known["status"] != NodeStatus.RUNNING.value:
            row["started_at"] = None
    row |= told
    row["status"] = report.status.value
    if row["started_at"] is None:
        row["started_at"] = row["completed_at"] or now
    if report.status is not NodeStatus.RUNNING and row["completed_at"] is None:
        row["completed_at"] = max(now, row["started_at"])
    return row


def _node_refusal(job_id: str, node: NodeReport, known: dict[str, Any] | None, row: dict[str, Any]) -> Refusal | None:
    key = f"{job_id}/{node.position}"
    if node.position < 0 or row["retry_count"] < 0:
        return Refusal(RefusalCode.INVALID_VALUE, "position and retryCount cannot be negative", key)
    if row["completed_at"] is not None and row["completed_at"] < row["started_at"]:
        return Refusal(RefusalCode.INVALID_VALUE, "started_at lies after completed_at", key)
    before = None if known is None else NodeStatus(known["status"])
    if known is None or before in {None, NodeStatus.RUNNING, node.status}:
        return None
    if node.status is NodeStatus.RUNNING and (node.retry_count or 0) > known["retry_count"]:
        return None
    message = f"step {node.position} is {known['status']}: it cannot become {node.status.value}"
    return Refusal(RefusalCode.ILLEGAL_TRANSITION, message, key)


async def _refused(connection: Connection, refusal: Refusal) -> Reported:
    await _keep(connection, [refusal])
    return Reported(ReportOutcome.REFUSED, refused=[refusal])


async def _keep(connection: Connection, refusals: Sequence[Refusal]) -> None:
    if refusals:
        kept = {(refusal.key, refusal.code): refusal.message for refusal in refusals}
        columns = {"keys": [key for key, _ in kept], "codes": [code.value for _, code in kept]}
        await fetch(connection, _SQL["refuse"], {**columns, "messages": list(kept.values())})


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
