"""The steps of a job as its robot tells them, one by one or many at once; a later one in a batch is told later.

A step runs and ends; it runs again as a new try with a higher `retry_count`, whatever the job's own count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from datasources.postgres import Database, fetch
from datasources.reports.refusals import Refusal, RefusalCode, Reported, ReportOutcome, keep, owned, refused
from datasources.reports.times import disorder, settle
from datasources.reports.values import Count, Id, Past, Text, Word, fault, storable
from datasources.sql import queries
from datasources.statuses import NodeStatus

_SQL = queries("reports/executions")
_TIMES = ("started_at", "completed_at")


@dataclass(frozen=True, slots=True)
class NodeReport:
    """A step of a job as its robot knows it; None leaves what is known."""

    position: Count
    node_id: Id
    node_type: Id
    status: NodeStatus
    started_at: Past | None = None
    completed_at: Past | None = None
    error_type: Word | None = None
    error_message: Text | None = None
    retry_count: Count | None = None


@dataclass(frozen=True, slots=True)
class _JobNamed:
    job_id: Id


async def report_nodes(database: Database, job_id: str, nodes: Sequence[NodeReport], now: datetime) -> Reported:
    """The steps become what the report says, where they may; those that are refused do not hinder the others."""
    async with database.transaction() as connection:
        if (wrong := fault(_JobNamed(job_id), now)) is not None:
            return await refused(connection, Refusal(RefusalCode.INVALID_VALUE, wrong, storable(job_id)))
        named = {"job_id": job_id, "environments": database.scope.names}
        job = await fetch(connection, _SQL["held_source"], named)
        if not job:
            message = f"job {job_id} is not known: call reportJob first"
            return await refused(connection, Refusal(RefusalCode.UNKNOWN_JOB, message, job_id))
        if (refusal := owned(job_id, job[0]["source"])) is not None:
            return await refused(connection, refusal)
        positions = [node.position for node in nodes]
        found = await fetch(connection, _SQL["known_nodes"], {"job_id": job_id, "positions": positions})
        known = {row["position"]: dict(row) for row in found}
        changed: dict[int, dict[str, Any]] = {}
        refusals: list[Refusal] = []
        for index, node in enumerate(nodes):
            before = changed.get(node.position) or known.get(node.position)
            row = _node(job_id, node, before, now)
            refusal = _refusal(f"{job_id}/{node.position}", node, before, row, now)
            if refusal is not None:
                refusals.append(replace(refusal, index=index))
            elif row != before:
                changed[node.position] = row
        await keep(connection, refusals)
        if changed:
            await fetch(connection, _SQL["upsert_nodes"], {"nodes": orjson.dumps(list(changed.values())).decode()})
    accepted = len(nodes) - len(refusals)
    if changed:
        outcome = ReportOutcome.UPDATED if changed.keys() <= known.keys() else ReportOutcome.CREATED
    else:
        outcome = ReportOutcome.UNCHANGED if accepted else ReportOutcome.REFUSED
    return Reported(outcome, accepted, refusals)


async def next_position(database: Database, job_id: str) -> int:
    """The position behind the steps of a job that are known."""
    return int((await database.fetch(_SQL["next_position"], {"job_id": job_id}))[0]["position"])


def _node(job_id: str, report: NodeReport, known: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    """The row that the report makes of what is known; a time that nobody told is now, where now is when it happens."""
    told = {name: value for name, value in asdict(report).items() if value is not None}
    running = report.status is NodeStatus.RUNNING
    row = {**dict.fromkeys(asdict(report)), "job_id": job_id, "retry_count": 0} if known is None else dict(known)
    if known is not None and _tried_again(report, known) and (running or known["status"] != NodeStatus.RUNNING):
        row |= dict.fromkeys(("started_at", "completed_at", "error_type", "error_message"))
    row |= {**told, "status": report.status.value}
    if running and row["started_at"] is None:
        row["started_at"] = now
    if not running and row["completed_at"] is None:
        row["completed_at"] = max(now, row["started_at"] or now)
    settle(row, told, _TIMES)
    return row


def _tried_again(report: NodeReport, known: dict[str, Any]) -> bool:
    """Whether the report is of a later try than what is known."""
    return report.retry_count is not None and report.retry_count > int(known["retry_count"])


def _refusal(
    key: str, report: NodeReport, known: dict[str, Any] | None, row: dict[str, Any], now: datetime
) -> Refusal | None:
    """Why the step cannot become what the report makes of it."""
    wrong = fault(report, now)
    if wrong is None and report.status is NodeStatus.RUNNING and report.completed_at is not None:
        wrong = "completedAt belongs to a step that has ended"
    if wrong is not None:
        return Refusal(RefusalCode.INVALID_VALUE, wrong, key)
    if known is not None and (wrong := _backwards(report, known)) is not None:
        return Refusal(RefusalCode.ILLEGAL_TRANSITION, f"step {key} {wrong}", key)
    if (wrong := disorder(row, _TIMES)) is not None:
        return Refusal(RefusalCode.INVALID_VALUE, wrong, key)
    return None


def _backwards(report: NodeReport, known: dict[str, Any]) -> str | None:
    """Why a step that is known so cannot become what the report says."""
    if report.retry_count is not None and report.retry_count < known["retry_count"]:
        return f"is at retryCount {known['retry_count']}: {report.retry_count} comes too late"
    if known["status"] in {NodeStatus.RUNNING, report.status} or _tried_again(report, known):
        return None
    return f"is {known['status']}: it becomes {report.status.value} only with a higher retryCount"
