"""The follower: what a worker knows of the ledger, and the way for its streams to go along.

The newest events stay in memory, numbered in the order of their delivery. A stream that has fallen behind them, or
comes back with a cursor, reads what it missed from the ledger: nothing is queued for anybody, so nobody's slowness
costs memory, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from datasources.events import EventRow, Position, events_between
from datasources.postgres import Database, UpstreamError
from subscriptions.feed import Batch, Feed

_KEPT = 10_000  # events in memory
_PAGE = 500  # events of one read when catching up
_PATIENCE = 1.0  # seconds between two tries of a stream to go on

_log = logging.getLogger(__name__)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event of a batch, and where its reader stood before and after the batch."""

    event: EventRow
    before: Position
    after: Position

    @property
    def position(self) -> Position:
        """Where the reader stands with it: all of the batch up to it. Not kept, since thousands have gaps in common."""
        passed = self.after.up_to(self.event.seq)
        return passed if passed.high >= self.before.high else self.before.union(passed)


@dataclass(frozen=True, slots=True)
class Missed:
    """Events that are gone: at most so many, or None where nobody can tell."""

    reason: str
    count: int | None
    position: Position


class Follower:
    """One worker's view of the ledger."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed
        self._recent: deque[Delivered] = deque(maxlen=_KEPT)
        self._end = 0  # how many events were delivered, ever
        self._moved = asyncio.Event()
        self._looking = asyncio.Lock()
        self._complained_at = -math.inf
        self.seen_at = 0.0

    @property
    def position(self) -> Position:
        """Where it stands."""
        return self._feed.position

    async def look(self) -> Batch:
        """Read the ledger once, as far as one batch goes, and deliver what is new."""
        async with self._looking:
            began = asyncio.get_running_loop().time()
            batch = await self._feed.look(self._database)
            self._deliver(batch)
            self.seen_at = began
            return batch

    async def take(self, batch: Batch) -> None:
        """Deliver what another worker's feed has read; read for oneself what is missing before it."""
        await self.reach(batch.before)
        async with self._looking:
            before = self.position
            fresh = [event for event in batch.events if not before.covers(event.seq)]
            self._feed.adopt(fresh)
            self._feed.agree(batch.after)
            self._deliver(Batch(before, fresh, self.position))
            self.seen_at = asyncio.get_running_loop().time()

    async def reach(self, position: Position) -> bool:
        """Look until all that the position covers is delivered; False where the ledger does not go that far."""
        while not self.position.dominates(position) and (await self.look()).full:
            pass
        return self.position.high >= position.high

    def _deliver(self, batch: Batch) -> None:
        self._recent.extend(Delivered(event, batch.before, batch.after) for event in batch.events)
        if batch.events:
            self._end += len(batch.events)
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    @property
    def end(self) -> int:
        """How many events it has delivered: the ordinal of the next one."""
        return self._end

    def trail(self) -> Trail:
        """A stream's way along the ledger, from now on."""
        return Trail(self)

    def recent(self, ordinal: int, most: int = 1) -> list[Delivered]:
        """What was delivered from this ordinal on, up to so many; nothing where that is no longer in memory."""
        place = ordinal - self._end + len(self._recent)
        if place < 0:
            return []
        return [self._recent[each] for each in range(place, min(place + most, len(self._recent)))]

    async def moved(self) -> None:
        """Wait until something is delivered."""
        await self._moved.wait()

    async def wait_out(self, error: UpstreamError) -> None:
        """Let a moment pass before a stream asks again; of all that wait at the same time, one says so."""
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= _PATIENCE:
            self._complained_at = now
            _log.warning("streams cannot go on yet: %s", error)
        await asyncio.sleep(_PATIENCE)

    async def between(self, start: Position, end: Position) -> AsyncIterator[Delivered | Missed]:
        """What `end` covers and `start` does not, from the ledger; first what is gone, if anything is."""
        position, after = start, 0
        while True:
            events, pruned = await events_between(self._database, start, end, after=after, limit=_PAGE)
            gone = end.up_to(pruned)
            if lost := sum(last - first + 1 for first, last in position.missing(gone)):
                position = position.union(gone)
                yield Missed("RETENTION", lost, position)
            for event in events:
                yield Delivered(event, position, end)
            if len(events) < _PAGE:
                return
            after = events[-1].seq
            position = position.union(end.up_to(after))


class Trail:
    """One stream's way along the ledger: every event from its start on, in the order of their delivery, for ever.

    `passed` is the ordinal up to which everything has been taken and done with; `position` is where that is.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._missed: AsyncIterator[Delivered | Missed] | None = None
        self._next = self.passed = follower.end
        self.position = self._taken = self._target = follower.position
        self._went = asyncio.Event()

    @property
    def at_end(self) -> bool:
        """Whether all that was delivered has been taken."""
        return self._missed is None and self._next >= self._follower.end

    async def __anext__(self) -> Delivered | Missed:
        return (await self.some(1))[0]

    async def some(self, most: int) -> Sequence[Delivered | Missed]:
        """What comes next, waiting for one, and taking as many more as are at hand."""
        self._done_with_last()
        while True:
            if self._missed is not None:
                try:
                    missed = await first_of(self._missed, most)
                except UpstreamError as error:
                    await self._follower.wait_out(error)
                    self._missed = self._follower.between(self._taken, self._target)
                    continue
                if missed:
                    self._taken = missed[-1].position
                    return missed
                self._missed, self._taken = None, self._target
                self._done_with_last()
            elif self._next < self._follower.end:
                if delivered := self._follower.recent(self._next, most):
                    self._next += len(delivered)
                    self._taken = delivered[-1].position
                    return delivered
                self._target = self._follower.position
                self._next = self._follower.end
                self._missed = self._follower.between(self._taken, self._target)
            else:
                await self._follower.moved()

    def __aiter__(self) -> Trail:
        return self

    def _done_with_last(self) -> None:
        if self._missed is None:
            self.passed = self._next
        self.position = self._taken
        went, self._went = self._went, asyncio.Event()
        went.set()

    async def pass_by(self, ordinal: int) -> None:
        """Wait until everything before the ordinal is done with."""
        while self.passed < ordinal:
            await self._went.wait()


async def first_of(items: AsyncIterator[Item], most: int) -> list[Item]:
    """Up to so many items; none where there are no more."""
    found = []
    async for item in items:
        found.append(item)
        if len(found) == most:
            break
    return found
