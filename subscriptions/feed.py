"""The feed: follows the ledger, delivers what is visible at once, and waits for nobody.

A number that is skipped is kept as a gap, and asked for again with every look. Whoever has drawn a number holds the
numbers' sequence until its transaction ends, so the transactions that hold it after a gap was noticed are all that can
still fill it. Once they have ended and the gap is still empty, it never will be filled (somebody rolled back), and is
forgotten. A stranger's transaction that wrote nothing to the ledger delays nothing and keeps nothing on the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasources.events import EventRow, Position, Range, events_beyond, events_end
from datasources.postgres import Database

BATCH = 1000  # events of one look
_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in the order of their numbers, and where the feed stood before and after them."""

    before: Position
    events: Sequence[EventRow]
    after: Position

    @property
    def full(self) -> bool:
        """Whether there may be more to see."""
        return len(self.events) >= BATCH


class Feed:
    """Where one follower of the ledger stands, and how it goes on from there."""

    def __init__(self, position: Position) -> None:
        self.position = position
        # The transactions that may fill each gap; None where that is not known yet.
        self._writers: dict[Range, frozenset[str] | None] = dict.fromkeys(position.gaps)

    @classmethod
    async def at_end(cls, database: Database) -> Feed:
        """A feed of everything that becomes visible from now on."""
        return cls(await events_end(database))

    async def look(self, database: Database) -> Batch:
        """Up to `BATCH` events that have become visible since the last look."""
        before = self.position
        events, writers = await events_beyond(database, before, BATCH)
        self.adopt(events)
        if len(events) < BATCH:
            self._forget_abandoned()
        if writers is not None:
            self._writers = {gap: writers if known is None else known & writers for gap, known in self._writers.items()}
        return Batch(before, events, self.position)

    def adopt(self, events: Sequence[EventRow]) -> None:
        """Go on to events in the order of their numbers."""
        self._move_to(self.position.with_events([event.seq for event in events]))

    def agree(self, position: Position) -> None:
        """Forget the gaps that somebody else, who has everything that we have, has filled or forgotten."""
        self._move_to(self.position.union(position))

    def _move_to(self, position: Position) -> None:
        before, self.position = self.position, position
        if position.gaps != before.gaps:
            self._writers = {gap: self._writers.get(before.gap(gap[0]) or gap) for gap in position.gaps}

    def _forget_abandoned(self) -> None:
        """Drop the gaps that were still empty after the last of their writers had ended."""
        kept = tuple(gap for gap in self.position.gaps if self._writers[gap] != _NOBODY)
        self._move_to(Position(self.position.high, kept))
