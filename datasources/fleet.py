"""The fleet in numbers: robots by state, the queue, and today."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from datasources.postgres import Database
from datasources.queue import EnvironmentQueue, queue_by_environment
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

    @classmethod
    def of(cls, queues: Collection[EnvironmentQueue], at: datetime) -> FleetQueue:
        """The queues of some environments together, at a moment."""
        oldest = min((queue.oldest_pending_at for queue in queues if queue.oldest_pending_at), default=None)
        return cls(
            active=sum(queue.active for queue in queues),
            pending=sum(queue.pending for queue in queues),
            oldest_seconds=None if oldest is None else max(0.0, (at - oldest).total_seconds()),
        )


@dataclass(frozen=True, slots=True)
class FleetToday:
    """Jobs created since midnight UTC, and the average run of those that ended, in seconds."""

    total: int
    average_seconds: float | None


@dataclass(frozen=True, slots=True)
class FleetNumbers:
    """A part of the fleet in numbers; where they come from Postgres its queue is read after the rest."""

    robots: FleetRobots
    queue: FleetQueue
    today: FleetToday


async def fleet_numbers(database: Database, scope: FleetScope, *, offline_after: float, now: datetime) -> FleetNumbers:
    """The numbers of this part of the fleet; the day begins at midnight UTC, as `now` is."""
    parameters = {
        "environment": scope.environment,
        "offline_after": offline_after,
        "since": now.replace(hour=0, minute=0, second=0, microsecond=0),
    }
    [row] = await database.fetch(_SQL["fleet"], parameters)
    queues = await queue_by_environment(database, scope.environment)
    return FleetNumbers(FleetRobots(*row[:5]), FleetQueue.of(queues, now), FleetToday(*row[5:]))


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
