"""The data that is measured on: a seeded past, made once a day and kept.

The past ends when it is made, and today's numbers count from midnight: yesterday's past would make the fleet's summary
too cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg

from datasources.migrate import EditedMigration, NewerDatabase, migrate
from datasources.seed import AlreadySeeded, SeedProgress, seed

ROBOTS = 200
_DAYS = 30
_KEPT = r"SELECT datname FROM pg_database WHERE datname ~ '^bench_\d+_\d{8}$'"


async def prepared(server: str, jobs: int, progress: Callable[[SeedProgress], None]) -> str:
    """The DSN of a database with so many jobs of the last 30 days, on the server at the DSN."""
    today = f"{datetime.now(UTC):%Y%m%d}"
    name = f"bench_{jobs}_{today}"
    dsn = urlsplit(server)._replace(path=f"/{name}").geturl()
    connection = await asyncpg.connect(server, timeout=10, command_timeout=120)
    try:
        kept = {row["datname"] for row in await connection.fetch(_KEPT)}
        for old in sorted(database for database in kept if not database.endswith(today)):
            await connection.execute(f"DROP DATABASE {old} WITH (FORCE)")
        if name not in kept:
            await connection.execute(f"CREATE DATABASE {name}")
        try:
            await migrate(dsn)
        except (EditedMigration, NewerDatabase):
            # Another version of the code made it: what was made once can be made again.
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            await connection.execute(f"CREATE DATABASE {name}")
            await migrate(dsn)
    finally:
        await connection.close(timeout=5)
    with suppress(AlreadySeeded):  # by an earlier run today
        await seed(dsn, robots=ROBOTS, jobs=jobs, days=_DAYS, seed=1, progress=progress)
    return dsn
