"""Everything that moves in one worker: the follower of the ledger, the gauges and the tasks that keep them going."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from weakref import WeakValueDictionary

from datasources.collector import ReportedDepth, reported_depths
from datasources.events import ledger_identity
from datasources.postgres import Database, UpstreamError, UpstreamUnavailable
from datasources.scope import EVERYTHING, Scope
from datasources.settings import Settings
from subscriptions.collector import RPAMetricsCollector
from subscriptions.doorbell import Doorbell
from subscriptions.feed import Batch, Feed
from subscriptions.folder import Folder
from subscriptions.follower import Follower
from subscriptions.gauge import Gauge
from subscriptions.sight import Sight, Turns
from subscriptions.sweeper import Sweeper
from subscriptions.tail import BusState, SharedTail
from subscriptions.tasks import keep_going

_log = logging.getLogger(__name__)

_BACKSTOP = 1.0  # seconds until the ledger is looked at without a doorbell
_START = 5.0  # seconds that a subscriber waits for a worker that is only starting


class Live:
    """What a worker knows of what moves."""

    def __init__(self, database: Database, dsn: str, settings: Settings, *, collecting: bool = True) -> None:
        self._collecting = collecting
        self._database = database
        self._settings = settings
        self.doorbell = Doorbell(dsn, self._ring)
        self.sweeper = Sweeper(database, settings)
        self.folder = Folder(database)
        self._shared = SharedTail(dsn, settings)
        self._ready = asyncio.Event()
        self._rung = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._looking = asyncio.Lock()
        self._asked = self._answered = 0  # who wants a look, by number, and up to whom the last one was for
        self._found: Batch | UpstreamError
        self._follower: Follower | None = None
        self.seen = asyncio.Event()  # whether this worker has seen the ledger since it started
        self.identity = ""
        self.reported: Gauge[ReportedDepth] = Gauge("reported queues", self._read_reported)
        self._turns = Turns()
        # Those of a scope are kept for as long as somebody holds them.
        self._sights: WeakValueDictionary[frozenset[str] | None, Sight] = WeakValueDictionary()
        self.everything = self.seen_by(EVERYTHING)
        self.collector = RPAMetricsCollector(
            database, settings, self.follower, self.everything.robots, self.reported, self._ring_queues
        )

    async def start(self) -> None:
        """Start what keeps it going; a database that is away does not hinder."""
        for name, work in (
            ("doorbell", self.doorbell.run),
            ("ledger", self._follow),
            ("sweeper", self.sweeper.run),
            ("folder", self.folder.run),
            *((("collector", self.collector.run),) if self._collecting else ()),
        ):
            self._tasks.append(asyncio.create_task(keep_going(name, work), name=f"live-{name}"))

    async def stop(self) -> None:
        """End all of it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._shared.stop()

    @property
    def feed_age(self) -> float:
        """How long ago this worker saw the ledger, in seconds; infinite where it has not yet."""
        if self._follower is None or not self._follower.seen_at:
            return math.inf
        return asyncio.get_running_loop().time() - self._follower.seen_at

    @property
    def bus(self) -> BusState:
        """How this worker hears the others."""
        return self._shared.state

    def seen_by(self, scope: Scope) -> Sight:
        """What moves within a scope; the same for all who have the same."""
        # What errors said is in no gauge: who may not see that sees the same.
        found = self._sights.get(scope.environments)
        if found is None:
            database = self._database.scoped(Scope(scope.environments))
            found = Sight(self, database, self._settings.offline_after_seconds, self._turns)
            self._sights[scope.environments] = found
        return found

    async def follower(self) -> Follower:
        """The follower of the ledger; raises UpstreamUnavailable where it could not start yet."""
        if self._follower is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_START):
                    await self._ready.wait()
        if self._follower is None:
            raise UpstreamUnavailable("the ledger could not be read yet")
        return self._follower

    async def look(self) -> Batch:
        """Read the ledger as it is now, and tell the other workers what is new.

        All who ask while it is being read share the next reading: a thousand who come back at once cost two.
        """
        follower = await self.follower()
        self._asked += 1
        asked = self._asked
        async with self._looking:
            if self._answered < asked:
                answering = self._asked
                self._found = await self._look(follower)
                self._answered = answering
        if isinstance(self._found, UpstreamError):
            raise self._found
        return self._found

    async def _look(self, follower: Follower) -> Batch | UpstreamError:
        try:
            batch = await follower.look()
        except UpstreamError as error:
            return error
        await self._shared.tell(batch)
        return batch

    def _ring(self, what: str) -> None:
        if what == "events":
            self._rung.set()
        if what == "queue":
            self.reported.ring()
        for sight in list(self._sights.values()):
            sight.ring(what)

    async def _follow(self) -> None:
        while True:
            try:
                if self._follower is None:
                    self.identity = await ledger_identity(self._database)
                    self._follower = Follower(self._database, await Feed.at_end(self._database))
                    self._ready.set()
                    await self._shared.start(self._follower, self.identity, self._rung.set)
                self._rung.clear()
                while self._shared.to_look() and (await self.look()).full:
                    pass
                self.seen.set()
            except UpstreamError as error:
                _log.warning("the ledger cannot be read: %s", error)
                await asyncio.sleep(_BACKSTOP)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_BACKSTOP):
                    await self._rung.wait()

    def _ring_queues(self) -> None:
        for sight in list(self._sights.values()):
            sight.queue.ring()

    async def _read_reported(self) -> Mapping[str, ReportedDepth]:
        reported = await reported_depths(self._database)
        self._ring_queues()
        return reported
