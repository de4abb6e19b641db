"""The feed: follows the ledger, delivers what is visible at once, and waits for nobody.

A number that is skipped is kept as a gap together with the transactions that were running when it was noticed: only
they can still fill it. With every look the gaps are asked for again; one that is still empty once all of those have
ended never will be filled (its transaction rolled back), and is forgotten. A stranger's transaction left open for
minutes therefore delays nothing; it only keeps a gap or two on the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datasources.events import EventRow, Position, Range, Snapshot, events_beyond, events_end, without
from datasources.postgres import Database

BATCH = 1000  # events of one look


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


class Feed:
    """Where one follower of the ledger stands, and how it goes on from there."""

    def __init__(self, position: Position, waiting: Mapping[Range, frozenset[int]] | None = None) -> None:
        self.position = position
        # Whom each gap waits for; None where that is not known yet.
        self._waiting: dict[Range, frozenset[int] | None] = dict(waiting or {})

    @classmethod
    async def at_end(cls, database: Database) -> Feed:
        """A feed of everything that becomes visible from now on."""
        snapshot, end = await events_end(database)
        if not snapshot.running:
            return cls(Position(end.high))
        return cls(end, dict.fromkeys(end.gaps, snapshot.running))

    async def look(self, database: Database) -> Batch:
        """What has become visible since the last look, at most `BATCH` events beyond the highest number."""
        before = self.position
        snapshot, events = await events_beyond(database, before, before.gaps, BATCH)
        positions = []
        for event in events:
            self._advance(event.seq, snapshot.running)
            positions.append(self.position)
        self._forget(snapshot)
        if positions:
            positions[-1] = self.position
        return Batch(before, events, positions)

    def adopt(self, seq: int) -> Position:
        """Go on to an event that somebody else has read; who may fill the gaps it makes is found at the next look."""
        self._advance(seq, None)
        return self.position

    def agree(self, position: Position) -> None:
        """Forget the gaps that somebody else, who has everything that we have, has filled or forgotten."""
        self.position = self.position.union(position)
        self._waiting = {gap: self._waiting.get(gap) for gap in self.position.gaps}

    def _advance(self, seq: int, running: frozenset[int] | None) -> None:
        high = self.position.high
        if seq > high + 1:
            self._waiting[(high + 1, seq - 1)] = running
        elif seq < high:
            filled = next(gap for gap in self._waiting if gap[0] <= seq <= gap[1])
            xids = self._waiting.pop(filled)
            self._waiting |= dict.fromkeys(without((filled,), seq), xids)
        self.position = self.position.with_event(seq)

    def _forget(self, snapshot: Snapshot) -> None:
        """Drop the gaps that nobody can fill any more."""
        running = snapshot.running
        waiting = {gap: running if xids is None else xids & running for gap, xids in self._waiting.items()}
        self._waiting = {gap: xids for gap, xids in waiting.items() if xids}
        self.position = Position(self.position.high, tuple(sorted(self._waiting)))
