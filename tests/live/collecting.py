"""Jobs that live, are undone, come late or vanish, and workers that collect them meanwhile."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from hypothesis import strategies as st

from datasources.fleet import FleetScope, FleetToday, fleet_numbers
from datasources.postgres import Database
from datasources.queue import queue_by_environment
from datasources.reports.jobs import JobReport, report_job
from datasources.robots import RobotRow
from datasources.scope import EVERYTHING
from datasources.statuses import JobStatus
from subscriptions.collector.fleet import LiveFleet
from subscriptions.collector.jobs import USUAL, Bounds
from subscriptions.collector.live_jobs import LiveJobs
from subscriptions.collector.robots import Robots
from subscriptions.collector.tally import Ended
from subscriptions.feed import Batch, Feed
from subscriptions.follower import Follower
from subscriptions.gauge import Gauge

WINDOWS = [timedelta(minutes=minutes) for minutes in (1, 5, 15)]
ENVIRONMENTS = ("default", "production")
STATUSES = ("pending", "claimed", "completed", "failed", "cancelled")

_UPSERT = """
INSERT INTO monitor.jobs AS j (job_id, source, workflow_id, workflow_name, environment, status, raw_status, created_at,
    claimed_at, completed_at)
VALUES ($1, 'pgqueuer', $2, 'W', $3, $4, $4, now() - make_interval(mins => $5 + 2),
    CASE WHEN $4 <> 'pending' THEN now() - make_interval(mins => $5, secs => 30) END,
    CASE WHEN $4 NOT IN ('pending', 'claimed') THEN now() - make_interval(mins => $5) END)
ON CONFLICT (job_id) DO UPDATE SET status = excluded.status, claimed_at = excluded.claimed_at,
    completed_at = excluded.completed_at
WHERE j.status <> excluded.status"""
_CORRECT = """
UPDATE monitor.jobs SET completed_at = now() - make_interval(mins => $2),
    claimed_at = now() - make_interval(mins => $2 + 1)
WHERE job_id = $1 AND status IN ('completed', 'failed')"""
_ENDED = """
SELECT count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'cancelled'),
    count(duration_ms) FILTER (WHERE status IN ('completed', 'failed')),
    coalesce(sum((duration_ms * 1000)::bigint) FILTER (WHERE status IN ('completed', 'failed')), 0)
FROM monitor.jobs
WHERE status IN ('completed', 'failed', 'cancelled') AND environment = $1
  AND floor(extract(epoch FROM completed_at)) > floor(extract(epoch FROM $2::timestamptz)) - $3
  AND floor(extract(epoch FROM completed_at)) <= floor(extract(epoch FROM $2::timestamptz))"""

_jobs = st.sampled_from([f"job-{number}" for number in range(6)])
_minutes = st.sampled_from([0, 4, 14, 30, 31, 3 * 24 * 60])
_environments = st.sampled_from(ENVIRONMENTS)
_statuses = st.sampled_from(STATUSES)
_writers = st.integers(0, 2)

past = st.lists(st.tuples(st.just("source"), st.just(0), _jobs, _statuses, _minutes), max_size=6)
heard = st.one_of(
    st.tuples(st.just("report"), _jobs, _statuses, st.integers(0, 2)),
    st.tuples(st.just("source"), _writers, _jobs, _statuses, _minutes),
    st.tuples(st.just("source"), _writers, _jobs, _statuses, _minutes),
    st.tuples(st.just("undo"), _writers, _jobs, _statuses, _minutes),
    st.tuples(st.sampled_from(["commit", "commit", "roll back"]), _writers),
    st.tuples(st.sampled_from(["hear", "hear", "pass on", "compare", "rebuild"]), st.integers(0, 1)),
)
unheard = st.one_of(
    st.tuples(st.just("delete"), _jobs),
    st.tuples(st.just("seed"), _jobs, _statuses, _minutes),
    st.tuples(st.just("correct"), _jobs, _minutes),
    st.tuples(st.just("move"), _jobs, _environments),
)


@dataclass
class Writer:
    """One connection and its open transaction."""

    connection: asyncpg.Connection
    jobs: set[str] = field(default_factory=set)

    async def begin(self) -> None:
        if not self.connection.is_in_transaction():
            await self.connection.execute("BEGIN")

    async def end(self, how: str) -> None:
        if self.connection.is_in_transaction():
            await self.connection.execute(how)
        self.jobs.clear()


class Worker:
    """A follower of the ledger, and the jobs that are kept true by it."""

    def __init__(self, database: Database, feed: Feed, bounds: Bounds) -> None:
        async def follower() -> Follower:
            return self.follower

        async def no_robots() -> Mapping[str, RobotRow]:
            return {}

        self.follower = Follower(database, feed)
        self.live = LiveJobs(database, follower, Gauge("robots", no_robots), bounds=bounds)

    @classmethod
    async def started(cls, database: Database, bounds: Bounds = USUAL) -> "Worker":
        worker = cls(database, await Feed.at_end(database), bounds)
        await worker.live.begin(worker.follower)
        return worker

    async def hear(self, batch: Batch | None = None) -> None:
        """Hear what another's feed has read, or look, and fold all that is at hand."""
        if batch is not None:
            await self.follower.take(batch)
        else:
            while (await self.follower.look()).full:
                pass
        await self.fold()

    async def fold(self) -> None:
        trail = self.live._trail
        assert trail is not None
        async with asyncio.timeout(20):
            while trail._next < self.follower.end or (trail._missed is not None and self._behind):
                await self.live.hear()
        if not self.live.sound:
            await self.live.rebuild()

    @property
    def _behind(self) -> bool:
        return self.live._position.high < self.follower.position.high

    def told(self, at: datetime) -> dict[str, Any]:
        assert self.live.jobs is not None
        fleet = LiveFleet(
            self.live.jobs,
            Robots((), EVERYTHING, None, at),
            {},
            EVERYTHING,
            None,
            at=at,
            as_of=at,
            stale=False,
            silent_since=at,
        )
        ended = {(name, length): fleet.ended(length, name) for name in ENVIRONMENTS for length in WINDOWS}
        days = {name: fleet.created(name) for name in ENVIRONMENTS}
        return {
            "queues": {queue.environment: queue for queue in fleet.queues},
            "ended": ended,
            "today": {name: (day.total, day.timed) for name, day in days.items()},
            "average": {
                name: _rounded(day.micros / day.timed / 1e6) if day.timed else None for name, day in days.items()
            },
            "waiting": dict(fleet.waiting),
        }


