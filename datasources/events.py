"""The ledger: every status transition of jobs, steps and robots, in the order of its numbers.

Numbers are drawn before their transactions commit, so a reader may see a number before a smaller one. What a reader
has is therefore a `Position`: everything up to a number, but for the gaps below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from datasources.postgres import Database
from datasources.sql import queries

_SQL = queries("events")

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One transition; `position` is the step's place in its job, for steps."""

    seq: int
    at: datetime
    kind: str
    job_id: str | None
    robot_id: str | None
    position: int | None
    workflow_id: str | None
    environment: str
    status: str
    previous_status: str | None


@dataclass(frozen=True, slots=True)
class Position:
    """Every number up to `high` but those in the gaps, which are inclusive, disjoint and in ascending order."""

    high: int
    gaps: tuple[Range, ...] = ()

    def covers(self, seq: int) -> bool:
        """Whether the number lies behind this position."""
        return seq <= self.high and not any(first <= seq <= last for first, last in self.gaps)

    def with_event(self, seq: int) -> Position:
        """This position with one number more; numbers between the highest and it become a gap."""
        if seq > self.high:
            skipped = ((self.high + 1, seq - 1),) if seq > self.high + 1 else ()
            return Position(seq, self.gaps + skipped)
        return Position(self.high, tuple(without(self.gaps, seq)))

    def union(self, other: Position) -> Position:
        """Everything that either covers."""
        high = max(self.high, other.high)
        gaps = _common(_below(self, high), _below(other, high))
        return Position(high, tuple(gaps))

    def dominates(self, other: Position) -> bool:
        """Whether it covers everything that the other covers."""
        if other.high > self.high:
            return False
        return all(
            any(first <= start and end <= last for first, last in other.gaps) or start > other.high
            for start, end in _clipped(self.gaps, other.high)
        )


def _below(position: Position, high: int) -> list[Range]:
    """What the position does not cover up to a number."""
    return [*position.gaps, *(((position.high + 1, high),) if high > position.high else ())]


def _common(these: Sequence[Range], those: Sequence[Range]) -> Iterable[Range]:
    """The ranges that lie in both lists."""
    for first, last in these:
        for start, end in those:
            if first <= end and start <= last:
                yield max(first, start), min(last, end)


def _clipped(gaps: Iterable[Range], high: int) -> Iterable[Range]:
    return ((first, min(last, high)) for first, last in gaps if first <= high)


def without(gaps: Iterable[Range], seq: int) -> Iterable[Range]:
    """The gaps that are left when this number is filled."""
    for first, last in gaps:
        if first <= seq <= last:
            if first < seq:
                yield first, seq - 1
            if seq < last:
                yield seq + 1, last
        else:
            yield first, last


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions Postgres knew to be running when it answered."""

    next_xid: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """The snapshot in the text of a `pg_snapshot`, `xmin:xmax:xip,xip`."""
        _, next_xid, running = text.split(":")
        return cls(int(next_xid), frozenset(int(xid) for xid in running.split(",") if xid))


async def ledger_identity(database: Database) -> str:
    """The name of the ledger in this database."""
    return str((await database.fetch(_SQL["identity"]))[0]["identity"])


async def events_end(database: Database) -> tuple[Snapshot, Position]:
    """Where the ledger ends, with the gaps of its last hour, and the snapshot that saw it."""
    record = (await database.fetch(_SQL["end"]))[0]
    gaps = tuple(zip(record["starts"], record["ends"], strict=True))
    return Snapshot.parse(record["snapshot"]), Position(record["high"], gaps)


async def events_beyond(
    database: Database, position: Position, gaps: Sequence[Range], limit: int
) -> tuple[Snapshot, list[EventRow]]:
    """What has become visible in these gaps of the position, and up to `limit` events above it."""
    records = await database.fetch(
        _SQL["beyond"],
        {
            "high": position.high,
            "gap_starts": [first for first, _ in gaps],
            "gap_ends": [last for _, last in gaps],
            "limit": limit,
        },
    )
    return Snapshot.parse(records[0]["snapshot"]), [
        EventRow(*record[1:]) for record in records if record["seq"] is not None
    ]


async def events_between(
    database: Database,
    start: Position,
    end: Position,
    *,
    after: int = 0,
    limit: int,
    kinds: Sequence[str] | None = None,
    job_id: str | None = None,
) -> list[EventRow]:
    """Up to `limit` events that `end` covers and `start` does not, with numbers above `after`, oldest first."""
    lowest = min((first for first, _ in start.gaps), default=start.high + 1) - 1
    records = await database.fetch(
        _SQL["between"],
        {
            "start": max(after, lowest),
            "high": end.high,
            "from_high": start.high,
            "from_starts": [first for first, _ in start.gaps],
            "from_ends": [last for _, last in start.gaps],
            "gap_starts": [first for first, _ in end.gaps],
            "gap_ends": [last for _, last in end.gaps],
            "kinds": None if kinds is None else list(kinds),
            "job_id": job_id,
            "limit": limit,
        },
    )
    return [EventRow(*record) for record in records]


async def oldest_event(database: Database) -> int | None:
    """The oldest number that is kept, or None in an empty ledger."""
    seq: int | None = (await database.fetch(_SQL["oldest"]))[0]["seq"]
    return seq


async def prune_events(database: Database, *, seconds: float, most: int, limit: int) -> int:
    """Forget up to `limit` events older than `seconds` or beyond the newest `most`; gives how many."""
    parameters = {"seconds": seconds, "most": most, "limit": limit}
    return len(await database.fetch(_SQL["prune"], parameters))
