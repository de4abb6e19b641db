"""Attaching a source and detaching it, each in one transaction.

SourceError
├── UnknownSource        no such source
├── SourceNotFound       its tables are not in this database
├── AmbiguousSource      several of it are, or another is attached already
├── UnsupportedVersion   its tables are not as we know them
├── SourceBusy           another transaction holds its tables
├── SourceForbidden      this user may not put triggers on its tables
└── NotMigrated          this database has no schema `monitor` of ours
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from datasources.sql import Query, queries

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

# Below Postgres's own deadlock_timeout of 1 s: we give way before it would choose whom to end.
_LOCK_MILLISECONDS = 500
_LOCK_ATTEMPTS = 10
_PLAIN = re.compile(r'[\w."-]*')


class SourceError(Exception):
    """A source cannot be attached or detached; nothing was changed."""


class UnknownSource(SourceError):
    """No such source."""


class SourceNotFound(SourceError):
    """The source's tables are not in this database."""


class AmbiguousSource(SourceError):
    """Several of the source are in this database, or another one is attached already."""


class UnsupportedVersion(SourceError):
    """The source's tables are not as we know them."""


class SourceBusy(SourceError):
    """Another transaction holds the source's tables."""


class SourceForbidden(SourceError):
    """This user may not put triggers on the source's tables."""


class NotMigrated(SourceError):
    """This database has no schema `monitor` of ours."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a source is called, which versions of it are known, and what to say where it is not found."""

    title: str
    versions: str
    missing: str


@dataclass(frozen=True, slots=True)
class AttachReport:
    """What attaching brought: rows copied to jobs and node executions, and those that could not be."""

    source: str
    version: str
    jobs: int
    node_executions: int
    errors: int


_SOURCES: Mapping[str, Source] = {
    "pgqueuer": Source(
        "PgQueuer", "1.6", "its tables are made by `pgq install` and end in `pgqueuer` and `pgqueuer_log`"
    ),
    "dbos": Source(
        "DBOS",
        "3.4 (migration 125)",
        "if DBOS keeps its system tables in another database, it can't be attached from here: triggers reach "
        "no further than their own database, so give DBOS this one as its system_database_url",
    ),
}


def names() -> tuple[str, ...]:
    """The sources that can be attached."""
    return tuple(_SOURCES)


async def attach(database: str | Connection, source: str, *, place: str | None = None) -> AttachReport:
    """Follow the source from now on and copy what it holds; where it is attached, copy what differs.

    The place tells which, where there are several: a schema for DBOS, `schema.table` of PgQueuer's queue.
    """
    known, sql = _source(source)
    async with _transaction(database) as connection:
        parts = await _find(connection, known, sql["find"], place)
        version = await _version(connection, known, sql["version"], parts)
        await _nowhere_else(connection, known, source, parts["place"])
        first = await connection.fetchval(
            "INSERT INTO monitor.sources (name, version) VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET version = excluded.version RETURNING xmax = 0",
            source,
            version,
        )
        await connection.execute("SET LOCAL monitor.backfill = 'on'")
        await _script(connection, sql["functions"], parts)
        # A long history is copied before the triggers take their lock: the source waits for little of it.
        copied = await _rows(connection, sql["backfill"], {"still": False}) if first else []
        await _between_transactions(connection, sql["triggers"], parts)
        copied += await _rows(connection, sql["backfill"], {"still": True})
    jobs, node_executions, errors = (sum(column) for column in zip(*copied, strict=True))
    return AttachReport(source, version, jobs, node_executions, errors)


