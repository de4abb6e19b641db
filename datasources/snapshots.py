"""Snapshots: whether anything was committed since somebody looked, whoever wrote it, by whatever worker or program.

Postgres itself knows best. That costs one short statement, and all who ask for one at the same time share it. A
connection of its own is part of what is compared: one that breaks may have led to a server that has lost something.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime

import asyncpg

from datasources.backoff import backoff
from datasources.connections import LOST
from datasources.sql import queries

_SQL = queries("snapshots")
_TIMEOUT = 1.0  # seconds for an answer; who does not get one does without
_CONNECT = 5.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds before a connection is made again

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that an answer may depend on but the hour of the day: equal ones see the same."""

    session: int
    committed: str
    oldest_sign: datetime | None
    day: date


class Snapshots:
    """Tells the latest snapshot, over a connection that is made anew when it breaks."""

    def __init__(self, dsn: str, offline_after: float) -> None:
        self._dsn = dsn
        self._statement, self._arguments = _SQL["latest"].bind({"offline_after": offline_after})
        self._connection: asyncpg.Connection | None = None
        self._session = 0
        self._turn: asyncio.Task[Snapshot | None] | None = None
        self._looking = asyncio.Lock()

    async def latest(self) -> Snapshot | None:
        """What is committed, looked up after this was called; None where that cannot be told at once."""
        if self._connection is None:
            return None
        if self._turn is None:
            self._turn = asyncio.create_task(self._look(), name="snapshot")
        return await asyncio.shield(self._turn)

    async def run(self) -> None:
        """Keep the connection, until cancelled."""
        attempt = 0
        while True:
            try:
                await self._keep()
                attempt = 0
            except LOST as error:
                _log.warning("answers are not shared, as no snapshot is told: %s", str(error) or type(error).__name__)
            attempt += 1
            await asyncio.sleep(backoff(attempt, _FIRST_PAUSE, _LONGEST_PAUSE))

    async def _keep(self) -> None:
        broken = asyncio.Event()
        connection = await asyncpg.connect(
            self._dsn,
            timeout=_CONNECT,
            command_timeout=_TIMEOUT,
            server_settings={
                "application_name": "casare-monitor snapshots",
                "statement_timeout": str(int(_TIMEOUT * 1000)),
                "jit": "off",
            },
        )
        try:
            connection.add_termination_listener(lambda _: broken.set())
            await connection.fetch(self._statement, *self._arguments)
            self._session += 1
            self._connection = connection
            await broken.wait()
        finally:
            self._connection = None
            connection.terminate()

    async def _look(self) -> Snapshot | None:
        async with self._looking:
            self._turn = None  # who comes from now on waits for the next look
            connection, session, day = self._connection, self._session, datetime.now(UTC).date()
            if connection is None:
                return None
            try:
                rows = await connection.fetch(self._statement, *self._arguments)
                committed, oldest_sign = rows[0]
            except LOST as error:
                _log.warning("no snapshot is told: %s", str(error) or type(error).__name__)
                connection.terminate()
                return None
            return Snapshot(session, committed, oldest_sign, day)
