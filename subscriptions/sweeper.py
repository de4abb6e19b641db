"""The sweeper: what no report and no question would ever cause.

A robot that stops says nothing, so somebody has to notice; and the ledger and the heartbeats grow for ever. Every
worker has a sweeper, and whichever comes first does what there is to do while the others pass by.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from secrets import SystemRandom

import asyncpg

from datasources.audit import prune_audit
from datasources.backoff import backoff
from datasources.events import prune_events
from datasources.postgres import Connection, Database, UpstreamError
from datasources.rates import prune_rates
from datasources.settings import Settings
from datasources.sweeps import (
    keep_heartbeat_days,
    prune_heartbeats,
    prune_jobs,
    prune_source_errors,
    sweeping,
    turn_silent_robots_offline,
)

_log = logging.getLogger(__name__)

_EVERY = 5.0  # seconds between two sweeps
_LONGEST_PAUSE = 60.0  # seconds more, after failures
_PIECE = 5_000  # rows of one transaction
_DAY = 86_400.0  # seconds
_HEARTBEAT_DAYS = 7

Broom = Callable[[Connection], Awaitable[int]]


class Sweeper:
    """One worker's part in sweeping; `swept` counts what it did, by kind, and `sweeps` and `failures` how often."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self.sweeps = 0
        self.failures = 0
        kinds = ("robots", "events", "source_errors", "heartbeats", "heartbeat_days", "jobs", "audit", "rates")
        self.swept: Counter[str] = Counter(dict.fromkeys(kinds, 0))

    async def run(self) -> None:
        """Sweep every few seconds, until cancelled."""
        attempt = 0
        while True:
            # Workers that started together need not all come at once.
            pause = backoff(attempt, _EVERY, _LONGEST_PAUSE)
            await asyncio.sleep(SystemRandom().uniform(0.8, 1.2) * _EVERY + pause)
            try:
                await self.sweep()
                attempt = 0
            except (UpstreamError, asyncpg.PostgresError) as error:
                attempt += 1
                self.failures += 1
                _log.warning("the sweep has to be repeated: %s", error)

    async def sweep(self) -> None:
        """Do all there is to do, unless another worker is at it."""
        settings = self._settings
        brooms: dict[str, Broom] = {
            "robots": lambda connection: turn_silent_robots_offline(
                connection, seconds=settings.offline_after_seconds, limit=_PIECE
            ),
            "events": lambda connection: prune_events(
                connection, seconds=settings.ledger_days * _DAY, most=settings.ledger_events, limit=_PIECE
            ),
            "source_errors": lambda connection: prune_source_errors(
                connection, seconds=settings.source_error_days * _DAY, limit=_PIECE
            ),
            "heartbeats": lambda connection: prune_heartbeats(connection, seconds=_HEARTBEAT_DAYS * _DAY, limit=_PIECE),
            "audit": lambda connection: prune_audit(connection, seconds=settings.audit_days * _DAY, limit=_PIECE),
            "rates": lambda connection: prune_rates(connection, limit=_PIECE),
        }
        for kind, broom in brooms.items():
            while await self._piece(kind, broom) == _PIECE:
                pass
        await self._piece(
            "heartbeat_days", lambda connection: keep_heartbeat_days(connection, seconds=_HEARTBEAT_DAYS * _DAY)
        )
        if (days := settings.job_days) is not None:
            # A piece a sweep, for a past of millions must not be in the way of the present.
            await self._piece("jobs", lambda connection: prune_jobs(connection, seconds=days * _DAY, limit=_PIECE))
        self.sweeps += 1

    async def _piece(self, kind: str, broom: Broom) -> int:
        async with sweeping(self._database) as connection:
            rows = 0 if connection is None else await broom(connection)
        self.swept[kind] += rows
        return rows
