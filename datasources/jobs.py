"""Jobs: pages of them, single ones, and what robots report of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from asyncpg import Record

from datasources.columns import Columns, Reads
from datasources.paging import Ordering, Page, PageRequest, page
from datasources.postgres import Database
from datasources.scope import Scope
from datasources.sql import queries
from datasources.statuses import JOB_STATUSES, JobStatus

_SQL = queries("jobs")


class JobRow(NamedTuple):
    """One run of a workflow; durations in milliseconds, times in UTC."""

    job_id: str
    source: str
    workflow_id: str
    workflow_name: str
    robot_id: str | None
    environment: str
    status: JobStatus
    raw_status: str
    priority: int
    created_at: datetime
    claimed_at: datetime | None
    completed_at: datetime | None
    duration_ms: float | None
    queue_wait_ms: float | None
    error_type: str | None
    error_message: str | None
    retry_count: int
    max_retries: int | None
    progress_percent: float | None
    current_node: str | None

    @classmethod
    def of(cls, record: Record | tuple[Any, ...]) -> JobRow:
        """The job in a row of the `columns` of `jobs.sql`, which stand in the order of the fields."""
        return tuple.__new__(cls, (*record[:6], JOB_STATUSES[record[6]], *record[7:]))


_COLUMNS = Columns(JobRow, {"status": JOB_STATUSES})


class JobOrder(Enum):
    """The orders a list of jobs comes in; each has an index."""

    CREATED_AT_DESC = Ordering("j.created_at", "timestamptz", "created_at", descending=True)
    CREATED_AT_ASC = Ordering("j.created_at", "timestamptz", "created_at", descending=False)
    COMPLETED_AT_DESC = Ordering("coalesce(j.completed_at, 'infinity')", "timestamptz", "completed_at", descending=True)
    COMPLETED_AT_ASC = Ordering("coalesce(j.completed_at, 'infinity')", "timestamptz", "completed_at", descending=False)
    DURATION_DESC = Ordering("coalesce(j.duration_ms, -1)", "float8", "duration_ms", descending=True)
    DURATION_ASC = Ordering("coalesce(j.duration_ms, -1)", "float8", "duration_ms", descending=False)


@dataclass(frozen=True, slots=True)
class JobCriteria:
    """Which jobs a list holds; None means any. Ranges include their start and exclude their end."""

    statuses: tuple[JobStatus, ...] | None = None
    workflow_id: str | None = None
    robot_id: str | None = None
    environment: str | None = None
    error_type: str | None = None
    source: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    completed_from: datetime | None = None
    completed_to: datetime | None = None
    text: str | None = None

    def parameters(self) -> dict[str, object]:
        """The parameters of `matching` in `jobs.sql`."""
        statuses = None if self.statuses is None else sorted(set(self.statuses))
        only = statuses[0] if statuses is not None and len(statuses) == 1 else None
        return {
            "status": only,
            "statuses": statuses if only is None else None,
            "workflow_id": self.workflow_id,
            "robot_id": self.robot_id,
            "environment": self.environment,
            "error_type": self.error_type,
            "source": self.source,
            "created_from": self.created_from,
            "created_to": self.created_to,
            "completed_from": self.completed_from,
            "completed_to": self.completed_to,
            "pattern": None if self.text is None else containing(self.text),
        }

    def concerns(self, job: JobRow, status: JobStatus) -> bool:
        """Whether a job matches that is in this state: the same in memory as `matching` in `jobs.sql`."""
        ended_at = job.completed_at
        text = None if self.text is None else self.text.casefold()
        return (
            (self.statuses is None or status in self.statuses)
            and self.workflow_id in {None, job.workflow_id}
            and self.robot_id in {None, job.robot_id}
            and self.environment in {None, job.environment}
            and self.error_type in {None, job.error_type}
            and self.source in {None, job.source}
            and (self.created_from is None or job.created_at >= self.created_from)
            and (self.created_to is None or job.created_at < self.created_to)
            and (self.completed_from is None or (ended_at is not None and ended_at >= self.completed_from))
            and (self.completed_to is None or (ended_at is not None and ended_at < self.completed_to))
            and (
                text is None or any(text in words.casefold() for words in (job.workflow_name, job.error_message or ""))
            )
        )


class JobParent(Enum):
    """Whose jobs a nested list holds."""

    ROBOT = "of_robots"
    WORKFLOW = "of_workflows"


def containing(text: str) -> str:
    """The ILIKE pattern of every string that contains the text as it stands."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _apart(ordering: Ordering, scope: Scope) -> bool | None:
    return True if ordering.column == "created_at" and scope.environments is None else None


async def jobs_page(
    database: Database, criteria: JobCriteria, order: JobOrder, request: PageRequest, reads: Reads = None
) -> Page[JobRow]:
    """One page of the list of all jobs."""
    ordering: Ordering = order.value
    reading = _COLUMNS.reading(reads, ordering.column)
    records = await database.fetch(
        _SQL["jobs_page"],
        {**criteria.parameters(), **request.parameters(), "parents": None, "apart": _apart(ordering, database.scope)},
        reading.columns,
        **ordering.parts(backward=request.backward),
    )
    return page(list(map(reading.row, records)), request)


async def jobs_pages(
    database: Database,
    parent: JobParent,
    ids: Sequence[str],
    criteria: JobCriteria,
    order: JobOrder,
    request: PageRequest,
    reads: Reads = None,
) -> Mapping[str, Page[JobRow]]:
    """The same page of each parent's own list, in one statement; a parent without jobs is missing."""
    ordering: Ordering = order.value
    reading = _COLUMNS.reading(reads, ordering.column)
    records = await database.fetch(
        _SQL["jobs_page"],
        {**criteria.parameters(), **request.parameters(), "parents": list(ids), parent.value: True},
        reading.columns,
        **ordering.parts(backward=request.backward),
    )
    rows: dict[str, list[JobRow]] = {}
    for record in records:
        rows.setdefault(record[-1], []).append(reading.row(record[:-1]))
    return {key: page(found, request) for key, found in rows.items()}


async def jobs_count(database: Database, criteria: JobCriteria) -> int:
    """How many jobs match."""
    records = await database.fetch(_SQL["jobs_count"], {**criteria.parameters(), "parents": None})
    return int(records[0]["total"])


async def jobs_counts(
    database: Database, parent: JobParent, ids: Sequence[str], criteria: JobCriteria
) -> Mapping[str, int]:
    """How many jobs of each parent match."""
    records = await database.fetch(
        _SQL["jobs_count"], {**criteria.parameters(), "parents": list(ids), parent.value: True}
    )
    return {record["parent"]: record["total"] for record in records}


async def jobs_by_id(database: Database, job_ids: Sequence[str], reads: Reads = None) -> Mapping[str, JobRow]:
    """The jobs with these ids; an unknown id is missing."""
    reading = _COLUMNS.reading(reads)
    records = await database.fetch(_SQL["jobs_by_id"], {"job_ids": list(job_ids)}, reading.columns)
    return {record[0]: reading.row(record) for record in records}
