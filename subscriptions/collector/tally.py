"""What is counted of the jobs of one environment; whoever sees some environments sees their sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from datasources.collector import JobNow

OPEN = {"pending", "claimed"}
_TIMED = {"completed", "failed"}


@dataclass(slots=True)
class Ended:
    """How jobs ended within some time, and how long those ran that completed or failed, in microseconds."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    timed: int = 0
    micros: int = 0

    def add(self, other: Ended) -> None:
        """Count the other too."""
        self.completed += other.completed
        self.failed += other.failed
        self.cancelled += other.cancelled
        self.timed += other.timed
        self.micros += other.micros

    @property
    def total(self) -> int:
        """All that ended."""
        return self.completed + self.failed + self.cancelled

    @property
    def failure_rate(self) -> float | None:
        """The share that failed, in percent."""
        return 100 * self.failed / self.total if self.total else None

    @property
    def average_seconds(self) -> float | None:
        """How long they ran on average."""
        return self.micros / self.timed / 1e6 if self.timed else None


@dataclass(slots=True)
class Day:
    """The jobs created on a day, and how long those ran that completed or failed, in microseconds."""

    total: int = 0
    timed: int = 0
    micros: int = 0

    def add(self, other: Day) -> None:
        """Count the other too."""
        self.total += other.total
        self.timed += other.timed
        self.micros += other.micros

    @property
    def average_seconds(self) -> float | None:
        """How long they ran on average."""
        return self.micros / self.timed / 1e6 if self.timed else None


@dataclass(slots=True)
class Tally:
    """The counts of one environment."""

    pending: int = 0
    active: int = 0
    waiting: Counter[str] = field(default_factory=Counter)  # jobs that wait, by workflow
    seconds: dict[int, Ended] = field(default_factory=dict)
    days: dict[date, Day] = field(default_factory=dict)
    oldest: list[tuple[datetime, str]] = field(default_factory=list)  # a heap, with some that wait no more
    crowd: Counter[str] = field(default_factory=Counter)  # jobs that are no more than a number, by status
    crowd_since: datetime | None = None  # when the first of those that wait was created

    def ended(self, at: datetime, length: timedelta) -> Ended:
        """What ended in so many whole seconds up to that of the moment."""
        last = int(at.timestamp())
        return _sum(self.seconds, last - int(length.total_seconds()), last)

    def created(self, at: datetime) -> Day:
        """What was created since the midnight before the moment."""
        today = Day()
        for day, counted in self.days.items():
            if day >= at.date():  # a robot's clock may be in tomorrow already
                today.add(counted)
        return today

    def wait_since(self, since: datetime) -> None:
        """One of the crowd has waited since then."""
        self.crowd_since = since if self.crowd_since is None else min(since, self.crowd_since)

    def moments(self, since: datetime) -> int:
        """The sum of the seconds in which jobs ended."""
        return sum(second * ended.total for second, ended in self.seconds.items() if second >= since.timestamp())

    @property
    def empty(self) -> bool:
        """Whether there is nothing left to count."""
        return not (self.pending or self.active or self.seconds or self.days)


def _sum(seconds: Mapping[int, Ended], after: int, last: int) -> Ended:
    total = Ended()
    for second, ended in seconds.items():
        if after < second <= last:
            total.add(ended)
    return total


def count(tally: Tally, job: JobNow, sign: int) -> None:
    """Count a job as what it is, or take away what was counted of it."""
    count_group(tally, job.status, job.workflow_id, sign)
    _count_past(tally, job, sign)


def count_group(tally: Tally, status: str, workflow_id: str, jobs: int) -> None:
    """Count so many jobs of a workflow as far as they wait or run."""
    if status == "pending":
        tally.pending += jobs
        tally.waiting[workflow_id] += jobs
        if not tally.waiting[workflow_id]:
            del tally.waiting[workflow_id]
    elif status == "claimed":
        tally.active += jobs


def _count_past(tally: Tally, job: JobNow, sign: int) -> None:
    timed = sign if job.duration_us is not None and job.status in _TIMED else 0
    micros = timed * (job.duration_us or 0)
    day = tally.days.setdefault(job.created_at.date(), Day())
    day.total += sign
    day.timed += timed
    day.micros += micros
    if job.completed_at is None or job.status in OPEN:
        return
    ended = tally.seconds.setdefault(int(job.completed_at.timestamp() // 1), Ended())
    match job.status:
        case "completed":
            ended.completed += sign
        case "failed":
            ended.failed += sign
        case _:
            ended.cancelled += sign
    ended.timed += timed
    ended.micros += micros
