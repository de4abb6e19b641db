"""The fleet in numbers: robots by state, the queue, and today."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from datasources.postgres import Database
from datasources.sql import queries

_SQL = queries("fleet")


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


async def fleet_robots(database: Database, environment: str | None, offline_after: float) -> FleetRobots:
    """The robots of an environment, or of all, by state."""
    parameters = {"environment": environment, "offline_after": offline_after}
    return FleetRobots(*(await database.fetch(_SQL["fleet_robots"], parameters))[0])


async def fleet_queue(database: Database, environment: str | None) -> FleetQueue:
    """The queue of an environment, or of all."""
    return FleetQueue(*(await database.fetch(_SQL["fleet_queue"], {"environment": environment}))[0])


async def fleet_today(database: Database, environment: str | None, since: datetime) -> FleetToday:
    """The day of an environment, or of all."""
    parameters = {"environment": environment, "since": since}
    return FleetToday(*(await database.fetch(_SQL["fleet_today"], parameters))[0])
