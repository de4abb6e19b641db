"""What is counted of the jobs, by environment, so that whoever sees some environments sees their sum.

A job is counted as what it is now: to fold a change is to take away what was counted of it and to count it anew, so
that it does not matter in which order, in which batches or how often changes are heard. Single jobs are known while
they wait or run, and for a quarter of an hour after; of the others only sums are left. A change of a job of which only
its part in a sum is known makes the sums doubtful, until they are read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from heapq import heapify, heappop, heappush

from datasources.collector import JobNow, Snapshot, Totals

WINDOW = timedelta(minutes=15)  # for which single jobs that ended are known
MOST_ENDED = 20_000  # single jobs that ended; beyond them the one heard of first becomes a part of the sums sooner
_LOOSE = 1000  # entries of jobs that wait no more, beyond as many as wait

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
    oldest: list[tuple[datetime, str]] = field(
        default_factory=list, compare=False
    )  # a heap, with some that wait no more

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


class Jobs:
    """The jobs that are known one by one, and the tallies."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        self.pending: dict[str, JobNow] = {}
        self.claimed: dict[str, JobNow] = {}
        self.ended: dict[str, JobNow] = {}
        self.tallies: dict[str, Tally] = {}
        self.doubtful = False
        self._forgotten = datetime.min.replace(tzinfo=UTC)  # when the last one ended that is known no more too soon
        for job in snapshot.jobs:
            self._place(job)
            self._count_open(job, 1)
        for row in snapshot.ended:
            self._tally(row.environment).seconds[row.second] = Ended(
                row.completed, row.failed, row.cancelled, row.timed, row.micros
            )
        for counted in snapshot.created:
            self._tally(counted.environment).days[counted.day] = Day(counted.total, counted.timed, counted.micros)
        if len(self.ended) >= MOST_ENDED:
            self._forgotten = now

    def fold(self, named: Mapping[str, bool], found: Mapping[str, JobNow], now: datetime) -> None:
        """Count the named jobs as what was found of them; a job is named with whether it is new."""
        for job_id, new in named.items():
            before, after = self._known(job_id), found.get(job_id)
            if before == after and before is not None:
                continue
            if before is not None:
                self._count(before, -1)
                self._displace(before)
            elif not new and not self._counted_nowhere(after, now):
                self.doubtful = True
            if after is not None:
                self._count(after, 1)
                self._place(after)

    def settle(self, now: datetime) -> None:
        """Forget what lies too far back to be asked for."""
        start = now - WINDOW
        for job in [job for job in self.ended.values() if job.completed_at is None or job.completed_at < start]:
            del self.ended[job.job_id]
        for environment, tally in list(self.tallies.items()):
            tally.seconds = {
                second: ended for second, ended in tally.seconds.items() if second >= start.timestamp() - 1
            }
            tally.days = {day: counted for day, counted in tally.days.items() if day >= now.date()}
            if tally.empty:
                del self.tallies[environment]

    def oldest_pending(self, environment: str) -> datetime | None:
        """Since when the job waits that waits longest."""
        heap = self._tally_or_none(environment)
        while heap:
            since, job_id = heap[0]
            job = self.pending.get(job_id)
            if job is not None and job.created_at == since and job.environment == environment:
                return since
            heappop(heap)
        return None

    def totals(self, at: datetime, since: datetime, but_for: Iterable[str]) -> Mapping[str, Totals]:
        """The counts of each environment, without some jobs; of what ended, since a whole second."""
        apart: dict[str, Tally] = {}
        for job in filter(None, map(self._known, but_for)):
            _count(apart.setdefault(job.environment, Tally()), job, -1)
        found = {}
        for environment, tally in self.tallies.items():
            less = apart.get(environment, Tally())
            day, less_day = tally.created(at), less.created(at)
            found[environment] = Totals(
                tally.pending + less.pending,
                tally.active + less.active,
                day.total + less_day.total,
                day.timed + less_day.timed,
                day.micros + less_day.micros,
                tally.moments(since) + less.moments(since),
            )
        return {environment: counts for environment, counts in found.items() if counts != Totals()}

    def knows(self, job_id: str) -> bool:
        """Whether it is known one by one."""
        return self._known(job_id) is not None

    def _known(self, job_id: str) -> JobNow | None:
        return self.pending.get(job_id) or self.claimed.get(job_id) or self.ended.get(job_id)

    def _counted_nowhere(self, job: JobNow | None, now: datetime) -> bool:
        """Whether a job that is not known, though it is not new, has no part in any sum."""
        return job is not None and job.created_at.date() < now.date() and self._forgotten < now - WINDOW

    def _place(self, job: JobNow) -> None:
        if job.status == "pending":
            self.pending[job.job_id] = job
        elif job.status == "claimed":
            self.claimed[job.job_id] = job
        else:
            self.ended[job.job_id] = job
            if len(self.ended) > MOST_ENDED:
                first = self.ended.pop(next(iter(self.ended)))
                self._forgotten = max(self._forgotten, first.completed_at or self._forgotten)

    def _displace(self, job: JobNow) -> None:
        for known in (self.pending, self.claimed, self.ended):
            known.pop(job.job_id, None)

    def _tally(self, environment: str) -> Tally:
        tally = self.tallies.get(environment)
        if tally is None:
            tally = self.tallies[environment] = Tally()
        return tally

    def _tally_or_none(self, environment: str) -> list[tuple[datetime, str]]:
        tally = self.tallies.get(environment)
        return [] if tally is None else tally.oldest

    def _count(self, job: JobNow, sign: int) -> None:
        _count_past(self._tally(job.environment), job, sign)
        self._count_open(job, sign)

    def _count_open(self, job: JobNow, sign: int) -> None:
        tally = self._tally(job.environment)
        _count_open(tally, job, sign)
        if job.status == "pending" and sign > 0:
            heappush(tally.oldest, (job.created_at, job.job_id))
            if len(tally.oldest) > 2 * tally.pending + _LOOSE:
                waiting = (each for each in self.pending.values() if each.environment == job.environment)
                tally.oldest = [(each.created_at, each.job_id) for each in waiting if each.job_id != job.job_id]
                tally.oldest.append((job.created_at, job.job_id))
                heapify(tally.oldest)


def _count(tally: Tally, job: JobNow, sign: int) -> None:
    _count_open(tally, job, sign)
    _count_past(tally, job, sign)


def _count_open(tally: Tally, job: JobNow, sign: int) -> None:
    if job.status == "pending":
        tally.pending += sign
        tally.waiting[job.workflow_id] += sign
        if not tally.waiting[job.workflow_id]:
            del tally.waiting[job.workflow_id]
    elif job.status == "claimed":
        tally.active += sign


def _count_past(tally: Tally, job: JobNow, sign: int) -> None:
    timed = sign if job.duration_us is not None and job.status in _TIMED else 0
    micros = timed * (job.duration_us or 0)
    day = tally.days.setdefault(job.created_at.date(), Day())
    day.total += sign
    day.timed += timed
    day.micros += micros
    if job.completed_at is None or job.status in {"pending", "claimed"}:
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
