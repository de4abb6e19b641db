"""Folding beside jobs that end all the time: `python -m tests.benchmarks.steady --rate 2000 --seconds 60`.

Jobs are written as a source does, with their steps, over a database of its own that is dropped at the end. What is not
folded rises and falls with the folder's rounds; it keeps up where that does not grow.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import asyncpg
import psutil
import typer
from rich.console import Console
from rich.table import Table

from datasources.migrate import migrate
from datasources.postgres import Database
from datasources.rollups import unfolded
from datasources.settings import Settings
from subscriptions.folder import Folder
from tests.benchmarks.processes import postgres

_NAME = "bench_steady"
_TICKS = 10  # writes a second
_WRITE = """
WITH job AS (
    INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
                              created_at, claimed_at, completed_at, error_type)
    SELECT 'steady-' || n, 'report', 'workflow-' || n % 24, 'Workflow', 'robot-' || n % 200, 'env-' || n % 4,
           CASE n % 17 WHEN 0 THEN 'failed' ELSE 'completed' END, 'x', at, at + interval '2 s',
           at + interval '2 s' + interval '1 ms' * (1000 + hashint8(n) % 1000),
           CASE n % 17 WHEN 0 THEN 'TimeoutError' END
    FROM (SELECT n, now() - interval '1 minute' AS at FROM generate_series($1::bigint, $1 + $2 - 1) n) t
    RETURNING job_id, claimed_at
)
INSERT INTO monitor.node_executions (job_id, position, node_id, node_type, status, started_at, completed_at)
SELECT j.job_id, p, 'node-' || p, 'step', 'completed', j.claimed_at, j.claimed_at + interval '300 ms'
FROM job j, generate_series(1, $3) p
"""

out = Console(highlight=False)


@dataclass(slots=True)
class Second:
    """What had been written by then, and what was left to fold."""

    jobs: int
    left: int


async def write(connection: asyncpg.Connection, rate: int, steps: int, until: float, seconds: list[Second]) -> None:
    """Let so many jobs end every second; the next follows at once where one took too long."""
    jobs, piece = 0, rate // _TICKS
    started = time.monotonic()
    while (now := time.monotonic()) < until:
        async with connection.transaction():
            await connection.execute(_WRITE, jobs, piece, steps)
        jobs += piece
        if now - started >= len(seconds) + 1:
            seconds.append(Second(jobs, (await unfolded(connection)).changes))
        await asyncio.sleep(max(0.0, started + jobs / rate - time.monotonic()))


async def run(dsn: str, rate: int, steps: int, length: int) -> tuple[list[Second], float, float]:
    """The seconds as they went, and the processor time of the folder's connection and of the writer's."""
    await migrate(dsn)
    database = Database(dsn, Settings(pool_size=1))
    await database.open()
    writer = await asyncpg.connect(dsn, timeout=10, command_timeout=60)
    try:
        async with database.connection() as connection:
            backends = [psutil.Process(of.get_server_pid()) for of in (connection, writer)]
        folder = asyncio.create_task(Folder(database).run())
        seconds: list[Second] = []
        await write(writer, rate, steps, time.monotonic() + length, seconds)
        folder.cancel()
        with suppress(asyncio.CancelledError):
            await folder
        folding, writing = (sum(backend.cpu_times()[:2]) for backend in backends)
        return seconds, folding, writing
    finally:
        await writer.close(timeout=5)
        await database.close()


async def administer(server: str, statement: str) -> None:
    """Run a statement on the server."""
    connection = await asyncpg.connect(server, timeout=10, command_timeout=60)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=5)


def steady(
    rate: Annotated[int, typer.Option(help="Jobs that end every second.", min=_TICKS)] = 2000,
    steps: Annotated[int, typer.Option(help="Steps of each.", min=0)] = 3,
    seconds: Annotated[int, typer.Option(help="For how long.", min=9)] = 60,
) -> None:
    """Measure whether folding keeps up with jobs that end all the time."""
    with postgres(Settings().data_dir / "bench") as server:
        asyncio.run(administer(server, f"DROP DATABASE IF EXISTS {_NAME} WITH (FORCE)"))
        asyncio.run(administer(server, f"CREATE DATABASE {_NAME}"))
        try:
            dsn = urlsplit(server)._replace(path=f"/{_NAME}").geturl()
            told, folding, writing = asyncio.run(run(dsn, rate, steps, seconds))
        finally:
            asyncio.run(administer(server, f"DROP DATABASE {_NAME} WITH (FORCE)"))
    third = len(told) // 3
    table = Table("", "jobs a second", "most left to fold", title=f"{rate:,} jobs a second, {steps} steps each")
    parts = {"first third": told[:third], "second third": told[third:-third], "last third": told[-third:]}
    for name, part in parts.items():
        written = (part[-1].jobs - part[0].jobs) / max(1, len(part) - 1)
        table.add_row(name, f"{written:,.0f}", f"{max(second.left for second in part):,}")
    out.print(table)
    out.print(f"processor time: {folding:.1f} s of folding, {writing:.1f} s of writing, in {seconds} s")


if __name__ == "__main__":
    typer.run(steady)
