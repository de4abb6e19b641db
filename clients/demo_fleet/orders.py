"""The fleet's queue and its durable workflows: their tables, and how a job is named in both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import asyncpg
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer
from pgqueuer.errors import FailingListenerError
from pgqueuer.queries import Queries

DATABASE_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, FailingListenerError)

_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Order:
    """What stands in a job's payload; `job_id` is also the id of the DBOS workflow that does the work."""

    job_id: str
    workflow_id: str
    workflow_name: str
    environment: str
    number: int

    def to_payload(self) -> bytes:
        """The order as the queue keeps it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_payload(cls, payload: bytes | None) -> Order:
        """The order in a job's payload."""
        return cls(**json.loads(payload or b"{}"))


def entrypoint(environment: str, workflow_id: str) -> str:
    """The queue's word for a workflow: robots of one environment never take another's jobs."""
    return f"{environment}/{workflow_id}"


@asynccontextmanager
async def queries(dsn: str) -> AsyncIterator[Queries]:
    """PgQueuer's queries over a connection of their own."""
    connection = await asyncpg.connect(
        dsn, timeout=_CONNECT_SECONDS, server_settings={"application_name": "demo-fleet"}
    )
    try:
        yield Queries.from_asyncpg_connection(connection)
    finally:
        await connection.close(timeout=2)


async def install(dsn: str) -> None:
    """Create or upgrade the tables of PgQueuer and of DBOS; harmless when they are there."""
    async with queries(dsn) as queue:
        if await queue.schema_is_installed():
            await queue.upgrade()
        else:
            await queue.install()
    await asyncio.to_thread(DBOS.migrate, dsn)


def dbos_config(dsn: str, executor_id: str) -> DBOSConfig:
    """DBOS, quiet, small and readable: JSON in its tables, so that an error is one without unpickling it."""
    return DBOSConfig(
        name="demo-fleet",
        system_database_url=dsn,
        application_version="demo",
        executor_id=executor_id,
        serializer=DBOSPortableJSONSerializer(),
        run_migrations=False,
        log_level="ERROR",
        sys_db_pool_size=3,
        max_executor_threads=8,
        scheduler_polling_interval_sec=300.0,
    )
