"""A real Postgres for every test: one server a session, one migrated template, one database a test."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from datasources.embedded import EmbeddedPostgres, throwaway
from datasources.migrate import migrate
from datasources.seed import seed

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The session's server."""
    with throwaway() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database, copied for each test."""
    _run(postgres.dsn, "CREATE DATABASE template")
    asyncio.run(migrate(_named(postgres.dsn, "template")))
    return "template"


@pytest.fixture
def dsn(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A fresh migrated database."""
    with _database(postgres.dsn, template) as dsn:
        yield dsn


@pytest.fixture
def empty_dsn(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A fresh database with nothing in it."""
    with _database(postgres.dsn, "template1") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def seeded_dsn(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A database with 100 robots and 3,000 jobs of three days, for tests that only read."""
    with _database(postgres.dsn, template) as dsn:
        asyncio.run(seed(dsn, robots=100, jobs=3000, days=3, seed=7, progress=lambda _: None))
        yield dsn


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that is not there yet, where the account that runs Postgres for root can get to."""
    with tempfile.TemporaryDirectory(prefix="casare-tests-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        yield Path(directory) / "data"


@contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _run(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield _named(server, name)
    finally:
        _run(server, f"DROP DATABASE {name} WITH (FORCE)")


def _named(dsn: str, database: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{database}").geturl()


def _run(dsn: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await connection.execute(statement, timeout=30)
        finally:
            await connection.close(timeout=5)

    asyncio.run(run())
