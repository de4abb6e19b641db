"""What the REST service and the floor have in common: the pool, and one statement for each question."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from datasources.settings import Settings


def _sql(question: str) -> str:
    return Path(__file__).with_name(f"{question}.sql").read_text(encoding="utf-8")


async def _keep(_connection: object) -> None:
    """Released connections are not reset: ours are not either, and a round trip would be no floor."""


class Answers:
    """The rows that answer each question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool | None = None
        self._fleet, self._jobs, self._job, self._robots = map(_sql, ("q1", "q2", "q3", "q4"))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep a pool of the size the server has, until the block ends."""
        settings = self._settings
        async with asyncpg.create_pool(
            settings.dsn(),
            min_size=0,
            max_size=settings.pool_size,
            timeout=settings.connect_timeout_seconds,
            command_timeout=settings.statement_timeout_seconds,
            reset=_keep,
            server_settings={"timezone": "UTC", "jit": "off"},
        ) as self._pool:
            yield

    async def fleet(self) -> asyncpg.Record:
        """Robots by state, jobs by state, and today."""
        return (await self._fetch(self._fleet, self._settings.offline_after_seconds))[0]

    async def jobs(self) -> list[asyncpg.Record]:
        """Jobs, each beside its robot."""
        return await self._fetch(self._jobs, self._settings.offline_after_seconds)

    async def job(self, job_id: str) -> list[asyncpg.Record]:
        """The steps of a job, each beside the job; one without a step where it has none."""
        return await self._fetch(self._job, job_id)

    async def robots(self) -> list[asyncpg.Record]:
        """Robots, each beside its job."""
        return await self._fetch(self._robots, self._settings.offline_after_seconds)

    async def _fetch(self, statement: str, argument: object) -> list[asyncpg.Record]:
        if self._pool is None:
            raise RuntimeError("the pool is not open")
        return await self._pool.fetch(statement, argument)
