"""The follower: what a worker knows of the ledger, and the way for its streams to go along.

The newest events stay in memory, numbered in the order of their delivery. A stream that has fallen behind them, or
comes back with a cursor, reads what it missed from the ledger: nothing is queued for anybody, so nobody's slowness
costs memory, and nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from datasources.events import EventRow, Position, events_between, oldest_event
from datasources.postgres import Database
from subscriptions.feed import Batch, Feed

_KEPT = 10_000  # events in memory
_PAGE = 500  # events of one read when catching up


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event, and where the ledger's follower stands with it."""

    event: EventRow
    position: Position


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
        self.seen_at = 0.0

    @property
    def position(self) -> Position:
        """Where it stands."""
        return self._feed.position

    async def look(self) -> Batch:
        """Read the ledger once, as far as one batch goes, and deliver what is new."""
        async with self._looking:
            batch = await self._feed.look(self._database)
            self._deliver(batch.events, batch.positions)
            self.seen_at = asyncio.get_running_loop().time()
            return batch

    async def take(self, batch: Batch) -> None:
        """Deliver what another worker's feed has read; read for oneself what is missing before it."""
        if not self.position.dominates(batch.before):
            while (await self.look()).events:
                pass
        async with self._looking:
            fresh = [event for event in batch.events if not self.position.covers(event.seq)]
            positions = [self._feed.adopt(event.seq) for event in fresh]
            self._feed.agree(batch.after)
            self._deliver(fresh, positions)
            self.seen_at = asyncio.get_running_loop().time()

    async def reach(self, position: Position) -> bool:
        """Look until it covers the position; False where the ledger does not go that far."""
        while not self.position.dominates(position):
            if not (await self.look()).events:
                return self.position.dominates(position)
        return True

    def _deliver(self, events: Sequence[EventRow], positions: Sequence[Position]) -> None:
        for event, position in zip(events, positions, strict=True):
            self._recent.append(Delivered(event, position))
        if events:
            self._end += len(events)
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    async def follow(self, start: Position | None = None) -> AsyncIterator[Delivered | Missed]:
        """Every event behind a position, or from now on, for ever; first what is gone, if anything is."""
        position, ordinal = self.position, self._end
        if start is not None:
            async for item in self.between(start, position):
                yield item
        while True:
            if ordinal < self._end - len(self._recent):
                target, ordinal = self.position, self._end
                async for item in self.between(position, target):
                    yield item
                position = target
            while ordinal < self._end and ordinal >= self._end - len(self._recent):
                delivered = self._recent[ordinal - self._end + len(self._recent)]
                ordinal += 1
                position = delivered.position
                yield delivered
            if ordinal == self._end:
                await self._moved.wait()

    async def between(self, start: Position, end: Position) -> AsyncIterator[Delivered | Missed]:
        """What `end` covers and `start` does not, from the ledger; first what is gone, if anything is."""
        oldest = await oldest_event(self._database)
        lost = 0 if oldest is None else max(0, min(oldest, end.high + 1) - 1 - start.high)
        if oldest is not None and (lost or any(first < oldest for first, _ in start.gaps)):
            start = start.union(Position(oldest - 1))
            yield Missed("RETENTION", lost or None, start)
        position, after = start, 0
        while True:
            events = await events_between(self._database, start, end, after=after, limit=_PAGE)
            for event in events:
                position = position.with_event(event.seq)
                after = event.seq
                yield Delivered(event, position if event.seq < end.high else position.union(end))
            if len(events) < _PAGE:
                return
