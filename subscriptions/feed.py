"""The feed: follows the ledger, delivers what is visible at once, and waits for nobody.

A number that is skipped is kept as a gap, and asked for again with every look. Whoever has drawn a number holds the
numbers' sequence until its transaction ends, so the transactions that hold it after a gap was noticed are all that can
still fill it. Once they have ended and the gap is still empty, it never will be filled (somebody rolled back), and is
forgotten. A stranger's transaction that wrote nothing to the ledger delays nothing and keeps nothing on the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasources.events import EventRow, Position, Range, events_beyond, events_end, without
from datasources.postgres import Database

BATCH = 1000  # events of one look
_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in the order of their numbers, where the feed stood before them, and where it stands after each."""

    before: Position
    events: Sequence[EventRow]
    positions: Sequence[Position]

    @property
    def after(self) -> Position:
        """Where the feed stands after the last of them."""
        return self.positions[-1] if self.positions else self.before

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
        positions = [self.adopt(event.seq) for event in events]
        batch = Batch(before, events, positions)
        if not batch.full:
            self._forget_abandoned()
        if positions:
            positions[-1] = self.position
        if writers is not None:
            self._writers = {gap: writers if known is None else known & writers for gap, known in self._writers.items()}
        return batch

    def adopt(self, seq: int) -> Position:
        """Go on to an event."""
        high = self.position.high
        if seq > high + 1:
            self._writers[high + 1, seq - 1] = None
        elif gap := self.position.gap(seq):
            known = self._writers.pop(gap)
            self._writers |= dict.fromkeys(without(gap, seq), known)
        self.position = self.position.with_event(seq)
        return self.position

    def agree(self, position: Position) -> None:
        """Forget the gaps that somebody else, who has everything that we have, has filled or forgotten."""
        self.position = self.position.union(position)
        self._writers = {gap: self._writers.get(gap) for gap in self.position.gaps}

    def _forget_abandoned(self) -> None:
        """Drop the gaps that were still empty after the last of their writers had ended."""
        abandoned = [gap for gap, writers in self._writers.items() if writers == _NOBODY]
        for gap in abandoned:
            del self._writers[gap]
        if abandoned:
            self.position = Position(
                self.position.high, tuple(gap for gap in self.position.gaps if gap in self._writers)
            )
