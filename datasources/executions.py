"""Node executions: the steps of a job, with their timing and outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from asyncpg import Record

from datasources.columns import Columns, Reads
from datasources.postgres import Database
from datasources.sql import queries
from datasources.statuses import NODE_STATUSES, NodeStatus

MOST_AT_ONCE = 20_000  # steps of all jobs that are asked for together

_SQL = queries("executions")


class TooManySteps(Exception):
    """The jobs have more steps together than are read at once."""


class NodeExecutionRow(NamedTuple):
    """One step of a job; its duration in milliseconds."""

    job_id: str
    position: int
    node_id: str
    node_type: str
    status: NodeStatus
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: float | None
    error_type: str | None
    error_message: str | None
    retry_count: int

    @classmethod
    def of(cls, record: Record | tuple[Any, ...]) -> NodeExecutionRow:
        """The step in a row of `executions_by_job`, whose columns stand in the order of the fields."""
        return tuple.__new__(cls, (*record[:4], NODE_STATUSES[record[4]], *record[5:]))

    @property
    def success(self) -> bool | None:
        """Whether it succeeded; None while it runs."""
        return None if self.status is NodeStatus.RUNNING else self.status is NodeStatus.COMPLETED


_COLUMNS = Columns(NodeExecutionRow, {"status": NODE_STATUSES}, {"success": ("status",)})


async def executions_by_job(
    database: Database, job_ids: Sequence[str], limit: int, after: int = -1, reads: Reads = None
) -> Mapping[str, list[NodeExecutionRow]]:
    """The first `limit` steps of each job after a position; a job without steps is missing. Raises TooManySteps."""
    reading = _COLUMNS.reading(reads)
    parameters = {"job_ids": list(job_ids), "limit": limit, "after": after, "most": MOST_AT_ONCE + 1}
    records = await database.fetch(_SQL["executions_by_job"], parameters, reading.columns)
    if len(records) > MOST_AT_ONCE:
        raise TooManySteps
    steps: dict[str, list[NodeExecutionRow]] = {}
    for record in records:
        steps.setdefault(record[0], []).append(reading.row(record))
    return steps
