"""Numbered, append-only SQL files, each run once, in a transaction that begins with its own version row.

A file is sent statement by statement, so that a failure can name its line. It is plain SQL: no transaction
control, no `BEGIN ATOMIC` bodies, no `E''` strings with escaped quotes; every name is qualified, since only
pg_catalog is on the search path.

MigrationError
├── UnsupportedPostgres   the server is too old
├── NewerDatabase         the database was migrated by a later program
├── ForeignSchema         a schema `monitor` that is not ours
├── EditedMigration       a file that was applied is not what it was
├── MigrationLocked       another runner is at it, for longer than one waits
├── ExtensionInUse        an extension that came with us cannot go: somebody else uses it
└── MigrationFailed       Postgres refused a statement; nothing of its file was kept
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from datasources.cluster import shipped_programs
from datasources.embedded import throwaway

_OLDEST_POSTGRES = 14
_LOCK_KEY = 0x4361736172655250  # "CasareRP": the advisory lock of every runner
_LOCK_SECONDS = 60
_STATEMENT_SECONDS = 1800  # an index over a big table takes its time, though not for ever
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/|;""", re.DOTALL)
_LEADING = re.compile(r"(?:\s+|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
_HEADER = "-- What the migrations make of an empty database; `make schema` writes it. Never edited by hand.\n\n"
_BOOKKEEPING = """
CREATE TABLE monitor.migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_OCCUPIED = """
SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('monitor'))
    OR EXISTS (SELECT FROM pg_proc WHERE pronamespace = to_regnamespace('monitor'))"""
_OUR_TABLES = """
SELECT string_agg(oid::regclass::text, ', ') FROM pg_class
WHERE relnamespace = to_regnamespace('monitor') AND relkind IN ('r', 'p')"""
_OUR_EXTENSIONS = """
SELECT quote_ident(extname) FROM pg_extension WHERE extnamespace = to_regnamespace('monitor')"""


class MigrationError(Exception):
    """The database is not at the version this program needs."""


class UnsupportedPostgres(MigrationError):
    """The server is too old."""


class NewerDatabase(MigrationError):
    """The database was migrated by a later program."""


class ForeignSchema(MigrationError):
    """A schema `monitor` is there and not ours."""


class EditedMigration(MigrationError):
    """A file that was applied is not what it was."""


class MigrationLocked(MigrationError):
    """Another runner is at it, for longer than one waits."""


class ExtensionInUse(MigrationError):
    """An extension that came with us cannot go, since somebody else uses it."""


class MigrationFailed(MigrationError):
    """Postgres refused a statement; nothing of its file was kept."""


@dataclass(frozen=True)
class Migration:
    """One file, by the number its name begins with."""

    name: str
    text: str

    @cached_property
    def version(self) -> int:
        """The number its name begins with."""
        return int(self.name.split("_", 1)[0])

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the text, whatever the line ends of the checkout."""
        return sha256(self.text.encode()).hexdigest()

    def statements(self) -> Iterator[tuple[int, str]]:
        """Each statement, with the line it begins on."""
        start = 0
        ends = [token.end() for token in _TOKEN.finditer(self.text) if token[0] == ";"]
        for end in (*ends, len(self.text)):
            leading = _LEADING.match(self.text, start, end)
            begin = leading.end() if leading else start
            if begin < end:
                yield self.text.count("\n", 0, begin) + 1, self.text[begin:end]
            start = end


def shipped() -> list[Migration]:
    """The migrations this program knows, in order."""
    folder = files("datasources").joinpath("migrations")
    found = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return sorted(
        (Migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")) for file in found),
        key=lambda migration: migration.version,
    )


async def migrate(dsn: str, migrations: list[Migration] | None = None) -> list[str]:
    """Bring the database to the newest version known; gives the names applied."""
    known = shipped() if migrations is None else migrations
    applied: list[str] = []
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=_STATEMENT_SECONDS)
    try:
        if (major := connection.get_server_version().major) < _OLDEST_POSTGRES:
            raise UnsupportedPostgres(f"this is Postgres {major}: {_OLDEST_POSTGRES} or newer is needed")
        while True:
            async with _locked(connection):
                migration = await _next(connection, known)
                if migration is None:
                    return applied
                await _apply(connection, migration)
            applied.append(migration.name)
    finally:
        await connection.close(timeout=5)


