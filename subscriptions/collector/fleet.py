"""The fleet at a moment, as somebody sees it who sees some environments of it: the sum of what each counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

from datasources.collector import JobNow, ReportedDepth
from datasources.fleet import FleetNumbers, FleetQueue, FleetToday
from datasources.queue import EnvironmentQueue
from datasources.scope import Scope
from subscriptions.collector.jobs import Jobs
from subscriptions.collector.robots import Robots
from subscriptions.collector.tally import Day, Ended

_REPORT_HOLDS = timedelta(minutes=5)  # for which a reported depth outweighs our count


class LiveFleet:
    """The fleet, or some environments of it, as of a moment; `stale` where that is longer ago than it should be.

    Ages and windows end `at` the moment of the question, if that is not much later.
    """

    def __init__(
        self,
        jobs: Jobs,
        robots: Robots,
        reported: Mapping[str, ReportedDepth],
        scope: Scope,
        environment: str | None,
        *,
        at: datetime,
        as_of: datetime,
        stale: bool,
        silent_since: datetime,
    ) -> None:
        self._jobs = jobs
        self._reported = reported
        self._scope = scope
        self._environment = environment
        self.at = at
        self.as_of = as_of
        self.stale = stale
        self.silent_since = silent_since
        self.anybody = robots.anybody
        self.robots = robots.seen
        self.states = robots.states
        self.robot_counts = robots.counts

    @cached_property
    def queues(self) -> Sequence[EnvironmentQueue]:
        """What waits and what runs in each environment."""
        return list(self._queues())

    @property
    def whole(self) -> bool:
        """Whether whoever looks sees all environments, and so every robot there is."""
        return self._scope.environments is None

    @property
    def queue(self) -> FleetQueue:
        """What waits and what runs."""
        return FleetQueue.of(self.queues, self.at)

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

    @property
    def numbers(self) -> FleetNumbers:
        """All of these."""
        return FleetNumbers(self.robot_counts, self.queue, self.today)

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
