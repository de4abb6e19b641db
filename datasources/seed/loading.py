"""Fills a database with a plausible past, in one transaction: all of it is there afterwards, or nothing.

History is folded after that, day by day: whoever is killed meanwhile leaves the rest to the server.

A fleet without jobs gets them the fast way: the indexes of `monitor.jobs` are dropped, the rows come in
frozen, and the indexes are built again, which is much cheaper than row by row. The table is locked meanwhile.
Where there are jobs already, the past is added beside them, and nobody is locked out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import asyncpg

from datasources.rollups import claim_folding, fold_gap, unfolded
from datasources.seed.binary_copy import microseconds, stream
from datasources.seed.fleet import HEARTBEAT_COLUMNS, ROBOT_COLUMNS
from datasources.seed.nodes import HEALING_COLUMNS, NODE_COLUMNS
from datasources.seed.past import Past, job_prefix
from datasources.seed.runs import JOB_COLUMNS, SOURCE
from datasources.sql import queries

_MOST_ROBOTS = 100_000
_MOST_JOBS = 50_000_000
_MOST_DAYS = 3650
_CONNECT_SECONDS = 10.0


class AlreadySeeded(ValueError):
    """The database holds the jobs of this seed."""


class SeedingElsewhere(RuntimeError):
    """Another process seeds the same database."""


class Stage(StrEnum):
    """What is being written."""

    ROBOTS = "robots"
    JOBS = "jobs"
    NODES = "node executions"
    INDEXES = "indexes"
    STATISTICS = "statistics"
    ROLLUPS = "rollups"


@dataclass(frozen=True, slots=True)
class SeedProgress:
    """How much of a stage is done, in rows, indexes, tables or days."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class SeedReport:
    """How much was written, and in how many seconds; then folded, and in how many more."""

    robots: int
    heartbeats: int
    jobs: int
    node_executions: int
    healing_events: int
    seconds: float
    days_folded: int
    folding_seconds: float


Progress = Callable[[SeedProgress], None]


async def seed(
    dsn: str,
    *,
    robots: int,
    jobs: int,
    days: float,
    seed: int,
    now: datetime | None = None,
    progress: Progress,
) -> SeedReport:
    """Write new robots and the jobs of their last `days` days; the same seed and `now`, the same rows.

    Raises ValueError for a number out of range, AlreadySeeded where this seed's jobs are there, and
    SeedingElsewhere where another process is at it.
    """
    now = datetime.now(UTC) if now is None else now
    _check(robots, jobs, days, seed, now)
    started = time.perf_counter()
    longest = 300 + jobs / 1000
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS, command_timeout=longest)
    try:
        async with connection.transaction():
            first_robot = await _begin(connection, seed)
            past = Past(seed, robots=robots, jobs=jobs, days=days, now=microseconds(now), first_robot=first_robot)
            nodes, healings = await _write(connection, past, jobs, progress)
            await _execute(connection, "leave_gaps", {"source": SOURCE, "prefix": job_prefix(seed)})
            await _analyze(connection, progress)
        written = time.perf_counter()
        days = await _fold(connection, progress)
    finally:
        await connection.close(timeout=_CONNECT_SECONDS)
    return SeedReport(
        robots=robots,
        heartbeats=len(past.heartbeats),
        jobs=jobs,
        node_executions=nodes,
        healing_events=healings,
        seconds=written - started,
        days_folded=days,
        folding_seconds=time.perf_counter() - written,
    )


def _check(robots: int, jobs: int, days: float, seed: int, now: datetime) -> None:
    if not 1 <= robots <= _MOST_ROBOTS:
        raise ValueError(f"robots must be 1 to {_MOST_ROBOTS:,}, not {robots:,}")
    if not 1 <= jobs <= _MOST_JOBS:
        raise ValueError(f"jobs must be 1 to {_MOST_JOBS:,}, not {jobs:,}")
    if not 0 < days <= _MOST_DAYS:
        raise ValueError(f"days must be more than 0 and at most {_MOST_DAYS:,}, not {days:,}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, and is {seed}")
    if now.tzinfo is None:
        raise ValueError("now must have a time zone")


