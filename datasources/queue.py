"""The queue: what waits and what runs, by environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from datasources.postgres import Database
from datasources.sql import queries

_SQL = queries("queue")


@dataclass(frozen=True, slots=True)
class EnvironmentQueue:
    """The queue of one environment."""

    environment: str
    pending: int
    active: int
    oldest_pending_at: datetime | None


async def queue_by_environment(database: Database, environment: str | None = None) -> tuple[EnvironmentQueue, ...]:
    """The queues of an environment, or of all, that have jobs waiting or running."""
    records = await database.fetch(_SQL["queue_by_environment"], {"environment": environment})
    return tuple(EnvironmentQueue(*record) for record in records)