async def renew(dsn: str) -> list[AttachReport]:
    """Attach what is attached again: its functions become those of this program, and what it missed is copied."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=600)
    try:
        names = await connection.fetch("SELECT name FROM monitor.sources ORDER BY name")
    finally:
        await connection.close(timeout=5)
    return [await attach(dsn, record["name"]) for record in names]


async def detach(database: str | Connection, source: str) -> bool:
    """Follow the source no longer; what is known of its jobs stays. False where it was not attached."""
    _, sql = _source(source)
    async with _transaction(database) as connection:
        await _between_transactions(connection, sql["remove"], {})
        removed = await connection.fetch("DELETE FROM monitor.sources WHERE name = $1 RETURNING name", source)
    return bool(removed)


def _source(source: str) -> tuple[Source, Mapping[str, Query]]:
    known = _SOURCES.get(source)
    if known is None:
        raise UnknownSource(f"no source is called {source!r}; known are {', '.join(names())}")
    return known, queries(f"sources/{source}")


@asynccontextmanager
async def _transaction(database: str | Connection) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database, timeout=10) if isinstance(database, str) else database
    try:
        # What a lock waited for must be visible once it is held, so never a snapshot from before.
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(
                f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}; SET LOCAL statement_timeout = 0;"
                " SET LOCAL search_path = pg_catalog"
            )
            if await connection.fetchval("SELECT to_regclass('monitor.sources') IS NULL"):
                raise NotMigrated("this database has no schema monitor yet: run the migrations first")
            yield connection
    except asyncpg.LockNotAvailableError as error:
        raise SourceBusy("another transaction holds the source's tables, or attaches it just now: try again") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise SourceForbidden(f"this database user may not do that: {error.args[0]}") from error
    finally:
        if isinstance(database, str):
            await connection.close(timeout=5)


async def _find(connection: Connection, known: Source, query: Query, place: str | None) -> dict[str, str]:
    found = [dict(row) for row in await _rows(connection, query, {})]
    if place is not None:
        found = [row for row in found if row["place"] == place]
    if not found:
        where = f"at {place} in this database" if place else "in this database"
        raise SourceNotFound(f"no {known.title} tables {where}; {known.missing}")
    if len(found) > 1:
        places = ", ".join(row["place"] for row in found)
        raise AmbiguousSource(f"several {known.title} are in this database, say which: {places}")
    [parts] = found
    # Quoted as they are, the names go into function bodies: a name with dollars in it could end one.
    if not _PLAIN.fullmatch("".join(parts.values())):
        raise SourceNotFound(f"{known.title} at {parts['place']} can't be attached: its name has odd characters")
    return parts


async def _version(connection: Connection, known: Source, query: Query, parts: dict[str, str]) -> str:
    [row] = await _rows(connection, query, parts, **parts)
    if row["version"] is None:
        raise UnsupportedVersion(f"known is {known.title} {known.versions}; {parts['place']} has {row['found']}")
    return str(row["version"])


async def _nowhere_else(connection: Connection, known: Source, source: str, place: str) -> None:
    attached = await connection.fetch(
        "SELECT DISTINCT n.nspname || '.' || c.relname AS table_name FROM pg_trigger t"
        " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE t.tgfoid = to_regproc($1)",
        f"monitor.{source}_changed",
    )
    for row in attached:
        table = row["table_name"]
        if table != place and not table.startswith(f"{place}."):
            raise AmbiguousSource(f"another {known.title} is attached, at {table}: detach it first")


async def _rows(
    connection: Connection, query: Query, parameters: Mapping[str, object], **parts: str
) -> list[asyncpg.Record]:
    statement, arguments = query.bind(parameters, **parts)
    return await connection.fetch(statement, *arguments)


async def _script(connection: Connection, query: Query, parts: Mapping[str, str]) -> None:
    statements, _ = query.bind({}, **parts)
    await connection.execute(statements)


async def _between_transactions(connection: Connection, query: Query, parts: Mapping[str, str]) -> None:
    # Whoever waits for a table makes all wait that come after; so the wait is short, and often.
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            async with connection.transaction():
                await _script(connection, query, parts)
        except asyncpg.LockNotAvailableError:
            if attempt == _LOCK_ATTEMPTS - 1:
                raise
            await asyncio.sleep(_LOCK_MILLISECONDS / 1000)
        else:
            return
