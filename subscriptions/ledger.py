"""Ledger streams: transitions as they are recorded, each with the cursor to come back with.

A stream is asked for in parts. What many share is `FromNow`; what one subscriber alone needs before it can join them is
`Between` two positions, or the `AtOnce` of those who come without a cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from datasources.events import EventRow, Position
from subscriptions.cursor import read_cursor, write_cursor
from subscriptions.follower import Delivered, Follower, Missed, Trail, first_of
from subscriptions.live import Live
from subscriptions.sight import Sight

_AT_ONCE = 100  # transitions that are executed together


@dataclass(slots=True)
class FromNow:
    """What is recorded from now on; `trail` is there once the stream has `begun`."""

    trail: Trail | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Between:
    """What one position covers and another does not."""

    start: Position
    end: Position


@dataclass(frozen=True, slots=True)
class AtOnce:
    """The state at the beginning."""


Part = FromNow | Between | AtOnce


@dataclass(frozen=True, slots=True)
class LedgerUpdate:
    """A transition, or word of transitions that are gone; with the cursor of its place."""

    cursor: str
    event: EventRow | None = None
    missed: Missed | None = None


@dataclass(slots=True)
class Start:
    """Where a subscriber that comes back begins: behind its cursor, or, where that is no good, after a gap."""

    position: Position
    missed: Missed | None = field(default=None)


async def start_behind(live: Live, cursor: str) -> Start:
    """Where to go on from a cursor; raises BadCursor where the text is none."""
    identity, position = read_cursor(cursor)
    follower = await live.follower()
    while (await live.look()).full and follower.position.high < position.high:
        pass
    here = follower.position
    if identity != live.identity:
        return Start(here, Missed("ANOTHER_LEDGER", None, here))
    if position.high > here.high:
        return Start(here, Missed("AHEAD_OF_LEDGER", None, here))
    return Start(position)


async def begin(live: Live, part: Part) -> None:
    """Start a stream from now on at this moment, rather than when it is first asked for an update."""
    if isinstance(part, FromNow) and part.trail is None:
        part.trail = (await live.follower()).trail()
        part.begun.set()


async def ledger_updates(
    sight: Sight, part: Part, wanted: Callable[[EventRow], bool]
) -> AsyncIterator[Sequence[LedgerUpdate]]:
    """The transitions of a part of the ledger that are seen and wanted, as many at once as are at hand.

    Cursors, and how many are missed, tell of all that there are, seen or not.
    """
    live = sight.live
    await begin(live, part)
    async for items in _items(await live.follower(), part):
        yield [
            _update(live.identity, item)
            for item in items
            if isinstance(item, Missed) or (sight.sees(item.event) and wanted(item.event))
        ]


def _update(identity: str, item: Delivered | Missed) -> LedgerUpdate:
    cursor = write_cursor(identity, item.position)
    return LedgerUpdate(cursor, missed=item) if isinstance(item, Missed) else LedgerUpdate(cursor, item.event)


async def _items(follower: Follower, part: Part) -> AsyncIterator[Sequence[Delivered | Missed]]:
    match part:
        case FromNow():
            trail = part.trail or follower.trail()
            while True:
                yield await trail.some(_AT_ONCE)
        case Between():
            missed = follower.between(part.start, part.end)
            while items := await first_of(missed, _AT_ONCE):
                yield items
        case AtOnce():
            return  # the ledger has no state: who wants one reads it elsewhere
        case _:
            assert_never(part)
