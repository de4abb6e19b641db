"""Folding: what ended, by the hour and by the day, so that a question about a month costs the same whatever it held.

Rows only note what changed (`monitor.rollup_deltas`); folding adds it to the rollups and deletes it in one transaction,
so that each change counts once, whoever dies when. What comes in bulk leaves a gap for its day (`monitor.rollup_gaps`),
which is folded from the jobs as they are then. Only one folds at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from datasources.postgres import Connection, Database, fetch
from datasources.sql import Query, queries

_SQL = queries("rollups")
_PLACE = ("dimension", "key", "bucket", "environment", "source")
_GAP_SECONDS = 600  # a day of a million jobs takes half a minute


@dataclass(frozen=True, slots=True)
class FoldedDay:
    """A day of a source that is folded now, and how many changes that were."""

    source: str
    day: datetime
    changes: int


@dataclass(frozen=True, slots=True)
class Unfolded:
    """How many changes are not folded yet, and how many days of sources as a whole."""

    changes: int
    days: int


@asynccontextmanager
async def folding(database: Database) -> AsyncIterator[Connection | None]:
    """A transaction to fold in, or None while another worker is at it."""
    async with database.transaction() as connection:
        [row] = await fetch(connection, _SQL["alone"])
        yield connection if row["alone"] else None


async def fold(connection: Connection, *, limit: int) -> int:
    """Fold the oldest changes, up to so many; gives how many those were."""
    return await _fold(connection, _SQL["fold"], {"limit": limit})


async def set_aside(connection: Connection, *, code: str, message: str) -> None:
    """Record the oldest change among what could not be taken, instead of folding it."""
    await fetch(connection, _SQL["set_aside"], {"code": code, "message": message})


async def claim_folding(connection: asyncpg.Connection) -> None:
    """Be the only one who folds until the transaction ends; waits for who is at it."""
    await _rows(connection, _SQL["claim"], {})


async def fold_gap(connection: asyncpg.Connection | Connection) -> FoldedDay | None:
    """Fold the latest day that is not folded from its jobs; None where there is none."""
    found = await _rows(connection, _SQL["next_gap"], {"milliseconds": str(1000 * _GAP_SECONDS)})
    if not found:
        return None
    gap = {name: found[0][name] for name in ("source", "start", "stop")}
    await _rows(connection, _SQL["clear_gap"], gap, timeout=_GAP_SECONDS)
    changes = await _fold(connection, _SQL["fold_gap"], gap, timeout=_GAP_SECONDS)
    return FoldedDay(gap["source"], gap["start"], changes)


async def unfolded(connection: asyncpg.Connection | Connection) -> Unfolded:
    """How much is not folded yet."""
    [row] = await _rows(connection, _SQL["unfolded"], {})
    return Unfolded(*row)


async def _fold(
    connection: asyncpg.Connection | Connection,
    query: Query,
    parameters: dict[str, object],
    timeout: float | None = None,  # noqa: ASYNC109  # it is asyncpg's own
) -> int:
    rows = await _rows(connection, query, parameters, timeout)
    corrected = [row for row in rows if row["dimension"] is not None]
    if corrected:
        hours: dict[str, object] = {f"{name}s": [row[name] for row in corrected] for name in _PLACE}
        await _rows(connection, _SQL["repair_hours"], hours)
        await _rows(connection, _SQL["repair_days"], hours)
    return int(rows[0]["folded"])


async def _rows(
    connection: asyncpg.Connection | Connection,
    query: Query,
    parameters: dict[str, object],
    timeout: float | None = None,  # noqa: ASYNC109
) -> list[asyncpg.Record]:
    statement, arguments = query.bind(parameters)
    return await connection.fetch(statement, *arguments, timeout=timeout)
