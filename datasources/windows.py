"""Which jobs a question about history means, and how its window is put together.

Whole days and whole hours come from the rollups, what is left at the ends of the window from the jobs themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

Span = tuple[str, datetime, datetime]


class Step(StrEnum):
    """How far apart the points of a time series are; weeks begin on Mondays."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def length(self) -> timedelta:
        """The time from one point to the next."""
        return timedelta(**{f"{self.value}s": 1})

    def floor(self, moment: datetime) -> datetime:
        """The latest point that is not after a moment in UTC."""
        if self is Step.MINUTE:
            return moment.replace(second=0, microsecond=0)
        if self is Step.HOUR:
            return moment.replace(minute=0, second=0, microsecond=0)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if self is Step.DAY else midnight - timedelta(days=midnight.weekday())

    def ceiling(self, moment: datetime) -> datetime:
        """The first point that is not before a moment in UTC."""
        return self.floor(moment + self.length - timedelta(microseconds=1))

    def starts(self, since: datetime, until: datetime) -> list[datetime]:
        """The points of a window, from the one in which it begins."""
        first = self.floor(since)
        return [first + number * self.length for number in range(ceil((until - first) / self.length))]


@dataclass(frozen=True, slots=True)
class AnalyticsScope:
    """Which jobs: those created from `since` up to `until`, of one workflow, robot, environment, or of all."""

    since: datetime
    until: datetime
    workflow_id: str | None = None
    robot_id: str | None = None
    environment: str | None = None
    exact: bool = False

    @property
    def key(self) -> str:
        """What tells this scope from others of the same shape."""
        return self.workflow_id or self.robot_id or ""

    @property
    def shape(self) -> AnalyticsScope:
        """What scopes that one statement can answer have in common."""
        if self.workflow_id is not None:
            return replace(self, workflow_id="")
        return self if self.robot_id is None else replace(self, robot_id="")

    def before(self) -> AnalyticsScope:
        """The same jobs in the window of the same length that ends where this one begins."""
        since = self.since - (self.until - self.since)
        whole = self.since == Step.HOUR.floor(self.since)
        return replace(self, since=Step.HOUR.floor(since) if whole else since, until=self.since)


@dataclass(frozen=True, slots=True)
class Cover:
    """Spans of the rollups' hours and days, and edges that only the jobs know."""

    spans: tuple[Span, ...]
    edges: tuple[tuple[datetime, datetime], ...]

    @property
    def since(self) -> datetime:
        """Where it begins."""
        return min(start for start, _ in self._parts())

    @property
    def until(self) -> datetime:
        """Where it ends."""
        return max(end for _, end in self._parts())

    def _parts(self) -> list[tuple[datetime, datetime]]:
        return [*self.edges, *((start, end) for _, start, end in self.spans)]

    @classmethod
    def from_jobs(cls, since: datetime, until: datetime) -> Cover:
        """All of a window from its jobs."""
        return cls((), ((since, until),))

    @classmethod
    def of(
        cls,
        since: datetime,
        until: datetime,
        now: datetime,
        *,
        hours: bool = True,
        days: bool = True,
        kept: datetime | None = None,
    ) -> Cover:
        """As much of a window from the rollups' hours and days as can be; the hour and the day of `now` count as over.

        Where jobs from before `kept` are forgotten, a window has whole hours only, or days where there are no hours.
        """
        finest = Step.HOUR if hours else Step.DAY
        if kept is not None:
            since = finest.floor(since) if since < kept else since
            until = finest.ceiling(until) if until < kept else until
        first = finest.ceiling(since)
        last = finest.ceiling(until) if until >= now else finest.floor(until)
        if first >= last or not (hours or days):
            return cls.from_jobs(since, until)
        edges = tuple(edge for edge in ((since, first), (last, until)) if edge[0] < edge[1])
        midnight, last_midnight = Step.DAY.ceiling(first), Step.DAY.floor(last)
        if not days or midnight >= last_midnight:
            return cls((("hour", first, last),), edges)
        spans: list[Span] = [
            ("hour", first, midnight),
            ("day", midnight, last_midnight),
            ("hour", last_midnight, last),
        ]
        return cls(tuple(span for span in spans if span[1] < span[2]), edges)
