"""The ledger: every status transition of jobs, steps and robots, in the order of its numbers.

Numbers are drawn before their transactions commit, so a reader may see a number before a smaller one. What a reader
has is therefore a `Position`: everything up to a number, but for the gaps below it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from datasources.postgres import Connection, Database, fetch
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
    """Every number up to `high` but those in the gaps: inclusive, ascending, none touching another or `high`."""

    high: int
    gaps: tuple[Range, ...] = ()

    def covers(self, seq: int) -> bool:
        """Whether the number lies behind this position."""
        return seq <= self.high and self.gap(seq) is None

    def gap(self, seq: int) -> Range | None:
        """The gap that the number lies in."""
        index = bisect_right(self.gaps, seq, key=_first) - 1
        return self.gaps[index] if index >= 0 and seq <= self.gaps[index][1] else None

    def with_events(self, seqs: Sequence[int]) -> Position:
        """This position with more numbers, which ascend; numbers between its highest and theirs become gaps."""
        if not seqs:
            return self
        skipped = ((before + 1, seq - 1) for before, seq in zip((0, *seqs), seqs, strict=False) if seq > before + 1)
        return self.union(Position(seqs[-1], tuple(skipped)))

    def up_to(self, high: int) -> Position:
        """What it covers of the numbers up to this one."""
        if high >= self.high:
            return self
        gap = self.gap(high)
        highest = gap[0] - 1 if gap else high
        return Position(highest, self.gaps[: bisect_right(self.gaps, highest, key=_first)])

    def union(self, other: Position) -> Position:
        """Everything that either covers."""
        high = max(self.high, other.high)
        return Position(high, tuple(_common(self.uncovered(high), other.uncovered(high))))

    def dominates(self, other: Position) -> bool:
        """Whether it covers everything that the other covers."""
        return self.union(other) == self

    def uncovered(self, high: int) -> Sequence[Range]:
        """What it does not cover of the numbers up to `high`, which is no lower than its own."""
        return (*self.gaps, (self.high + 1, high)) if high > self.high else self.gaps

    def missing(self, other: Position) -> Sequence[Range]:
        """What the other covers and it does not."""
        starts = (1, *(last + 1 for _, last in other.gaps))
        ends = (*(first - 1 for first, _ in other.gaps), other.high)
        covered = [(first, last) for first, last in zip(starts, ends, strict=True) if first <= last]
        return tuple(_common(self.uncovered(max(self.high, other.high)), covered))


def _first(gap: Range) -> int:
    return gap[0]


def _common(these: Sequence[Range], those: Sequence[Range]) -> Iterator[Range]:
    """The ranges that lie in both lists."""
    left, right = iter(these), iter(those)
    this, that = next(left, None), next(right, None)
    while this and that:
        first, last = max(this[0], that[0]), min(this[1], that[1])
        if first <= last:
            yield first, last
        if this[1] == last:
            this = next(left, None)
        else:
            that = next(right, None)


async def ledger_identity(database: Database) -> str:
    """The name of the ledger in this database."""
    return str((await database.fetch(_SQL["identity"]))[0]["identity"])


async def events_end(database: Database) -> Position:
    """Where the ledger ends, with the gaps of its last hour."""
    record = (await database.fetch(_SQL["end"]))[0]
    return Position(record["high"], tuple(zip(record["starts"], record["ends"], strict=True)))


async def events_beyond(
    database: Database, position: Position, limit: int
) -> tuple[list[EventRow], frozenset[str] | None]:
    """Up to `limit` events that have become visible in the gaps of a position and above it, and, where it has gaps, the
    transactions that could still have filled them just after that."""
    gaps = position.gaps
    parameters = {
        "high": position.high,
        "gap_starts": [first for first, _ in gaps] if gaps else None,
        "gap_ends": [last for _, last in gaps] if gaps else None,
        "limit": limit,
    }
    records = await database.fetch(_SQL["beyond"], parameters)
    events = [EventRow(*record[1:]) for record in records if record["seq"] is not None]
    return events, frozenset(records[0]["writers"]) if gaps else None


async def events_between(
    database: Database, start: Position, end: Position, *, after: int = 0, limit: int
) -> tuple[list[EventRow], int]:
    """Up to `limit` events that `end` covers and `start` does not, with numbers above `after`, oldest first; and the
    number up to which events are gone."""
    wanted = start.missing(end)
    parameters = {
        "start": max(after, wanted[0][0] - 1 if wanted else 0),
        "high": wanted[-1][1] if wanted else 0,
        "wanted": f"{{{','.join(f'[{first},{last}]' for first, last in wanted)}}}",
        "limit": limit,
    }
    records = await database.fetch(_SQL["between"], parameters)
    return [EventRow(*record[1:]) for record in records if record["seq"] is not None], records[0]["pruned"]


async def prune_events(connection: Connection, *, seconds: float, most: int, limit: int) -> int:
    """Forget up to `limit` events older than `seconds` or beyond the newest `most` numbers; gives how many."""
    parameters = {"seconds": seconds, "most": most, "limit": limit}
    return int((await fetch(connection, _SQL["prune"], parameters))[0]["gone"])