async def _begin(connection: asyncpg.Connection, seed: int) -> int:
    await connection.execute(_sql("configure"))
    if not await connection.fetchval(_sql("claim_seeding")):
        raise SeedingElsewhere("another process is seeding this database")
    if (await _execute(connection, "seeded", {"source": SOURCE, "prefix": job_prefix(seed)}))[0]["seeded"]:
        raise AlreadySeeded(f"the database has been seeded with {seed} already; another seed adds another past to it")
    return 1 + int(await connection.fetchval(_sql("last_robot_number")))


async def _write(connection: asyncpg.Connection, past: Past, jobs: int, progress: Progress) -> tuple[int, int]:
    robots = len(past.robots)
    progress(SeedProgress(Stage.ROBOTS, 0, robots))
    await _copy_records(connection, "robots", ROBOT_COLUMNS, past.robots)
    await _copy_records(connection, "heartbeats", HEARTBEAT_COLUMNS, past.heartbeats)
    progress(SeedProgress(Stage.ROBOTS, robots, robots))

    fresh = await _renew_tables(connection)
    indexes = await _drop_indexes(connection) if fresh else []

    async def copy(table: str, columns: Sequence[str], rows: Iterator[bytes], stage: Stage, total: int) -> None:
        await connection.copy_to_table(
            table,
            schema_name="monitor",
            columns=columns,
            source=stream(rows, lambda done: progress(SeedProgress(stage, done, total))),
            format="binary",
            freeze=fresh,
        )

    await copy("jobs", JOB_COLUMNS, past.job_rows(), Stage.JOBS, jobs)
    nodes = past.node_count
    await copy("node_executions", NODE_COLUMNS, past.node_rows(), Stage.NODES, nodes)
    healings = past.healing_events()
    await _copy_records(connection, "healing_events", HEALING_COLUMNS, healings)

    for done, definition in enumerate(indexes):
        progress(SeedProgress(Stage.INDEXES, done, len(indexes)))
        await connection.execute(definition)
    progress(SeedProgress(Stage.INDEXES, len(indexes), len(indexes)))
    return nodes, len(healings)


async def _copy_records(
    connection: asyncpg.Connection, table: str, columns: Sequence[str], records: Sequence[tuple[object, ...]]
) -> None:
    await connection.copy_records_to_table(table, schema_name="monitor", columns=columns, records=records)


async def _renew_tables(connection: asyncpg.Connection) -> bool:
    if not await connection.fetchval(_sql("no_jobs")):
        return False
    # Somebody may have added the first job while we waited for the lock.
    await connection.execute(_sql("lock_jobs"))
    if not await connection.fetchval(_sql("no_jobs")):
        return False
    await connection.execute(_sql("renew_tables"))
    return True


async def _drop_indexes(connection: asyncpg.Connection) -> list[str]:
    indexes = await connection.fetch(_sql("indexes"))
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    return [index["definition"] for index in indexes]


async def _analyze(connection: asyncpg.Connection, progress: Progress) -> None:
    progress(SeedProgress(Stage.STATISTICS, 0, 1))
    await connection.execute(_sql("analyze"))
    progress(SeedProgress(Stage.STATISTICS, 1, 1))


async def _fold(connection: asyncpg.Connection, progress: Progress) -> int:
    """Fold every day that is not folded, beside a server that may be at it as well."""
    total = left = (await unfolded(connection)).days
    while left:
        progress(SeedProgress(Stage.ROLLUPS, total - left, total))
        async with connection.transaction():
            await claim_folding(connection)
            await fold_gap(connection)
        left = min(left, (await unfolded(connection)).days)
    progress(SeedProgress(Stage.ROLLUPS, total, total))
    await connection.execute(_sql("analyze_rollups"))
    return total


async def _execute(connection: asyncpg.Connection, name: str, parameters: dict[str, object]) -> list[asyncpg.Record]:
    statement, arguments = queries(_FILE)[name].bind(parameters)
    return await connection.fetch(statement, *arguments)


_FILE = "seed/loading"


def _sql(name: str) -> str:
    return queries(_FILE)[name].bind({})[0]
