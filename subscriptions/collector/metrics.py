"""`RPAMetricsCollector`: what the live fleet is, told from memory; what happens in it is recorded for every worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from datasources.collector import HealingTier, JobNow, NodeMetrics, ReportedDepth, healing_tiers, node_metrics
from datasources.fleet import FleetToday
from datasources.postgres import Database, UpstreamUnavailable
from datasources.queue import EnvironmentQueue
from datasources.robots import RobotRow
from datasources.scope import EVERYTHING, Scope
from datasources.settings import Settings
from datasources.statuses import RobotStatus
from subscriptions.collector.fleet import LiveFleet, RobotNow
from subscriptions.collector.jobs import WINDOW
from subscriptions.collector.live_jobs import LiveJobs
from subscriptions.collector.recorder import Recorder
from subscriptions.collector.tally import Ended
from subscriptions.follower import Follower
from subscriptions.gauge import Gauge

_STALE = 5.0  # seconds; robots are read at least every two, the ledger is looked at every second or two
_START = 5.0  # seconds that somebody waits for a worker that is only starting

THROUGHPUT = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))


@dataclass(frozen=True, slots=True)
class RobotMetrics:
    """A robot at this moment; memory in MB, its silence in seconds."""

    robot_id: str
    environment: str
    status: RobotStatus
    cpu_percent: float | None
    memory_mb: float | None
    memory_percent: float | None
    current_job_id: str | None
    current_node: str | None
    heartbeat_age_seconds: float | None


@dataclass(frozen=True, slots=True)
class JobMetrics:
    """The jobs at this moment; what ended, by the length of time in which it did."""

    pending: int
    active: int
    oldest_pending_seconds: float | None
    today: FleetToday
    ended: Mapping[timedelta, Ended]


class RPAMetricsCollector(Recorder):
    """The live fleet. What it tells comes from memory, but for steps and healing; what it records goes to Postgres."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        follower: Callable[[], Awaitable[Follower]],
        robots: Gauge[RobotRow],
        reported: Gauge[ReportedDepth],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(database)
        self._database = database
        self._offline_after = settings.offline_after_seconds
        self._robots = robots
        self._reported = reported
        self._begun = asyncio.Event()
        self.live_jobs = LiveJobs(database, follower, robots, changed)

    async def run(self) -> None:
        """Keep the fleet in memory, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.live_jobs.run(), name="live-jobs")
            group.create_task(self._watch(), name="live-gauges")

    async def _watch(self) -> None:
        async with self._robots.kept(), self._reported.kept():
            for part in (self._robots, self._reported, self.live_jobs):
                await part.begun.wait()
            self._begun.set()
            await asyncio.Event().wait()

    @property
    def ready(self) -> bool:
        """Whether the fleet is in memory."""
        return self._begun.is_set()

    async def begun(self) -> None:
        """Wait a moment for it; raises UpstreamUnavailable where it could not be read yet."""
        try:
            async with asyncio.timeout(_START):
                await self._begun.wait()
        except TimeoutError as error:
            raise UpstreamUnavailable("the live fleet could not be read yet") from error

    async def renew(self) -> None:
        """Read everything anew, with what was written past the ledger."""
        await self.begun()
        await asyncio.gather(self._robots.refresh(), self._reported.refresh(), self.live_jobs.renew())

    @property
    def as_of(self) -> datetime:
        """The moment that everything describes."""
        return min(self.live_jobs.as_of, self._robots.as_of, self._reported.as_of)

    @property
    def queue_as_of(self) -> datetime:
        """The moment that the queue describes; a reported depth holds for minutes, whenever it is looked for."""
        if self.live_jobs.as_of - self._reported.as_of < timedelta(seconds=_STALE):
            return self.live_jobs.as_of
        return self._reported.as_of

    @property
    def stale(self) -> bool:
        """Whether that is longer ago than it should be, or sums are in doubt."""
        return not self.live_jobs.sound or datetime.now(UTC) - self.as_of > timedelta(seconds=_STALE)

    def fleet(self, scope: Scope = EVERYTHING, environment: str | None = None) -> LiveFleet:
        """The fleet within a scope, or one environment of it; raises UpstreamUnavailable before it is in memory."""
        jobs = self.live_jobs.jobs
        if jobs is None or not self.ready:
            raise UpstreamUnavailable("the live fleet could not be read yet")
        as_of = self.as_of
        return LiveFleet(
            jobs,
            (row for _, row in self._robots.since(0)),
            dict(self._reported.since(0)),
            scope,
            environment,
            at=min(datetime.now(UTC), as_of + timedelta(seconds=_STALE)),  # what is not known does not grow older
            as_of=as_of,
            stale=self.stale,
            offline_after=self._offline_after,
        )

    def queues(self, scope: Scope = EVERYTHING) -> Mapping[str, EnvironmentQueue]:
        """What waits and what runs within a scope, by environment."""
        return {queue.environment: queue for queue in self.fleet(scope).queues}

    def get_queue_depth(self, environment: str | None = None) -> int:
        """How many jobs wait."""
        return self.fleet(environment=environment).queue.pending

    def get_active_jobs(self, environment: str | None = None) -> Mapping[str, JobNow]:
        """The jobs that robots run, by id."""
        return {job.job_id: job for job in self.fleet(environment=environment).running}

    def get_job_metrics(self, environment: str | None = None) -> JobMetrics:
        """The queue, the day, and what ended in the last minute, five and fifteen."""
        fleet = self.fleet(environment=environment)
        queue = fleet.queue
        ended = {length: fleet.ended(length) for length in THROUGHPUT}
        return JobMetrics(queue.pending, queue.active, queue.oldest_seconds, fleet.today, ended)

    def get_robot_metrics(self, robot_id: str) -> RobotMetrics | None:
        """A robot; None if there is none."""
        return self.get_all_robot_metrics().get(robot_id)

    def get_all_robot_metrics(self) -> Mapping[str, RobotMetrics]:
        """All robots, by id."""
        fleet = self.fleet()
        running = {job.job_id: job for job in fleet.running}
        return {robot.row.robot_id: _robot_metrics(robot, running, fleet.at) for robot in fleet.robots}

    async def get_node_metrics(self, node_type: str) -> NodeMetrics | None:
        """The steps of a type, of the jobs that run or ended in the last quarter of an hour; None if there are none."""
        return (await node_metrics(self._database, datetime.now(UTC) - WINDOW, node_type)).get(node_type)

    async def get_all_node_metrics(self) -> Mapping[str, NodeMetrics]:
        """The steps of the jobs that run or ended in the last quarter of an hour, by type."""
        return await node_metrics(self._database, datetime.now(UTC) - WINDOW)

    async def get_healing_stats(self, last: timedelta = timedelta(days=1)) -> list[HealingTier]:
        """The attempts to heal a step in so much time, by tier."""
        return list(await healing_tiers(self._database, datetime.now(UTC) - last))


def _robot_metrics(robot: RobotNow, running: Mapping[str, JobNow], at: datetime) -> RobotMetrics:
    row = robot.row
    job = running.get(row.current_job_id or "")
    heard = row.last_heartbeat
    return RobotMetrics(
        row.robot_id,
        row.environment,
        robot.status,
        row.cpu_percent,
        row.memory_mb,
        row.memory_percent,
        row.current_job_id,
        None if job is None else job.current_node,
        None if heard is None else max(0.0, (at - heard).total_seconds()),
    )
