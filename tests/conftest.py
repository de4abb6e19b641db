"""A real Postgres for every test: one server a session, one migrated template, one database a test."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from serving import Graph, serving
from small_fleet import serving_small_fleet

from datasources.embedded import EmbeddedPostgres, throwaway
from datasources.migrate import migrate
from datasources.postgres import Database
from datasources.seed import seed
from datasources.settings import Settings
from graph.schema import build_schema

MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3  # bytes; a session's server takes a tenth of it

Execute = Callable[[str], None]
Migrated = Callable[[], AbstractContextManager[str]]
Connect = Callable[[], Awaitable[asyncpg.Connection]]

_numbers = count(1)


@pytest.fixture(scope="session", autouse=True)
def one_schema() -> Iterator[None]:
    """The session's servers share one schema: to build it costs as much as the rest of a server's start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graph.app.build_schema", cache(build_schema))
        yield


def roomy() -> str | None:
    """Where servers are made: in memory where there is room. The 400 files of a database make it dear on a disk, and a
    checkpoint on a busy one may take longer than a server has to end."""
    return str(MEMORY) if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The session's server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", roomy())
        with throwaway() as server:
            patch.undo()
            yield server


@pytest.fixture(scope="session")
def execute(postgres: EmbeddedPostgres) -> Iterator[Execute]:
    """Runs statements that make and drop databases, over one connection."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(postgres.dsn, timeout=10))

        def run(statement: str) -> None:
            runner.run(connection.execute(statement, timeout=30))

        yield run
        runner.run(connection.close(timeout=5))


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres, execute: Execute) -> str:
    """The name of a migrated database, copied for each test."""
    execute("CREATE DATABASE template")
    asyncio.run(migrate(_named(postgres.dsn, "template")))
    return "template"


@pytest.fixture(scope="session")
def migrated(postgres: EmbeddedPostgres, execute: Execute, template: str) -> Migrated:
    """Makes migrated databases, each of which lasts as long as its block."""
    return partial(_database, postgres.dsn, execute, template)


@pytest.fixture
def dsn(migrated: Migrated) -> Iterator[str]:
    """A fresh migrated database."""
    with migrated() as dsn:
        yield dsn


@pytest.fixture
def empty_dsn(postgres: EmbeddedPostgres, execute: Execute) -> Iterator[str]:
    """A fresh database with nothing in it."""
    with _database(postgres.dsn, execute, "template1") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def seeded_dsn(migrated: Migrated) -> Iterator[str]:
    """A database with 100 robots and 3,000 jobs of three days, for tests that only read."""
    with migrated() as dsn:
        asyncio.run(seed(dsn, robots=100, jobs=3000, days=3, seed=7, progress=lambda _: None))
        yield dsn


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A worker's pool over the test's database."""
    database = Database(dsn, Settings())
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def connect(dsn: str) -> AsyncIterator[Connect]:
    """Make connections of the test's own, which end with it."""
    connections = []

    async def connect() -> asyncpg.Connection:
        connections.append(await asyncpg.connect(dsn, timeout=10, command_timeout=30))
        return connections[-1]

    yield connect
    for connection in connections:
        connection.terminate()


@pytest.fixture
async def connection(connect: Connect) -> asyncpg.Connection:
    """A connection of the test's own to its database."""
    return await connect()


@pytest.fixture
def serve(dsn: str) -> Callable[..., Any]:
    """Start a server on the test's database with settings of the test's choice."""
    return lambda **settings: serving(dsn, **settings)


@pytest.fixture
def graph(dsn: str) -> Iterator[Graph]:
    """A server on a fresh database."""
    with serving(dsn) as graph:
        yield graph


@pytest.fixture
def small_fleet(dsn: str) -> Iterator[Graph]:
    """A server over the fleet of fleet.sql."""
    with serving_small_fleet(dsn) as graph:
        yield graph


@pytest.fixture(scope="module")
def standing_fleet(migrated: Migrated) -> Iterator[Graph]:
    """The same for all tests of a file that only read; its robots stay what they are for longer than that takes."""
    with migrated() as dsn, serving_small_fleet(dsn, offline_after_seconds=1800) as graph:
        yield graph


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that is not there yet, where the account that runs Postgres for root can get to."""
    with tempfile.TemporaryDirectory(prefix="casare-tests-", ignore_cleanup_errors=True, dir=roomy()) as directory:
        Path(directory).chmod(0o711)
        yield Path(directory) / "data"


@contextmanager
def _database(server: str, execute: Execute, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield _named(server, name)
    finally:
        execute(f"DROP DATABASE {name} WITH (FORCE)")


def _named(dsn: str, database: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{database}").geturl()
