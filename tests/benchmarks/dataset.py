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

from datasources.migrate import migrate
from datasources.seed import AlreadySeeded, SeedProgress, seed

ROBOTS = 200
_DAYS = 30
_OURS = r"^bench_\d+_\d{8}$"


async def prepared(server: str, jobs: int, progress: Callable[[SeedProgress], None]) -> str:
    """The DSN of a database with so many jobs of the last 30 days, on the server at the DSN."""
    today = f"{datetime.now(UTC):%Y%m%d}"
    name = f"bench_{jobs}_{today}"
    connection = await asyncpg.connect(server, timeout=10, command_timeout=120)
    try:
        for (old,) in await connection.fetch("SELECT datname FROM pg_database WHERE datname ~ $1", _OURS):
            if not old.endswith(today):
                await connection.execute(f"DROP DATABASE {old} WITH (FORCE)")
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close(timeout=5)
    dsn = urlsplit(server)._replace(path=f"/{name}").geturl()
    await migrate(dsn)
    with suppress(AlreadySeeded):  # by an earlier run today
        await seed(dsn, robots=ROBOTS, jobs=jobs, days=_DAYS, seed=1, progress=progress)
    return dsn
