"""Leadership: one worker of many does what must be done once, and another goes on within seconds of its end.

The lock is held by a Postgres session of its own. A worker that dies takes its session along; one that hangs, or can no
longer be reached, does not ask in time, and Postgres ends its session. For as long as a worker that hung has not found
that out there may be two: what a leader does must bear that.
"""

from __future__ import annotations

import asyncio
import logging
from secrets import SystemRandom

import asyncpg

from datasources.connections import LOST
from subscriptions.tasks import keep_going

_log = logging.getLogger(__name__)

LEDGER = 0x436173_4C656467  # "CasLedg": who tails the ledger for all
_ASK = 1.0  # seconds between two questions
_TIMEOUT = 2.0  # seconds for an answer
_TRUST = 3.0  # seconds that an answer holds
_SESSION = {
    "application_name": "casare-monitor leader",
    "idle_session_timeout": "4000",  # beyond every answer that is still trusted
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "4000",
}


class Leadership:
    """One worker's candidature; locks of different keys have leaders of their own."""

    def __init__(self, dsn: str, key: int = LEDGER) -> None:
        self._dsn = dsn
        self._key = key
        self._locked = False
        self._trusted_until = 0.0
        self._turn = asyncio.Event()
        self._told = False
        self._task: asyncio.Task[None] | None = None
        self.terms = 0

    @property
    def held(self) -> bool:
        """Whether this worker leads."""
        return self._locked and asyncio.get_running_loop().time() < self._trusted_until

    async def turned(self, held: bool) -> None:
        """Wait until `held` is this."""
        while self.held is not held:
            turn = self._turn
            # Trust runs out without anybody saying so.
            try:
                async with asyncio.timeout(_ASK):
                    await turn.wait()
            except TimeoutError:
                continue

    async def start(self) -> None:
        """Stand for election."""
        self._task = asyncio.create_task(keep_going("leadership", self._stand), name="leadership")

    async def stop(self) -> None:
        """Stand no more; what was held goes to another at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _stand(self) -> None:
        complaint = ""
        while True:
            try:
                await self._serve()
            except LOST as error:
                reason = str(error) or type(error).__name__
                if reason != complaint:
                    _log.warning("leadership cannot be asked for: %s", reason)
                complaint = reason
            await asyncio.sleep(SystemRandom().uniform(_ASK / 2, _ASK))

    async def _serve(self) -> None:
        """Ask for the lock until it is given, and then whether it still is, for as long as the session lives."""
        loop = asyncio.get_running_loop()
        connection = await asyncpg.connect(
            self._dsn, timeout=_TIMEOUT, command_timeout=_TIMEOUT, server_settings=_SESSION
        )
        try:
            connection.add_termination_listener(lambda *_: self._become(False))
            while True:
                asked = loop.time()
                if self._locked:
                    await connection.execute("SELECT 1")
                locked = self._locked or await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._key)
                self._trusted_until = asked + _TRUST
                self._become(locked)
                await asyncio.sleep(_ASK)
        finally:
            self._become(False)
            connection.terminate()

    def _become(self, locked: bool) -> None:
        if locked is self._locked:
            return
        self._locked = locked
        self.terms += locked
        _log.info("leads" if locked else "leads no longer")
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()
