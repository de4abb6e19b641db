"""The fleet at a moment, as somebody sees it who sees some environments of it: the sum of what each counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from datasources.collector import JobNow, ReportedDepth
from datasources.fleet import FleetQueue, FleetRobots, FleetToday
from datasources.queue import EnvironmentQueue
from datasources.robots import RobotRow
from datasources.scope import Scope
from datasources.statuses import RobotStatus
from subscriptions.collector.jobs import Jobs
from subscriptions.collector.tally import Day, Ended

_REPORT_HOLDS = timedelta(minutes=5)  # for which a reported depth outweighs our count


@dataclass(frozen=True, slots=True)
class RobotNow:
    """A robot, and what it is doing at the moment of the picture."""

    row: RobotRow
    status: RobotStatus


class LiveFleet:
    """The fleet, or some environments of it, as of a moment; `stale` where that is longer ago than it should be.

    Ages and windows end `at` the moment of the question, if that is not much later. `anybody` holds the robots of the
    whole scope, as one may run a job of another environment.
    """

    def __init__(
        self,
        jobs: Jobs,
        robots: Iterable[RobotRow],
        reported: Mapping[str, ReportedDepth],
        scope: Scope,
        environment: str | None,
        *,
        at: datetime,
        as_of: datetime,
        stale: bool,
        offline_after: float,
    ) -> None:
        self._jobs = jobs
        self._reported = reported
        self._scope = scope
        self._environment = environment
        self.at = at
        self.as_of = as_of
        self.stale = stale
        self.silent_since = at - timedelta(seconds=offline_after)
        self.anybody: Mapping[str, RobotNow] = {
            row.robot_id: self._robot(row) for row in robots if scope.sees(row.environment)
        }
        self.robots: Sequence[RobotNow] = [
            robot for robot in self.anybody.values() if self._seen(robot.row.environment)
        ]
        self.states: Counter[RobotStatus] = Counter(robot.status for robot in self.robots)
        self.queues: Sequence[EnvironmentQueue] = list(self._queues())

    @property
    def robot_counts(self) -> FleetRobots:
        """Its robots, by state."""
        states = self.states
        return FleetRobots(
            len(self.robots),
            busy=states[RobotStatus.BUSY],
            idle=states[RobotStatus.IDLE],
            offline=states[RobotStatus.OFFLINE],
            failed=states[RobotStatus.FAILED],
        )

    @property
    def queue(self) -> FleetQueue:
        """What waits and what runs."""
        oldest = min((queue.oldest_pending_at for queue in self.queues if queue.oldest_pending_at), default=None)
        return FleetQueue(
            active=sum(queue.active for queue in self.queues),
            pending=sum(queue.pending for queue in self.queues),
            oldest_seconds=None if oldest is None else max(0.0, (self.at - oldest).total_seconds()),
        )

    @cached_property
    def day(self) -> Day:
        """The jobs created since midnight UTC."""
        total = Day()
        for environment in self._tallied():
            total.add(self._jobs.tallies[environment].created(self.at))
        return total

    @property
    def today(self) -> FleetToday:
        """The same, with how long those ran on average that ended."""
        return FleetToday(self.day.total, self.day.average_seconds)

    def ended(self, length: timedelta, environment: str | None = None) -> Ended:
        """What ended within this time, up to a quarter of an hour; in one of its environments, or in all."""
        total = Ended()
        for each in self._tallied():
            if environment in {None, each}:
                total.add(self._jobs.tallies[each].ended(self.at, length))
        return total

    def created(self, environment: str) -> Day:
        """The jobs of one of its environments created since midnight UTC."""
        tally = self._jobs.tallies.get(environment)
        return Day() if tally is None or not self._seen(environment) else tally.created(self.at)

    @property
    def waiting(self) -> Counter[str]:
        """How many jobs of each workflow wait, as far as they are known here."""
        waiting: Counter[str] = Counter()
        for environment in self._tallied():
            waiting.update(self._jobs.tallies[environment].waiting)
        return waiting

    @property
    def running(self) -> list[JobNow]:
        """The jobs that robots run."""
        return [job for job in self._jobs.claimed.values() if self._seen(job.environment)]

    def _robot(self, row: RobotRow) -> RobotNow:
        return RobotNow(row, RobotStatus.OFFLINE if row.last_sign < self.silent_since else row.status)

    def _seen(self, environment: str) -> bool:
        return self._environment in {None, environment} and self._scope.sees(environment)

    def _tallied(self) -> list[str]:
        return [environment for environment in self._jobs.tallies if self._seen(environment)]

    def _queues(self) -> Iterable[EnvironmentQueue]:
        held = {
            environment: report.depth
            for environment, report in self._reported.items()
            if report.at > self.at - _REPORT_HOLDS and self._seen(environment)
        }
        for environment in sorted({*self._tallied(), *held}):
            tally = self._jobs.tallies.get(environment)
            pending, active = (0, 0) if tally is None else (tally.pending, tally.active)
            if pending or active or environment in held:
                oldest = self._jobs.oldest_pending(environment)
                yield EnvironmentQueue(environment, held.get(environment, pending), active, oldest)
