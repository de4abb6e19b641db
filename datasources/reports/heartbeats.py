"""Signs of life: each is kept, the newest of a robot becomes its state, a late or repeated one changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from datasources.postgres import Connection, Database, fetch
from datasources.reports.refusals import Refusal, RefusalCode, Reported, ReportOutcome, keep, unknown_robot
from datasources.reports.values import Amount, Id, Past, Percent, Word, fault, storable
from datasources.sql import queries
from datasources.statuses import RobotStatus

_SQL = queries("reports/heartbeats")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A robot's sign of life, with what it measures of its own process. Memory in MB."""

    robot_id: Id
    status: RobotStatus
    at: Past
    cpu_percent: Amount | None = None
    memory_mb: Amount | None = None
    memory_percent: Percent | None = None
    current_job_id: Id | None = None
    current_node: Word | None = None
    progress_percent: Percent | None = None


async def report_heartbeats(database: Database, heartbeats: Sequence[Heartbeat], now: datetime) -> Reported:
    """Those that are refused do not hinder the others."""
    faults = [fault(heartbeat, now) for heartbeat in heartbeats]
    ids = {heartbeat.robot_id for heartbeat, wrong in zip(heartbeats, faults, strict=True) if wrong is None}
    environments = database.scope.names
    async with database.transaction() as connection:
        named = {"robot_ids": sorted(ids), "environments": environments}
        rows = await fetch(connection, _SQL["robots_for_heartbeat"], named)
        heard = {row["robot_id"]: row["last_heartbeat"] for row in rows}
        taken: list[Heartbeat] = []
        refused: list[Refusal] = []
        for index, (heartbeat, wrong) in enumerate(zip(heartbeats, faults, strict=True)):
            refusal = _refusal(heartbeat, wrong, known=heartbeat.robot_id in heard)
            if refusal is None:
                taken.append(heartbeat)
            else:
                refused.append(replace(refusal, index=index))
        await keep(connection, refused)
        changed = bool(taken) and await _take(connection, taken, heard, environments)
    if not taken:
        return Reported(ReportOutcome.REFUSED, refused=refused)
    return Reported(ReportOutcome.UPDATED if changed else ReportOutcome.UNCHANGED, len(taken), refused)


def _refusal(heartbeat: Heartbeat, wrong: str | None, *, known: bool) -> Refusal | None:
    key = storable(heartbeat.robot_id)
    if wrong is not None:
        return Refusal(RefusalCode.INVALID_VALUE, wrong, key)
    if not known:
        return unknown_robot(key, key)
    return None


async def _take(
    connection: Connection,
    taken: Sequence[Heartbeat],
    heard: dict[str, datetime | None],
    environments: list[str] | None,
) -> bool:
    """Keep the heartbeats and let the fresh ones tell, of jobs in these environments; whether any of them was new."""
    # Of two that claim the same moment the first stands.
    distinct = {(heartbeat.robot_id, heartbeat.at): heartbeat for heartbeat in reversed(taken)}.values()
    inserted = await fetch(connection, _SQL["insert_heartbeats"], _columns(distinct))
    fresh = [hb for hb in distinct if (last := heard[hb.robot_id]) is None or last < hb.at]
    if fresh:
        await fetch(connection, _SQL["apply_heartbeats"], _columns(fresh))
    if named := [heartbeat for heartbeat in fresh if heartbeat.current_job_id is not None]:
        await fetch(connection, _SQL["apply_progress"], {**_columns(named), "environments": environments})
    return bool(inserted)


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
