"""The jobs of the live fleet: rebuilt from Postgres, then kept true by what this worker hears of the ledger.

The ledger says which jobs changed; what they are now is read, all of a batch at once. A snapshot comes with the numbers
that stand in it already, so that nothing is counted twice. What no transition tells is found out otherwise: the
claimed jobs are read again when robots have spoken, for a heartbeat moves a job on, and from time to time everything is
compared with what SQL counts, for jobs may be seeded or deleted. Where they differ, everything is built anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from secrets import SystemRandom

from datasources.collector import jobs_now, snapshot, totals
from datasources.events import Position
from datasources.postgres import Database, UpstreamError
from datasources.robots import RobotRow
from subscriptions.collector.jobs import USUAL, WINDOW, Bounds, Jobs
from subscriptions.follower import Delivered, Follower, Missed, Trail
from subscriptions.gauge import Gauge

_log = logging.getLogger(__name__)

_AT_ONCE = 1000  # transitions of one reading
_MOST_CLAIMED = 5000  # claimed jobs that are read again at once; the others wait for a transition or a comparison
_PATIENCE = 1.0  # seconds between two tries to read
_PAUSE = 0.5  # seconds between two looks at the claimed jobs, whatever robots say
_QUIET = 2.0  # seconds between two looks with nothing said
_REBUILD_PAUSE = 5.0  # seconds between two rebuildings that nothing but doubt asks for
_COMPARED = (30.0, 60.0)  # seconds between two comparisons, at least and at most


class LiveJobs:
    """The jobs as one worker knows them; `counts` says how often they were rebuilt, and because they differed."""

    def __init__(
        self,
        database: Database,
        follower: Callable[[], Awaitable[Follower]],
        robots: Gauge[RobotRow],
        changed: Callable[[], None] = lambda: None,
        bounds: Bounds = USUAL,
    ) -> None:
        self._bounds = bounds
        self._database = database
        self._find_follower = follower
        self._robots = robots
        self._changed = changed
        self._follower: Follower | None = None
        self._trail: Trail | None = None
        self._position = Position(0)
        self._already: set[int] = set()
        self._turn = asyncio.Lock()
        self._folding = False
        self._rebuilt_at = 0.0
        self._as_of = datetime.min.replace(tzinfo=UTC)
        self.begun = asyncio.Event()  # whether they were read once
        self.sound = False
        self.jobs: Jobs | None = None
        self.counts: Counter[str] = Counter(rebuilds=0, differences=0, transitions=0)

    @property
    def known(self) -> int:
        """How many jobs are known one by one."""
        return 0 if self.jobs is None else self.jobs.known

    @property
    def crowd(self) -> int:
        """How many jobs wait or run that are no more than a number."""
        return 0 if self.jobs is None else self.jobs.crowd

    @property
    def as_of(self) -> datetime:
        """The moment up to which everything is counted that the ledger tells."""
        if self._follower is not None and self._trail is not None and self._trail.at_end and not self._folding:
            age = asyncio.get_running_loop().time() - self._follower.seen_at
            self._as_of = max(self._as_of, datetime.now(UTC) - timedelta(seconds=age))
        return self._as_of

    async def run(self) -> None:
        """Keep them true, until cancelled."""
        while True:
            try:
                await self.begin(await self._find_follower())
                break
            except UpstreamError as error:
                _log.warning("the live jobs cannot be read yet: %s", error)
                await asyncio.sleep(_PATIENCE)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear(), name="live-jobs-hear")
            group.create_task(self._keep_up(), name="live-jobs-keep-up")

    async def begin(self, follower: Follower) -> None:
        """Read everything as it is, and go along with the follower from there."""
        self._follower, self._trail = follower, follower.trail()
        self._position = self._trail.position
        await self.rebuild()

    async def hear(self) -> None:
        """Take what comes next, waiting for it, and as much more as is at hand."""
        if self._trail is None:
            raise RuntimeError("not begun")
        items = await self._trail.some(_AT_ONCE)
        self._folding = True
        async with self._turn:
            while self._folding:
                try:
                    await self._take(items)
                    self._folding = False
                except UpstreamError as error:
                    _log.warning("the live jobs cannot be kept: %s", error)
                    await asyncio.sleep(_PATIENCE)
        self._changed()

    async def rebuild(self) -> None:
        """Read everything anew."""
        self.sound = False
        now = datetime.now(UTC)
        read = await snapshot(
            self._database,
            self._position,
            _midnight(now),
            now - WINDOW,
            most_open=self._bounds.open,
            most_ended=self._bounds.ended,
        )
        self.jobs = await asyncio.to_thread(Jobs, read, now, self._bounds)  # thousands of them: others go on meanwhile
        self._already = set(read.heard_of)
        self._as_of = max(self._as_of, now)
        self.sound = True
        self._rebuilt_at = asyncio.get_running_loop().time()
        self.counts["rebuilds"] += 1
        self.begun.set()
        self._changed()

    async def renew(self) -> None:
        """Read everything anew, when nothing else is being read."""
        async with self._turn:
            await self.rebuild()

    async def refresh(self) -> None:
        """Read the claimed jobs again, whose robot, node and progress change without a transition."""
        if self.jobs is not None and self.jobs.claimed:
            job_ids = list(self.jobs.claimed)[:_MOST_CLAIMED]
            found = await jobs_now(self._database, job_ids)
            self.jobs.fold(dict.fromkeys(job_ids, "claimed"), found, datetime.now(UTC))

    async def compare(self) -> bool:
        """Whether SQL counts the same; if not, everything is read anew. Jobs on their way to us are left out.

        Where there is a crowd, everything is read anew instead: it may have changed without a transition as well.
        """
        if self.jobs is None:
            return False
        if self.jobs.crowd:
            await self.rebuild()
            return True
        now = datetime.now(UTC)
        self.jobs.settle(now)
        since = (now - WINDOW).replace(microsecond=0) + timedelta(seconds=1)
        counted, named = await totals(self._database, self._position, _midnight(now), since)
        known = self.jobs.totals(now, since, named)
        # Of a job that ended long ago its part in today's sums is not known: they are compared another time.
        whole = all(self.jobs.knows(job_id) for job_id in named)
        differing = sorted(
            environment
            for environment in counted.keys() | known.keys()
            if (ours := known.get(environment)) != (theirs := counted.get(environment))
            and (whole or _open(ours) != _open(theirs))
        )
        if not differing:
            return True
        self.counts["differences"] += 1
        _log.warning("the live jobs of %s were not what SQL counts: they are read anew", ", ".join(differing[:10]))
        await self.rebuild()
        return False

    async def _hear(self) -> None:
        while True:
            await self.hear()

    async def _take(self, items: Sequence[Delivered | Missed]) -> None:
        if self.jobs is None or any(isinstance(item, Missed) for item in items):
            # Those that come with a gap stand in the snapshot, or come again.
            self._position = items[-1].position
            await self.rebuild()
            return
        named: dict[str, str | None] = {}
        for item in items:
            if isinstance(item, Delivered) and item.event.kind == "job" and item.event.seq not in self._already:
                job_id = item.event.job_id or ""
                previous = item.event.previous_status
                named[job_id] = previous if previous is None else named.get(job_id, previous)
        if named:
            found = await jobs_now(self._database, list(named))
            self.jobs.fold(named, found, datetime.now(UTC))
            self.sound = self.sound and not self.jobs.doubtful
            self.counts["transitions"] += len(items)
        self._already.difference_update(item.event.seq for item in items if isinstance(item, Delivered))
        self._position = items[-1].position

    async def _keep_up(self) -> None:
        loop, random = asyncio.get_running_loop(), SystemRandom()
        due = loop.time() + random.uniform(*_COMPARED)
        while True:
            version = self._robots.version
            await asyncio.sleep(_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(_QUIET):
                    await self._robots.changed(version)
            try:
                async with self._turn:
                    await self.refresh()
                    doubtful = not self.sound or (self.jobs is not None and self.jobs.thin)
                    if doubtful and loop.time() - self._rebuilt_at > _REBUILD_PAUSE:
                        await self.rebuild()
                    elif loop.time() > due:
                        await self.compare()
                        due = loop.time() + random.uniform(*_COMPARED)
            except UpstreamError as error:
                _log.warning("the live jobs cannot be compared: %s", error)


def _open(counts: object) -> tuple[int, int]:
    return getattr(counts, "pending", 0), getattr(counts, "active", 0)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