async def counted(database: Database, at: datetime) -> dict[str, Any]:
    """The same as SQL says it."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    todays = {name: await today(database, name, at) for name in ENVIRONMENTS}
    async with database.connection() as connection:
        ended = {
            (name, length): Ended(*await connection.fetchrow(_ENDED, name, at, int(length.total_seconds())))
            for name in ENVIRONMENTS
            for length in WINDOWS
        }
        timed = await connection.fetch(
            """SELECT environment, count(duration_ms) FROM monitor.jobs
            WHERE created_at >= $1 AND status IN ('completed', 'failed') GROUP BY 1""",
            midnight,
        )
        waiting = await connection.fetch(
            "SELECT workflow_id, count(*) FROM monitor.jobs WHERE status = 'pending' GROUP BY 1"
        )
    runs = dict(map(tuple, timed))
    return {
        "queues": {queue.environment: queue for queue in await queue_by_environment(database)},
        "ended": ended,
        "today": {name: (today.total, runs.get(name, 0)) for name, today in todays.items()},
        "average": {
            name: None if today.average_seconds is None else _rounded(today.average_seconds)
            for name, today in todays.items()
        },
        "waiting": dict(map(tuple, waiting)),
    }


async def today(database: Database, environment: str, at: datetime) -> FleetToday:
    return (await fleet_numbers(database, FleetScope(environment), offline_after=60, now=at)).today


def _rounded(seconds: float) -> float:
    # The mean of two is a half of a microsecond every other time, which sums of floats round up or down.
    return round(seconds, 9)


class Scene:
    """Robots that report, a source with open transactions, and two workers that hear of it in different batches."""

    def __init__(self, database: Database, writers: list[Writer]) -> None:
        self.database = database
        self.writers = writers
        self.workers: list[Worker] = []

    async def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case "report", job, status, retry if not self._held(job):
                known = await self._run("SELECT status FROM monitor.jobs WHERE job_id = $1", job)
                if not known or known[0]["status"] != status:
                    report = JobReport(job, "w", JobStatus(status), environment=_home(job), retry_count=retry)
                    await report_job(self.database, report, datetime.now(UTC))
            case ("source" | "undo") as what, which, job, status, minutes if not self._held(job, which):
                await self._write(self.writers[which], what, job, status, minutes)
            case ("commit" | "roll back") as how, which:
                await self.writers[which].end("COMMIT" if how == "commit" else "ROLLBACK")
            case "hear", which:
                await self.workers[which].hear()
            case "pass on", which:
                batch = await self.workers[which].follower.look()
                await self.workers[which].fold()
                await self.workers[1 - which].hear(batch)
            case "compare", which:
                await self.workers[which].live.compare()
            case "rebuild", which:
                await self.workers[which].live.rebuild()
            case "delete", job if not self._held(job):
                await self._run("DELETE FROM monitor.jobs WHERE job_id = $1", job)
            case "seed", job, status, minutes if not self._held(job):
                await self._run("SET monitor.backfill = on")
                await self._run(_UPSERT, job, "w", _home(job), status, minutes)
                await self._run("SET monitor.backfill = off")
            case "correct", job, minutes if not self._held(job):
                await self._run(_CORRECT, job, minutes)
            case "move", job, environment if not self._held(job):
                await self._run("UPDATE monitor.jobs SET environment = $2 WHERE job_id = $1", job, environment)

    async def end(self) -> None:
        for writer in self.writers:
            await writer.end("COMMIT")
        for worker in self.workers:
            await worker.hear()

    def _held(self, job: str, by: int | None = None) -> bool:
        """Whether somebody else's transaction has written of the job, so that whoever wrote of it would wait."""
        return any(job in writer.jobs for number, writer in enumerate(self.writers) if number != by)

    async def _write(self, writer: Writer, what: str, job: str, status: str, minutes: int) -> None:
        await writer.begin()
        if what == "undo":
            await writer.connection.execute("SAVEPOINT before")
        await writer.connection.execute(_UPSERT, job, "w2", _home(job), status, minutes)
        if what == "undo":
            await writer.connection.execute("ROLLBACK TO before")
        else:
            writer.jobs.add(job)

    async def _run(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self.writers[-1].connection.fetch(statement, *arguments)


def _home(job: str) -> str:
    """The environment in which a job is first told."""
    return ENVIRONMENTS[int(job[-1]) % 2]
