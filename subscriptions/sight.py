"""What of a worker's moving things lies within a scope: the only way from a resolver to them.

Transitions belong to the environment they happened in, and are shared by all. Robots are read through the scope as
every question is, once for all who have the same: one that leaves it is as one that was deleted. The queue is what the
collector counts of the scope's environments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from datasources.events import EventRow
from datasources.postgres import Database
from datasources.queue import EnvironmentQueue, queue_by_environment
from datasources.robots import RobotRow, robots_all
from datasources.scope import Scope
from subscriptions.gauge import Gauge

if TYPE_CHECKING:
    from subscriptions.live import Live


class Turns:
    """The gauges of all scopes are read one after the other: many scopes make them slower, not the database."""

    def __init__(self) -> None:
        self.robots = asyncio.Lock()
        self.queue = asyncio.Lock()


class Sight:
    """The transitions and gauges of one scope; the database is the worker's, seen through it."""

    def __init__(self, live: Live, database: Database, offline_after: float, turns: Turns) -> None:
        self.live = live
        self.scope: Scope = database.scope
        self._database = database
        self._offline_after = offline_after
        self._turns = turns
        self.robots: Gauge[RobotRow] = Gauge("robots", self._read_robots)
        self.queue: Gauge[EnvironmentQueue] = Gauge("queue", self._read_queue, self._queue_moment)

    def sees(self, event: EventRow) -> bool:
        """Whether a transition happened within the scope."""
        return self.scope.sees(event.environment)

    def ring(self, what: str) -> None:
        """Something has changed: `events`, `robots` or `queue`."""
        if what in {"events", "queue"} and not self.live.collector.ready:  # which rings when it knows
            self.queue.ring()
        if what in {"events", "robots"}:
            self.robots.ring()

    async def _read_robots(self) -> Mapping[str, RobotRow]:
        async with self._turns.robots:
            rows = await robots_all(self._database, self._offline_after)
        return {row.robot_id: row for row in rows}

    async def _read_queue(self) -> Mapping[str, EnvironmentQueue]:
        if self._in_memory:
            return self.live.collector.queues(self.scope)
        async with self._turns.queue:
            queues = await queue_by_environment(self._database)
        return {queue.environment: queue for queue in queues}

    @property
    def _in_memory(self) -> bool:
        # A collector that has just begun may know less than SQL has said already: nobody is told the past.
        return self.live.collector.ready and self.live.collector.queue_as_of >= self.queue.as_of

    def _queue_moment(self) -> datetime:
        return self.live.collector.queue_as_of if self._in_memory else datetime.now(UTC)
