"""The fleet in numbers: robots by state, the queue, and today."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from datasources.postgres import Database
from datasources.queue import queue_by_environment
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


@dataclass(frozen=True, slots=True)
class RecentFailures:
    """A workflow of which jobs failed lately: how many ended, and how many of them failed."""

    workflow_id: str
    workflow_name: str
    ended: int
    failed: int


async def fleet_robots(database: Database, scope: FleetScope, offline_after: float) -> FleetRobots:
    """The robots of this part of the fleet, by state."""
    parameters = {"environment": scope.environment, "offline_after": offline_after}
    return FleetRobots(*(await database.fetch(_SQL["fleet_robots"], parameters))[0])


async def fleet_queue(database: Database, scope: FleetScope, now: datetime) -> FleetQueue:
    """The queue of this part of the fleet."""
    queues = await queue_by_environment(database, scope.environment)
    oldest = min((queue.oldest_pending_at for queue in queues if queue.oldest_pending_at), default=None)
    return FleetQueue(
        active=sum(queue.active for queue in queues),
        pending=sum(queue.pending for queue in queues),
        oldest_seconds=None if oldest is None else max(0.0, (now - oldest).total_seconds()),
    )


async def fleet_today(database: Database, scope: FleetScope, since: datetime) -> FleetToday:
    """The day of this part of the fleet."""
    parameters = {"environment": scope.environment, "since": since}
    return FleetToday(*(await database.fetch(_SQL["fleet_today"], parameters))[0])


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
