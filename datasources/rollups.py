"""Folding: what ended, by the hour and by the day, so that a question about a month costs the same whatever it held.

Rows only note what changed (`monitor.rollup_deltas`); folding adds it to the rollups and deletes it in one transaction,
so that each change counts once, whoever dies when. Only one folds at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from datasources.postgres import Connection, Database, fetch
from datasources.sql import Query, queries

_SQL = queries("rollups")
_PLACE = ("dimension", "key", "bucket", "environment", "source")


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


async def fold_seeded(
    connection: asyncpg.Connection, *, source: str, prefix: str, start: datetime, end: datetime
) -> int:
    """Fold what a seed wrote in whole hours of this very transaction; gives how much that was."""
    span = {"source": source, "prefix": prefix, "start": start, "end": end}
    return await _fold(connection, _SQL["fold_seeded"], span)


async def backlog(database: Database) -> int:
    """How many changes are not folded yet."""
    [row] = await database.fetch(_SQL["backlog"])
    return int(row["deltas"])


async def _fold(connection: asyncpg.Connection | Connection, query: Query, parameters: dict[str, object]) -> int:
    rows = await _rows(connection, query, parameters)
    corrected = [row for row in rows if row["dimension"] is not None]
    if corrected:
        hours: dict[str, object] = {f"{name}s": [row[name] for row in corrected] for name in _PLACE}
        await _rows(connection, _SQL["repair_hours"], hours)
        await _rows(connection, _SQL["repair_days"], hours)
    return int(rows[0]["folded"])


async def _rows(
    connection: asyncpg.Connection | Connection, query: Query, parameters: dict[str, object]
) -> list[asyncpg.Record]:
    statement, arguments = query.bind(parameters)
    return await connection.fetch(statement, *arguments)
