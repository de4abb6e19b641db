"""What there is to tell: jobs that robots claim, one after the other, the same for every server.

Each server has a database of its own, a copy of one and the same, so that nobody hears what is meant for another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg

from datasources.migrate import migrate
from datasources.seed import seed

ROBOTS, JOBS, _DAYS = 200, 1000, 1
_TEMPLATE = "bench_fanout"
_CLAIM = """
INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
                          priority, created_at, claimed_at)
SELECT 'fan-out-' || n, 'report', 'invoices', 'Invoices', r.robot_id, r.environment, 'claimed', 'claimed',
       n % 10, $3::timestamptz, $3::timestamptz + make_interval(secs => n % 60)
FROM generate_series($1::int + 1, $1::int + $2::int) AS n
JOIN (SELECT *, row_number() OVER (ORDER BY robot_id) AS number FROM monitor.robots) r ON r.number = 1 + n % 200
ORDER BY n
"""

_OPTIONAL = ("durationMs", "priority", "createdAt", "claimedAt", "status", "retryCount", "progressPercent")

DOCUMENT = """subscription { jobUpdates {
  jobId status previousStatus
  job {
    workflowName status priority createdAt claimedAt durationMs
    robot { robotId hostname environment status cpuPercent }
  }
} }"""


def distinct_documents(count: int) -> list[str]:
    """So many documents, at most 128, none of which selects the same fields as another."""
    return [
        DOCUMENT.replace(
            "workflowName status priority createdAt claimedAt durationMs",
            " ".join(("workflowName", *(name for bit, name in enumerate(_OPTIONAL) if number >> bit & 1))),
        )
        for number in range(count)
    ]


class Publisher:
    """Claims jobs in one database; the time of each is taken just before."""

    def __init__(self, runner: asyncio.Runner, connection: asyncpg.Connection, moment: datetime) -> None:
        self._runner = runner
        self._connection = connection
        self._moment = moment
        self.count = 0

    def publish(self, events: int) -> None:
        """So many at once."""
        self._runner.run(self._claim(events))

    def publish_evenly(self, per_second: float, seconds: float) -> list[float]:
        """One after the other at this rate for so long; gives when each was."""
        return self._runner.run(self._claim_evenly(per_second, seconds))

    async def _claim(self, events: int) -> None:
        await self._connection.execute(_CLAIM, self.count, events, self._moment)
        self.count += events

    async def _claim_evenly(self, per_second: float, seconds: float) -> list[float]:
        begun, times = time.perf_counter(), list[float]()
        while (due := begun + len(times) / per_second) < begun + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            times.append(time.perf_counter())
            await self._claim(1)
        return times


@contextmanager
def databases(server: str, names: tuple[str, ...]) -> Iterator[dict[str, tuple[str, Publisher]]]:
    """A database for each name, with a publisher, on the server at the DSN; they are dropped in the end."""
    moment = datetime.now(UTC).replace(microsecond=0)
    with asyncio.Runner() as runner:
        runner.run(_make(server, names))
        try:
            made = {}
            for name in names:
                dsn = _named(server, f"{_TEMPLATE}_{name}")
                connection = runner.run(asyncpg.connect(dsn, timeout=10, command_timeout=30))
                made[name] = dsn, Publisher(runner, connection, moment)
            yield made
        finally:
            runner.run(_drop(server, names))


async def _make(server: str, names: tuple[str, ...]) -> None:
    await _drop(server, names)
    connection = await asyncpg.connect(server, timeout=10, command_timeout=120)
    try:
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        template = _named(server, _TEMPLATE)
        await migrate(template)
        await seed(template, robots=ROBOTS, jobs=JOBS, days=_DAYS, seed=1, progress=lambda _: None)
        for name in names:
            await connection.execute(f"CREATE DATABASE {_TEMPLATE}_{name} TEMPLATE {_TEMPLATE}")
    finally:
        await connection.close(timeout=5)


async def _drop(server: str, names: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(server, timeout=10, command_timeout=120)
    try:
        for name in (*(f"{_TEMPLATE}_{name}" for name in names), _TEMPLATE):
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close(timeout=5)


def _named(dsn: str, database: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{database}").geturl()
