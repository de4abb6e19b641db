"""The doorbell: a connection of its own that hears Postgres say that it is worth looking.

It carries no news. Whoever misses it looks by themselves a second later. It rings again a moment after it rang, since
a transaction that commits while another is ringing does not ring itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import asyncpg

from datasources.backoff import backoff
from datasources.connections import LOST

_log = logging.getLogger(__name__)

_CHANNEL = "monitor"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds before a connection is made again
_ECHO = 0.025  # seconds until it rings again: longer than most commits take
_CHECK = 5.0  # seconds between two looks whether the connection lives


class Doorbell:
    """Calls `ring` with what the notification names, until cancelled; reconnects by itself."""

    def __init__(self, dsn: str, ring: Callable[[str], None]) -> None:
        self._dsn = dsn
        self._ring = ring
        self._echoes: dict[str, asyncio.TimerHandle] = {}
        self.connected = False

    async def run(self) -> None:
        """Listen, until cancelled."""
        attempt = 0
        while True:
            try:
                await self._listen()
                attempt = 0
            except LOST as error:
                _log.warning("the doorbell is not heard: %s", str(error) or type(error).__name__)
            finally:
                self.connected = False
            attempt += 1
            await asyncio.sleep(backoff(attempt, _FIRST_PAUSE, _LONGEST_PAUSE))

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=5)
        try:
            await connection.add_listener(_CHANNEL, lambda *notification: self._hear(str(notification[-1])))
            self.connected = True
            self._ring("events")
            self._ring("robots")
            while not connection.is_closed():
                await asyncio.sleep(_CHECK)
                await connection.execute("SELECT 1")
        finally:
            for echo in self._echoes.values():
                echo.cancel()
            self._echoes.clear()
            connection.terminate()

    def _hear(self, what: str) -> None:
        self._ring(what)
        if what not in self._echoes:
            self._echoes[what] = asyncio.get_running_loop().call_later(_ECHO, self._echo, what)

    def _echo(self, what: str) -> None:
        del self._echoes[what]
        self._ring(what)
