"""Robots: pages of them, single ones, their heartbeats and today's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, cast

import orjson
from asyncpg import Record

from datasources.columns import Columns, Reads
from datasources.jobs import containing
from datasources.paging import Ordering, Page, PageRequest, page
from datasources.postgres import Database
from datasources.sql import queries
from datasources.statuses import ROBOT_STATUSES, RobotStatus

_SQL = queries("robots")


class RobotRow(NamedTuple):
    """A robot as it stands; `status` is offline where its heartbeats have stopped. Memory in MB."""

    robot_id: str
    hostname: str
    environment: str
    status: RobotStatus
    capabilities_json: str  # read when asked for: to decode an array takes as long as all the rest
    cpu_percent: float | None
    memory_mb: float | None
    memory_percent: float | None
    last_heartbeat: datetime | None
    registered_at: datetime
    current_job_id: str | None

    @classmethod
    def of(cls, record: Record | tuple[Any, ...]) -> RobotRow:
        """The robot in a row of the `columns` of `robots.sql`, which stand in the order of the fields."""
        return tuple.__new__(cls, (*record[:3], ROBOT_STATUSES[record[3]], *record[4:]))

    @property
    def capabilities(self) -> Sequence[str]:
        """What it can do, in its operators' words."""
        return cast(Sequence[str], orjson.loads(self.capabilities_json))

    @property
    def last_sign(self) -> datetime:
        """When it was heard of last: its newest heartbeat, or its registration."""
        return self.last_heartbeat or self.registered_at


_COLUMNS = Columns(
    RobotRow,
    {"status": ROBOT_STATUSES},
    {"capabilities": ("capabilities_json",), "last_sign": ("last_heartbeat", "registered_at")},
)


@dataclass(frozen=True, slots=True)
class RobotToday:
    """What a robot finished since midnight UTC."""

    completed: int = 0
    failed: int = 0
    average_duration_ms: float | None = None


class HeartbeatRow(NamedTuple):
    """What a robot said of itself at one moment. Memory in MB."""

    robot_id: str
    at: datetime
    status: RobotStatus
    cpu_percent: float | None
    memory_mb: float | None
    memory_percent: float | None
    job_id: str | None

    @classmethod
    def of(cls, record: Record | tuple[Any, ...]) -> HeartbeatRow:
        """The heartbeat in a row of `heartbeats_by_robot`, whose columns stand in the order of the fields."""
        return tuple.__new__(cls, (*record[:2], ROBOT_STATUSES[record[2]], *record[3:]))


class RobotOrder(Enum):
    """The orders a list of robots comes in; each has an index."""

    ROBOT_ID_ASC = Ordering("r.robot_id", "text", "robot_id", descending=False)
    ROBOT_ID_DESC = Ordering("r.robot_id", "text", "robot_id", descending=True)
    HOSTNAME_ASC = Ordering("r.hostname", "text", "hostname", descending=False)
    HOSTNAME_DESC = Ordering("r.hostname", "text", "hostname", descending=True)
    LAST_HEARTBEAT_DESC = Ordering(
        "coalesce(r.last_heartbeat, r.registered_at)", "timestamptz", "last_sign", descending=True
    )
    LAST_HEARTBEAT_ASC = Ordering(
        "coalesce(r.last_heartbeat, r.registered_at)", "timestamptz", "last_sign", descending=False
    )


@dataclass(frozen=True, slots=True)
class RobotCriteria:
    """Which robots a list holds; None means any."""

    statuses: tuple[RobotStatus, ...] | None = None
    environment: str | None = None
    capability: str | None = None
    text: str | None = None

    def parameters(self) -> dict[str, object]:
        """The parameters of `matching` in `robots.sql`."""
        return {
            "statuses": None if self.statuses is None else sorted(set(self.statuses)),
            "environment": self.environment,
            "capability": self.capability,
            "pattern": None if self.text is None else containing(self.text),
        }

    def concerns(self, robot: RobotRow) -> bool:
        """Whether a robot matches: the same in memory as `matching` in `robots.sql`."""
        text = None if self.text is None else self.text.casefold()
        return (
            (self.statuses is None or robot.status in self.statuses)
            and self.environment in {None, robot.environment}
            and (self.capability is None or self.capability in robot.capabilities)
            and (text is None or any(text in words.casefold() for words in (robot.robot_id, robot.hostname)))
        )


async def robots_page(
    database: Database,
    criteria: RobotCriteria,
    order: RobotOrder,
    request: PageRequest,
    offline_after: float,
    reads: Reads = None,
) -> Page[RobotRow]:
    """One page of the list of robots; `offline_after` is the silence, in seconds, that makes one offline."""
    ordering: Ordering = order.value
    reading = _COLUMNS.reading(reads, ordering.column)
    records = await database.fetch(
        _SQL["robots_page"],
        {**criteria.parameters(), **request.parameters(), "offline_after": offline_after},
        reading.columns,
        **ordering.parts(backward=request.backward),
    )
    return page(list(map(reading.row, records)), request)


async def robots_count(database: Database, criteria: RobotCriteria, offline_after: float) -> int:
    """How many robots match."""
    parameters = {**criteria.parameters(), "offline_after": offline_after}
    return int((await database.fetch(_SQL["robots_count"], parameters))[0]["total"])


async def robots_by_id(
    database: Database, robot_ids: Sequence[str], offline_after: float, reads: Reads = None
) -> Mapping[str, RobotRow]:
    """The robots with these ids; an unknown id is missing."""
    reading = _COLUMNS.reading(reads)
    parameters = {"robot_ids": list(robot_ids), "offline_after": offline_after}
    records = await database.fetch(_SQL["robots_by_id"], parameters, reading.columns)
    return {record[0]: reading.row(record) for record in records}


async def robots_all(database: Database, offline_after: float) -> list[RobotRow]:
    """Every robot; `offline_after` is the silence, in seconds, that makes one offline."""
    reading = _COLUMNS.reading(None)
    records = await database.fetch(_SQL["robots_all"], {"offline_after": offline_after}, reading.columns)
    return list(map(reading.row, records))


async def robots_today(database: Database, robot_ids: Sequence[str], since: datetime) -> Mapping[str, RobotToday]:
    """What these robots finished since then; a robot that finished nothing is missing."""
    records = await database.fetch(_SQL["robots_today"], {"robot_ids": list(robot_ids), "since": since})
    return {record["robot_id"]: RobotToday(*record[1:]) for record in records}


async def heartbeats_by_robot(
    database: Database, robot_ids: Sequence[str], last: int
) -> Mapping[str, list[HeartbeatRow]]:
    """The `last` newest heartbeats of each robot, newest first."""
    records = await database.fetch(_SQL["heartbeats_by_robot"], {"robot_ids": list(robot_ids), "last": last})
    heartbeats: dict[str, list[HeartbeatRow]] = {}
    for record in records:
        heartbeats.setdefault(record[0], []).append(HeartbeatRow.of(record))
    return heartbeats
