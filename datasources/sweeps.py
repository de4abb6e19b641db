"""What has to be done from time to time, by one worker of many: silent robots, and history that nobody needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from datasources.postgres import Connection, Database, fetch
from datasources.sql import queries

_SQL = queries("sweeps")


@asynccontextmanager
async def sweeping(database: Database) -> AsyncIterator[Connection | None]:
    """A transaction to sweep in, or None while another worker is at it.

    The lock is the transaction's: it goes to another worker with its end, however that comes.
    """
    async with database.transaction() as connection:
        [row] = await fetch(connection, _SQL["alone"])
        yield connection if row["alone"] else None


async def turn_silent_robots_offline(connection: Connection, *, seconds: float, limit: int) -> int:
    """Let up to `limit` robots that were silent for longer be offline, and the ledger say so; gives how many."""
    found = await fetch(connection, _SQL["silent_robots"], {"seconds": seconds, "limit": limit})
    if found:
        await fetch(connection, _SQL["turn_offline"], {"robot_ids": [row["robot_id"] for row in found]})
    return len(found)


async def keep_heartbeat_days(connection: Connection, *, seconds: float) -> int:
    """Drop the days of heartbeats that are longer over, and make room for those to come; gives how many."""
    [row] = await fetch(connection, _SQL["keep_heartbeat_days"], {"seconds": seconds})
    return int(row["dropped"])


async def prune_heartbeats(connection: Connection, *, seconds: float, limit: int) -> int:
    """Forget up to `limit` heartbeats that are older and lie in no day's partition; gives how many."""
    return len(await fetch(connection, _SQL["prune_heartbeats"], {"seconds": seconds, "limit": limit}))


async def prune_jobs(connection: Connection, *, seconds: float, limit: int) -> int:
    """Forget up to `limit` jobs that ended and were created on a day that is longer ago; gives how many."""
    await fetch(connection, _SQL["keep_history"])
    return len(await fetch(connection, _SQL["prune_jobs"], {"seconds": seconds, "limit": limit}))


async def prune_source_errors(connection: Connection, *, seconds: float, limit: int) -> int:
    """Forget up to `limit` errors of sources that did not happen again for longer; gives how many."""
    return len(await fetch(connection, _SQL["prune_source_errors"], {"seconds": seconds, "limit": limit}))
