"""Gauges: values of which only the newest matters, kept in memory while somebody watches.

A gauge is read again when the doorbell rings and at least every so often, but never faster than the reading costs: a
storm of heartbeats becomes a few readings. Watchers ask for what changed since they last looked; nothing is queued.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import UTC, datetime
from typing import Generic, TypeVar

from datasources.postgres import UpstreamError
from subscriptions.tasks import keep_going

Value = TypeVar("Value")

_log = logging.getLogger(__name__)

_SLOWEST = 2.0  # seconds between two readings with nothing happening
_FASTEST = 0.03  # seconds between two readings, whatever happens
_SHARE = 5  # a reading may take this part of the time


class Gauge(Generic[Value]):
    """The newest values, by key, and in which order they came."""

    def __init__(
        self,
        name: str,
        read: Callable[[], Awaitable[Mapping[str, Value]]],
        moment: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name = name
        self._read = read
        self._moment = moment
        self._complaint = ""
        self._values: dict[str, tuple[int, Value]] = {}
        self._changed = asyncio.Event()
        self._rung = asyncio.Event()
        self._watchers = 0
        self._keeping: asyncio.Task[None] | None = None
        self.version = 0
        self.read_at: float | None = None
        self.begun = asyncio.Event()  # whether it was read once
        self.as_of = datetime.min.replace(tzinfo=UTC)
        self._begun = self._taken = 0

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def ring(self) -> None:
        """Something may have changed."""
        self._rung.set()

    def since(self, version: int) -> list[tuple[str, Value]]:
        """What changed after a version, oldest change first."""
        return [(key, value) for key, (changed, value) in self._values.items() if changed > version]

    async def changed(self, version: int) -> None:
        """Wait until it is newer than the version."""
        while self.version <= version:
            await self._changed.wait()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep it fresh for as long as the block lasts; it is fresh when the block begins."""
        async with self.kept():
            await self.refresh()
            yield

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep it fresh for as long as the block lasts, as soon as it can be read."""
        self._watchers += 1
        if self._keeping is None:
            # Whoever comes first leaves others behind: what is done for all is not part of that one's exchange.
            self._keeping = asyncio.create_task(keep_going(self._name, self._keep), name=self._name, context=Context())
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers and self._keeping is not None:
                self._keeping.cancel()
                self._keeping = None

    async def refresh(self) -> None:
        """Read it now."""
        self._begun += 1
        begun, moment = self._begun, self._moment()
        values = await self._read()
        if begun < self._taken:
            return  # a reading that began later is there already, and knows better
        self._taken, self.as_of = begun, moment
        changed = [key for key, value in values.items() if key not in self._values or self._values[key][1] != value]
        gone = self._values.keys() - values.keys()
        self.read_at = asyncio.get_running_loop().time()
        self.begun.set()
        if not changed and not gone:
            return
        for key in gone:
            del self._values[key]
        self.version += 1
        for key in changed:
            self._values.pop(key, None)
            self._values[key] = (self.version, values[key])
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()

    async def _keep(self) -> None:
        """Keep it fresh, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._rung.clear()
            started = loop.time()
            try:
                await self.refresh()
                self._complaint = ""
            except UpstreamError as error:
                if str(error) != self._complaint:
                    _log.warning("%s: %s", self._name, error)
                self._complaint = str(error)
                await asyncio.sleep(1)
            await asyncio.sleep(max(_FASTEST, _SHARE * (loop.time() - started)))
            try:
                async with asyncio.timeout(_SLOWEST):
                    await self._rung.wait()
            except TimeoutError:
                continue