async def current_version(connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> int | None:
    """The version of the newest migration applied, or None where nothing of ours is installed."""
    if await connection.fetchval("SELECT to_regclass('monitor.migrations') IS NULL"):
        return None
    version: int | None = await connection.fetchval("SELECT max(version) FROM monitor.migrations")
    return version


async def uninstall(dsn: str) -> None:
    """Take everything of ours out of the database, and nothing else."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=_STATEMENT_SECONDS)
    try:
        async with _locked(connection):
            if await current_version(connection) is not None:
                await _remove(connection)
    finally:
        await connection.close(timeout=5)


@asynccontextmanager
async def _locked(connection: asyncpg.Connection) -> AsyncIterator[None]:
    # What the lock waited for must be visible once it is held: never a snapshot from before.
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        await connection.execute("SET LOCAL search_path = pg_catalog")
        try:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)
        except asyncpg.LockNotAvailableError as error:
            raise MigrationLocked(f"another migration has been running for {_LOCK_SECONDS} s") from error
        yield


async def _next(connection: asyncpg.Connection, known: list[Migration]) -> Migration | None:
    current = await current_version(connection)
    if current is None:
        return known[0]
    newest = known[-1].version
    if current > newest:
        raise NewerDatabase(
            f"this database is at version {current}, this program knows {newest}: upgrade casare-monitor"
        )
    rows = await connection.fetch("SELECT version, checksum FROM monitor.migrations")
    checksums = {row["version"]: row["checksum"] for row in rows}
    for migration in known:
        if migration.version > current:
            return migration
        if checksums.get(migration.version) != migration.checksum:
            raise EditedMigration(
                f"{migration.name} is not what was applied to this database: migrations are only ever added"
            )
    return None


async def _remove(connection: asyncpg.Connection) -> None:
    await connection.execute(f"DROP TABLE {await connection.fetchval(_OUR_TABLES)} CASCADE")
    for (extension,) in await connection.fetch(_OUR_EXTENSIONS):
        try:
            await connection.execute(f"DROP EXTENSION {extension} RESTRICT")
        except asyncpg.DependentObjectsStillExistError as error:
            raise ExtensionInUse(
                f"the extension {extension} came with us, and somebody has built on it: {error.detail}."
                f" Drop that, or keep it with ALTER EXTENSION {extension} SET SCHEMA public, and try again"
            ) from error
    await connection.execute("DROP SCHEMA monitor CASCADE")


async def _make_room(connection: asyncpg.Connection) -> None:
    if await connection.fetchval("SELECT to_regnamespace('monitor') IS NULL"):
        await connection.execute("CREATE SCHEMA monitor")
    elif await connection.fetchval(_OCCUPIED):
        raise ForeignSchema("this database has a schema `monitor` that is not ours: use a database of its own")
    await connection.execute(_BOOKKEEPING)


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    line, statement = 1, ""
    try:
        if await current_version(connection) is None:
            await _make_room(connection)
        await connection.execute(
            "INSERT INTO monitor.migrations (version, name, checksum) VALUES ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.checksum,
        )
        for line, statement in migration.statements():  # noqa: B007
            await connection.execute(statement)
    except asyncpg.PostgresError as error:
        if error.position is not None:
            line += statement.count("\n", 0, int(error.position) - 1)
        raise MigrationFailed(f"{migration.name}.sql, line {line}: {error}") from error


def dump_schema(dsn: str) -> str:
    """The schema as SQL, the same on every machine: without owners, versions and settings."""
    url = urlsplit(dsn)
    place = url._replace(netloc=url.netloc.replace(f":{url.password}@", "@")).geturl()
    command = [str(shipped_programs() / "bin/pg_dump"), "--schema-only", "--schema=monitor", "--no-owner"]
    done = subprocess.run(  # noqa: S603
        [*command, "--no-privileges", "--no-tablespaces", "--no-table-access-method", place],
        env={"PGPASSWORD": unquote(url.password or ""), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise MigrationError(f"pg_dump: {done.stderr.strip()}")
    body = done.stdout[done.stdout.index("CREATE SCHEMA") :]
    body = body[: body.index("--\n-- PostgreSQL database dump complete")]
    body = re.sub(r"^--\n-- Name: .*\n--\n", "", body, flags=re.MULTILINE)
    return _HEADER + re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"


def main() -> None:
    """Write `schema.sql` anew from the migrations, on a Postgres that is made for it and thrown away."""
    parser = argparse.ArgumentParser(prog="python -m datasources.migrate", description=main.__doc__)
    parser.add_argument("--dump", type=Path, metavar="FILE", required=True, help="where to write the schema")
    target: Path = parser.parse_args().dump
    with throwaway() as server:
        asyncio.run(migrate(server.dsn))
        target.write_text(dump_schema(server.dsn), encoding="utf-8")


if __name__ == "__main__":
    main()
