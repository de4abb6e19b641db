"""The fleet in numbers: robots by state, the queue, and today."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import islice

from datasources.postgres import Database
from datasources.sql import queries

_SQL = queries("fleet")


@dataclass(frozen=True, slots=True)
class FleetScope:
    """Which part of the fleet: an environment, or all of it."""

    environment: str | None


@dataclass(frozen=True, slots=True)
class FleetRobots:
    """How many robots there are, and in which state."""

    total: int
    busy: int
    idle: int
    offline: int
    failed: int


@dataclass(frozen=True, slots=True)
class FleetQueue:
    """How many jobs run and wait, and how long the oldest has waited, in seconds."""

    active: int
    pending: int
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class FleetToday:
    """Jobs created since midnight UTC, and the average run of those that ended, in seconds."""

    total: int
    average_seconds: float | None


class FleetPart(Enum):
    """What the fleet's numbers are of."""

    ROBOTS = "robots"
    QUEUE = "queue"
    TODAY = "today"


async def fleet_numbers(
    database: Database, scope: FleetScope, parts: Collection[FleetPart], offline_after: float, now: datetime
) -> Mapping[FleetPart, FleetRobots | FleetQueue | FleetToday]:
    """These numbers of this part of the fleet, in one statement; the day begins at midnight UTC, as `now` is."""
    parameters = {
        "environment": scope.environment,
        "robots": FleetPart.ROBOTS in parts or None,
        "offline_after": offline_after,
        "queue": FleetPart.QUEUE in parts or None,
        "since": now.replace(hour=0, minute=0, second=0, microsecond=0) if FleetPart.TODAY in parts else None,
    }
    columns = iter((await database.fetch(_SQL["fleet"], parameters))[0])
    found: dict[FleetPart, FleetRobots | FleetQueue | FleetToday] = {}
    if FleetPart.ROBOTS in parts:
        found[FleetPart.ROBOTS] = FleetRobots(*islice(columns, 5))
    if FleetPart.QUEUE in parts:
        active, pending, oldest = islice(columns, 3)
        waited = None if oldest is None else max(0.0, (now - oldest).total_seconds())
        found[FleetPart.QUEUE] = FleetQueue(active, pending, waited)
    if FleetPart.TODAY in parts:
        found[FleetPart.TODAY] = FleetToday(*islice(columns, 2))
    return found


@dataclass(frozen=True, slots=True)
class RecentFailures:
    """A workflow of which jobs failed lately: how many ended, and how many of them failed."""

    workflow_id: str
    workflow_name: str
    ended: int
    failed: int


async def recent_failures(
    database: Database, scope: FleetScope, since: datetime, *, least_ended: int, least_failed: int, most: int
) -> list[RecentFailures]:
    """The workflows of which so many jobs ended and failed since then; the `most` with the most failures."""
    parameters = {
        "environment": scope.environment,
        "since": since,
        "least_ended": least_ended,
        "least_failed": least_failed,
        "most": most,
    }
    return [RecentFailures(*row) for row in await database.fetch(_SQL["recent_failures"], parameters)]
