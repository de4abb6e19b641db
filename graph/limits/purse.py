"""What one worker holds of somebody's allowance: its lease, and what it let through without one."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from datasources.rates import BUCKET, BUCKETS, Spent, Wish

_SLICE = 20  # the largest lease is this part of the allowance


@dataclass(slots=True)
class Purse:
    """A lease, which ends with its bucket; all times are of the worker's own clock, in seconds."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _bucket: int = 0
    _left: int = 0
    _ends: float = 0.0
    _used: int = 0  # of this bucket's leases
    _used_before: int = 0  # of those of the bucket before
    _refused: int = 0  # the smallest cost that was too much
    _until: float = 0.0  # nothing can have come back before
    _again: float = 0.0  # when it may fit
    _found: Spent | None = None  # what the database last said
    _found_at: float = 0.0
    _alone: Counter[int] = field(default_factory=Counter)

    def take(self, cost: int, now: float) -> bool:
        """Pay from the lease, if it is large enough and not over."""
        if cost > self._left or now >= self._ends:
            return False
        self._left -= cost
        self._used += cost
        return True

    def _left_in(self, bucket: int) -> int:
        """What the lease still holds, or will give back, as long as its bucket counts."""
        return self._left if bucket - self._bucket < BUCKETS else 0

    def remaining(self, limit: int, found: Spent | None = None) -> int:
        """What can still be spent by what the database says, or last said; what others spend since is not known."""
        found = found or self._found
        return limit if found is None else max(0, min(limit - found.total + self._left_in(found.bucket), limit))

    def reset(self, now: float) -> float:
        """Seconds until all can be spent again."""
        return 0.0 if self._found is None else max(0.0, self._found.reset - (now - self._found_at))

    def refusal(self, cost: int, now: float) -> float | None:
        """Seconds to wait where as little was refused a moment ago, and nothing can have come back since."""
        return self._again - now if self._refused and cost >= self._refused and now < self._until else None

    def wish(self, cost: int, limit: int, now: float) -> Wish:
        """The next lease: as large as what was spent lately, with what remains of the last, which is given up."""
        expected = min(max(2 * self._used, self._used_before), limit // _SLICE)
        wish = Wish(cost, max(cost, expected), self._spent_alone(now), self._left, self._bucket)
        self._left = 0
        return wish

    def filled(self, cost: int, limit: int, found: Spent, asked_at: float) -> float | None:
        """Take a lease as it was granted and pay from it; gives the seconds to wait where it was refused."""
        self._alone.clear()
        self._found, self._found_at = found, asked_at
        if found.bucket != self._bucket:
            self._bucket, self._used_before, self._used = found.bucket, self._used, 0
        # From when it was asked for, which is before it was granted: so it never lasts longer than its bucket.
        self._ends = asked_at + found.lasts
        if found.granted == 0:
            wait = found.wait(cost, limit)
            self._refused, self._until, self._again = cost, self._ends, asked_at + wait
            return wait
        self._refused = 0
        self._left = found.granted - cost
        self._used += cost
        return None

    def take_alone(self, cost: int, share: int, now: float) -> float | None:
        """Pay from a share of the allowance that is this worker's own; gives the seconds to wait where it is spent."""
        if self._spent_alone(now) + cost <= share:
            self._alone[int(now // BUCKET)] += cost
            return None
        oldest = min(self._alone, default=0)
        return max((oldest + BUCKETS) * BUCKET - now, 0.0)

    def _spent_alone(self, now: float) -> int:
        for bucket in [bucket for bucket in self._alone if bucket <= now // BUCKET - BUCKETS]:
            del self._alone[bucket]
        return self._alone.total()
