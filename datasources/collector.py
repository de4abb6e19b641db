"""What the collector reads: jobs as it counts them, whole or only those that changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from sys import intern
from typing import Any

from asyncpg.transaction import Transaction

from datasources.events import Position
from datasources.postgres import Connection, Database, fetch
from datasources.sql import queries

_SQL = queries("collector")


@dataclass(frozen=True, slots=True)
class JobNow:
    """A job as it is counted; a duration in microseconds, which add up to the same in any order."""

    job_id: str
    environment: str
    workflow_id: str
    status: str
    robot_id: str | None
    current_node: str | None
    created_at: datetime
    claimed_at: datetime | None
    completed_at: datetime | None
    duration_us: int | None

    @classmethod
    def of(cls, record: Iterable[Any]) -> JobNow:
        """The job in a row of the `columns` of `collector.sql`; words that many jobs share are kept once."""
        job_id, environment, workflow_id, status, robot_id, *others = record
        robot_id = None if robot_id is None else intern(robot_id)
        return cls(job_id, intern(environment), intern(workflow_id), intern(status), robot_id, *others)


@dataclass(frozen=True, slots=True)
class OpenRow:
    """How many jobs of a workflow wait or run in an environment, and when the first of them was created."""

    environment: str
    status: str
    workflow_id: str
    jobs: int
    since: datetime


@dataclass(frozen=True, slots=True)
class EndedRow:
    """How many jobs of an environment ended in one second, and how long those ran that completed or failed."""

    environment: str
    second: int
    completed: int
    failed: int
    cancelled: int
    timed: int
    micros: int


@dataclass(frozen=True, slots=True)
class CreatedRow:
    """How many jobs of an environment were created on one day, and how long those ran that completed or failed."""

    environment: str
    day: date
    total: int
    timed: int
    micros: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is counted at one moment, and the numbers beyond a position that stand in it already."""

    open: Sequence[OpenRow]
    jobs: Sequence[JobNow]
    ended: Sequence[EndedRow]
    created: Sequence[CreatedRow]
    heard_of: frozenset[int]


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of an environment: what waits, what runs, what was created today, and when, in all, what ended did."""

    pending: int = 0
    active: int = 0
    total: int = 0
    timed: int = 0
    micros: int = 0
    moments: int = 0


@dataclass(frozen=True, slots=True)
class ReportedDepth:
    """The depth of a queue as somebody reported it."""

    environment: str
    depth: int
    at: datetime


@dataclass(frozen=True, slots=True)
class NodeMetrics:
    """The steps of one type, of jobs that run or have just ended; the average is of those that completed or failed."""

    node_type: str
    running: int
    completed: int
    failed: int
    average_duration_ms: float | None


@dataclass(frozen=True, slots=True)
class HealingTier:
    """The attempts to heal a step in one way."""

    tier: str
    attempts: int
    successes: int


async def snapshot(
    database: Database, position: Position, midnight: datetime, since: datetime, *, most_open: int, most_ended: int
) -> Snapshot:
    """All jobs that count, as of one moment, in sums; some also one by one.

    Those are the oldest `most_open` that wait, as many that run, and the newest `most_ended` that ended since `since`.
    """
    async with database.connection() as connection, _one_moment(connection):
        heard_of = await fetch(connection, _SQL["heard_of"], _beyond(position))
        groups = await fetch(connection, _SQL["open"])
        bounds = {"since": since, "most_open": most_open, "most_ended": most_ended}
        jobs = await fetch(connection, _SQL["jobs_counted"], bounds)
        ended = await fetch(connection, _SQL["ended"], {"since": since})
        created = await fetch(connection, _SQL["created"], {"since": midnight})
    return Snapshot(
        [OpenRow(*record) for record in groups],
        await asyncio.to_thread(list, map(JobNow.of, jobs)),  # there may be thousands: others go on meanwhile
        [EndedRow(*record) for record in ended],
        [CreatedRow(*record) for record in created],
        frozenset(record["seq"] for record in heard_of),
    )


async def jobs_now(database: Database, job_ids: Sequence[str]) -> Mapping[str, JobNow]:
    """The jobs with these ids; one that is gone is missing."""
    records = await database.fetch(_SQL["jobs_now"], {"job_ids": list(job_ids)})
    return {record["job_id"]: JobNow.of(record) for record in records}


async def totals(
    database: Database, position: Position, midnight: datetime, since: datetime
) -> tuple[Mapping[str, Totals], frozenset[str]]:
    """What SQL counts of each environment, but for the jobs that were named beyond the position; and their ids."""
    parameters = {**_beyond(position), "midnight": midnight, "since": since}
    records = await database.fetch(_SQL["totals"], parameters)
    counted = {record["environment"]: Totals(*list(record)[1:7]) for record in records if record["environment"]}
    return counted, frozenset(records[0]["named"])


async def reported_depths(database: Database) -> Mapping[str, ReportedDepth]:
    """The depths that hold, by environment."""
    return {record["environment"]: ReportedDepth(*record) for record in await database.fetch(_SQL["reported"])}


async def node_metrics(database: Database, since: datetime, node_type: str | None = None) -> Mapping[str, NodeMetrics]:
    """The steps of the jobs that run or ended since then, by type."""
    records = await database.fetch(_SQL["nodes"], {"since": since, "node_type": node_type})
    return {record["node_type"]: NodeMetrics(*record) for record in records}


async def healing_tiers(database: Database, since: datetime) -> Sequence[HealingTier]:
    """The attempts since then, by tier."""
    return [HealingTier(*record) for record in await database.fetch(_SQL["healing"], {"since": since})]


def _one_moment(connection: Connection) -> Transaction:
    return connection.transaction(isolation="repeatable_read", readonly=True)


def _beyond(position: Position) -> dict[str, Any]:
    return {
        "high": position.high,
        "gap_starts": [first for first, _ in position.gaps],
        "gap_ends": [last for _, last in position.gaps],
    }
