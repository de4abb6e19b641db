"""Allowances that all workers share: what somebody spent in the last minute, in buckets of five seconds.

A bucket counts whole while any part of it lies in the window. So no minute, wherever it begins, ever sees more than
the allowance; who uses all of it gets it in 65 seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasources.postgres import Connection, Database, fetch
from datasources.sql import queries

_SQL = queries("rates")

BUCKET = 5.0  # seconds
BUCKETS = 13  # those that a window of a minute can touch
_WINDOW = {"seconds": BUCKET, "buckets": BUCKETS}


@dataclass(frozen=True, slots=True)
class Spent:
    """What an allowance has granted in each bucket, newest first, `now` in seconds since 1970; and just now."""

    granted: int
    bucket: int
    buckets: Sequence[int]
    now: float

    @property
    def total(self) -> int:
        """All that counts."""
        return sum(self.buckets)

    @property
    def lasts(self) -> float:
        """Seconds until the newest bucket ends, and with it what was granted in it."""
        return (self.bucket + 1) * BUCKET - self.now

    def wait(self, cost: int, most: int) -> float:
        """Seconds until the cost fits under the most, if nobody else spends."""
        total = self.total
        for age in range(len(self.buckets) - 1, -1, -1):
            total -= self.buckets[age]
            if total + cost <= most:
                return self._leaves(age)
        return self._leaves(0)

    @property
    def reset(self) -> float:
        """Seconds until all of it is forgotten."""
        return next((self._leaves(age) for age, spent in enumerate(self.buckets) if spent), 0.0)

    def _leaves(self, age: int) -> float:
        return (self.bucket - age + BUCKETS) * BUCKET - self.now


@dataclass(frozen=True, slots=True)
class Wish:
    """What a lease is to hold: at least the cost; with what the last one left, and in which bucket that was."""

    cost: int
    wish: int
    owed: int = 0
    returned: int = 0
    returned_to: int = 0


async def lease(database: Database, payer: bytes, most: int, wish: Wish, now: float | None = None) -> Spent:
    """Grant part of an allowance of `most` until the newest bucket ends, or nothing where the cost is too much."""
    parameters = {
        "payer": payer,
        "most": most,
        "cost": wish.cost,
        "wish": max(wish.cost, wish.wish),
        "owed": wish.owed,
        "returned": wish.returned,
        "returned_to": wish.returned_to,
        "now": now,
    }
    [row] = await database.fetch(_SQL["lease"], parameters | _WINDOW)
    return Spent(*row)


async def spent(database: Database, payer: bytes, now: float | None = None) -> Spent:
    """What was granted in the window that ends now."""
    [row] = await database.fetch(_SQL["spent"], {"payer": payer, "now": now, **_WINDOW})
    return Spent(*row)


async def prune_rates(connection: Connection, *, limit: int) -> int:
    """Forget up to `limit` of those who spent nothing in the window; gives how many."""
    return len(await fetch(connection, _SQL["prune_rates"], {"limit": limit, **_WINDOW}))
