"""How jobs went over a window of time: totals, rates, percentiles, the slowest and the errors.

A window holds the jobs created in it. Rates divide by the jobs that ended, durations are of jobs that ran to an end
(completed or failed), in milliseconds. Without such jobs they are None: nothing happened is not zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from datasources.postgres import Database
from datasources.sql import queries

_SQL = queries("analytics")
_LISTED = 10  # as many of the slowest workflows and of the error types as fit a page


@dataclass(frozen=True, slots=True)
class AnalyticsScope:
    """Which jobs: those created from `since` up to `until`, of one workflow, of one robot, or of all."""

    since: datetime
    until: datetime
    workflow_id: str | None = None
    robot_id: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """How many jobs there were, how they ended, and their average run in milliseconds."""

    total: int
    completed: int
    failed: int
    cancelled: int
    average_duration_ms: float | None

    @property
    def success_rate(self) -> float | None:
        """Completed jobs in percent of those that ended."""
        return self._rate(self.completed)

    @property
    def failure_rate(self) -> float | None:
        """Failed jobs in percent of those that ended."""
        return self._rate(self.failed)

    def _rate(self, count: int) -> float | None:
        ended = self.completed + self.failed + self.cancelled
        return 100.0 * count / ended if ended else None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Run times in milliseconds that this share of the jobs stayed within."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class SlowWorkflow:
    """A workflow, its average run in milliseconds and how often it ran."""

    workflow_id: str
    workflow_name: str
    average_duration_ms: float
    runs: int


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """An error type and how many jobs failed with it."""

    error_type: str
    count: int


async def totals(database: Database, scopes: Sequence[AnalyticsScope]) -> list[Totals]:
    """The totals of each scope; the scopes differ in their workflow only."""
    found = await _by_subject(database, "totals", scopes)
    return [Totals(*found[_subject(scope)][0][1:]) for scope in scopes]


async def percentiles(database: Database, scopes: Sequence[AnalyticsScope]) -> list[Percentiles]:
    """The percentiles of each scope; the scopes differ in their workflow only."""
    found = await _by_subject(database, "percentiles", scopes)
    return [Percentiles(*(found[_subject(scope)][0]["p"] or [None] * 4)) for scope in scopes]


async def slowest(database: Database, scopes: Sequence[AnalyticsScope]) -> list[list[SlowWorkflow]]:
    """The slowest workflows of each scope, slowest first; the scopes differ in their workflow only."""
    found = await _by_subject(database, "slowest", scopes, limit=_LISTED)
    return [[SlowWorkflow(*record[1:]) for record in found.get(_subject(scope), ())] for scope in scopes]


async def errors(database: Database, scopes: Sequence[AnalyticsScope]) -> list[list[ErrorCount]]:
    """The errors of each scope, most frequent first; the scopes differ in their workflow only."""
    found = await _by_subject(database, "errors", scopes, limit=_LISTED)
    return [[ErrorCount(*record[1:]) for record in found.get(_subject(scope), ())] for scope in scopes]


async def healing_rates(database: Database, scopes: Sequence[AnalyticsScope]) -> list[float | None]:
    """Healed steps in percent of those tried, of each scope; the scopes differ in their workflow only."""
    found = await _by_subject(database, "healing", scopes)
    counts = [found[_subject(scope)][0] for scope in scopes]
    return [100.0 * count["successes"] / count["attempts"] if count["attempts"] else None for count in counts]


def _subject(scope: AnalyticsScope) -> str:
    return scope.workflow_id or ""


async def _by_subject(
    database: Database, name: str, scopes: Sequence[AnalyticsScope], limit: int | None = None
) -> Mapping[str, list[asyncpg.Record]]:
    subjects = sorted({_subject(scope) for scope in scopes})
    scope = scopes[0]
    records = await database.fetch(
        _SQL[name],
        {
            "subjects": subjects,
            "of_workflows": True if subjects != [""] else None,
            "since": scope.since,
            "until": scope.until,
            "robot_id": scope.robot_id,
            "limit": limit,
        },
    )
    found: dict[str, list[asyncpg.Record]] = {}
    for record in records:
        found.setdefault(record["key"], []).append(record)
    return found
