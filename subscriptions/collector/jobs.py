"""The jobs as a worker knows them.

A job is counted as what it is now: to fold a change is to take away what was counted of it and to count it anew, so
that it does not matter in which order, in which batches or how often changes are heard.

Memory is bounded. Single jobs are known while they wait or run, so many of each, the oldest first: any more are a
crowd, of which only the number is known until their own transition names them. For a quarter of an hour after their end
so many are known; of the others only sums are left. A change of a job that was counted, but nobody knows as what,
makes the sums doubtful, until they are read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush

from datasources.collector import JobNow, Snapshot, Totals
from subscriptions.collector.tally import OPEN, Day, Ended, Tally, count, count_group

WINDOW = timedelta(minutes=15)  # for which single jobs that ended are known
_LOOSE = 1000  # entries of jobs that wait no more, beyond as many as wait


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many jobs are known one by one: so many that wait, as many that run, and so many that ended."""

    open: int = 50_000
    ended: int = 20_000  # beyond them the one heard of first becomes a part of the sums sooner


USUAL = Bounds()


class Jobs:
    """The jobs that are known one by one, and the tallies."""

    def __init__(self, snapshot: Snapshot, now: datetime, bounds: Bounds) -> None:
        self._bounds = bounds
        self.pending: dict[str, JobNow] = {}
        self.claimed: dict[str, JobNow] = {}
        self.ended: dict[str, JobNow] = {}
        self.tallies: dict[str, Tally] = {}
        self.doubtful = False
        self._forgotten = datetime.min.replace(tzinfo=UTC)  # when the last one ended that is known no more too soon
        for group in snapshot.open:
            tally = self._tally(group.environment)
            count_group(tally, group.status, group.workflow_id, group.jobs)
            tally.crowd[group.status] += group.jobs
            if group.status == "pending":
                tally.wait_since(group.since)
        for job in snapshot.jobs:
            self._place(job)
            if job.status in OPEN:
                self._tally(job.environment).crowd[job.status] -= 1
        for row in snapshot.ended:
            self._tally(row.environment).seconds[row.second] = Ended(
                row.completed, row.failed, row.cancelled, row.timed, row.micros
            )
        for counted in snapshot.created:
            self._tally(counted.environment).days[counted.day] = Day(counted.total, counted.timed, counted.micros)
        if len(self.ended) >= bounds.ended:
            self._forgotten = now

    @property
    def known(self) -> int:
        """How many are known one by one."""
        return len(self.pending) + len(self.claimed) + len(self.ended)

    @property
    def crowd(self) -> int:
        """How many wait or run of which only the number is known."""
        return sum(tally.crowd.total() for tally in self.tallies.values())

    @property
    def thin(self) -> bool:
        """Whether there is room for many of the crowd."""
        crowds = sum((tally.crowd for tally in self.tallies.values()), Counter[str]())
        known = {"pending": self.pending, "claimed": self.claimed}
        return any(len(known[status]) < self._bounds.open / 2 for status, jobs in crowds.items() if jobs)

    def fold(self, named: Mapping[str, str | None], found: Mapping[str, JobNow], now: datetime) -> None:
        """Count the named jobs as what was found of them; a job is named with its status before, or None if new."""
        for job_id, previous in named.items():
            before, after = self._known(job_id), found.get(job_id)
            if before == after and before is not None:
                continue
            if before is not None:
                self._count(before, -1)
                self._displace(before)
            elif previous is not None and not self._left_crowd(after, previous):
                self.doubtful = self.doubtful or not self._counted_nowhere(after, now)
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
        tally = self.tallies.get(environment)
        return tally.crowd_since if tally is not None and tally.crowd["pending"] else None

    def totals(self, at: datetime, since: datetime, but_for: Iterable[str]) -> Mapping[str, Totals]:
        """The counts of each environment, without some jobs; of what ended, since a whole second."""
        apart: dict[str, Tally] = {}
        for job in filter(None, map(self._known, but_for)):
            count(apart.setdefault(job.environment, Tally()), job, -1)
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

    def _left_crowd(self, job: JobNow | None, previous: str) -> bool:
        """Take a job out of the crowd, as what it was before; False where it cannot have been in one."""
        tally = None if job is None else self.tallies.get(job.environment)
        if job is None or tally is None or not tally.crowd[previous]:
            return False
        tally.crowd[previous] -= 1
        count(tally, replace(job, status=previous, completed_at=None, duration_us=None), -1)
        return True

    def _place(self, job: JobNow) -> None:
        if job.status in OPEN:
            known, tally = self.pending if job.status == "pending" else self.claimed, self._tally(job.environment)
            if len(known) >= self._bounds.open:
                tally.crowd[job.status] += 1
                if job.status == "pending":
                    tally.wait_since(job.created_at)
                return
            known[job.job_id] = job
            if job.status == "pending":
                heappush(tally.oldest, (job.created_at, job.job_id))
                self._tidy(job.environment, tally)
        else:
            self.ended[job.job_id] = job
            if len(self.ended) > self._bounds.ended:
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
        count(self._tally(job.environment), job, sign)

    def _tidy(self, environment: str, tally: Tally) -> None:
        if len(tally.oldest) > 2 * tally.pending + _LOOSE:
            waiting = (job for job in self.pending.values() if job.environment == environment)
            tally.oldest = [(job.created_at, job.job_id) for job in waiting]
            heapify(tally.oldest)
