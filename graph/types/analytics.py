"""Analytics: how jobs went over a window of time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import strawberry

from datasources.analytics import AnalyticsScope
from graph.context import Info
from graph.errors import BadUserInput
from graph.types.loaded import loaded
from graph.types.scalars import Duration

_LONGEST = timedelta(days=366)
_DEFAULT = timedelta(days=7)


@strawberry.input(description="A span of time with both ends; it includes its start and excludes its end.")
class TimeSpan:
    """A span of time."""

    from_: datetime = strawberry.field(name="from", description="Its start.")
    to: datetime = strawberry.field(description="Its end.")


@strawberry.input(one_of=True, description="Which time: the last so-and-so long, or between two moments.")
class TimeWindow:
    """A window of time."""

    last: Duration | None = strawberry.field(
        default=strawberry.UNSET, description="From so long ago until now: `P7D`; a year at most."
    )
    between: TimeSpan | None = strawberry.field(
        default=strawberry.UNSET, description="From one moment to another; a year at most."
    )


WindowArgument = Annotated[
    TimeWindow | None, strawberry.argument(description="Which time; the last seven days if left out.")
]


def window_bounds(window: TimeWindow | None, now: datetime) -> tuple[datetime, datetime]:
    """The window's start and end; raises BadUserInput where it is empty, inverted or longer than a year."""
    since, until = now - _DEFAULT, now
    if window is not None and window.between:
        since, until = window.between.from_, window.between.to
    elif window is not None and window.last is not None:
        length = min(window.last, _LONGEST + timedelta(1))
        since = now - length
    if since >= until:
        raise BadUserInput("The window ends before it starts: `from` must lie before `to`, and `last` be positive.")
    if until - since > _LONGEST:
        raise BadUserInput("The window is longer than a year (366 days).")
    return since, until


@strawberry.type(description="A workflow among the slowest.")
class SlowestWorkflow:
    """A slow workflow; its root is a SlowWorkflow."""

    workflow_id: strawberry.ID = strawberry.field(description="The workflow's id.")
    workflow_name: str = strawberry.field(description="Its name.")
    average_duration_ms: float = strawberry.field(description="Its average run, in milliseconds.")
    runs: int = strawberry.field(description="How many runs that is the average of.")


@strawberry.type(description="An error type and how often it ended a job.")
class ErrorTypeCount:
    """An error type; its root is an ErrorCount."""

    error_type: str = strawberry.field(description="The kind of error; `UnknownError` where the source told none.")
    count: int = strawberry.field(description="How many jobs failed with it.")


@strawberry.type(
    description="How the jobs created in a window of time went. Rates are in percent of the jobs that ended; durations "
    "are of jobs that completed or failed. Where there are no such jobs they are null."
)
class Analytics:
    """Measures of a scope; the root is an AnalyticsScope."""

    @loaded(
        int,
        lambda loaders: loaders.analytics.totals,
        value=lambda _, found: found.total,
        description="Jobs created in the window, in whatever state they are.",
    )
    @staticmethod
    def total_jobs(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        float | None,
        lambda loaders: loaders.analytics.totals,
        value=lambda _, found: found.success_rate,
        description="Completed jobs in percent of those that ended.",
    )
    @staticmethod
    def success_rate(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        float | None,
        lambda loaders: loaders.analytics.totals,
        value=lambda _, found: found.failure_rate,
        description="Failed jobs in percent of those that ended.",
    )
    @staticmethod
    def failure_rate(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        float | None,
        lambda loaders: loaders.analytics.totals,
        value=lambda _, found: found.average_duration_ms,
        description="Average run, in milliseconds.",
    )
    @staticmethod
    def average_duration_ms(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        float | None,
        lambda loaders: loaders.analytics.percentiles,
        value=lambda _, found: found.p50,
        name="p50DurationMs",
        description="Median run, in milliseconds.",
    )
    @staticmethod
    def p50_duration_ms(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        float | None,
        lambda loaders: loaders.analytics.percentiles,
        value=lambda _, found: found.p90,
        name="p90DurationMs",
        description="90 percent of the runs took no longer, in milliseconds.",
    )
    @staticmethod
    def p90_duration_ms(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        float | None,
        lambda loaders: loaders.analytics.percentiles,
        value=lambda _, found: found.p95,
        name="p95DurationMs",
        description="95 percent of the runs took no longer, in milliseconds.",
    )
    @staticmethod
    def p95_duration_ms(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        float | None,
        lambda loaders: loaders.analytics.percentiles,
        value=lambda _, found: found.p99,
        name="p99DurationMs",
        description="99 percent of the runs took no longer, in milliseconds.",
    )
    @staticmethod
    def p99_duration_ms(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        list[SlowestWorkflow],
        lambda loaders: loaders.analytics.slowest,
        description="The ten workflows with the longest average run, of those that ran at least three times.",
    )
    @staticmethod
    def slowest_workflows(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        list[ErrorTypeCount],
        lambda loaders: loaders.analytics.errors,
        description="The ten most frequent error types of failed jobs.",
    )
    @staticmethod
    def error_distribution(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @loaded(
        float | None,
        lambda loaders: loaders.analytics.healing_rates,
        description="Healed steps in percent of those where healing was tried; null if none was.",
    )
    @staticmethod
    def self_healing_success_rate(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @strawberry.field(description="The moment that these numbers describe.")
    @staticmethod
    def as_of(_scope: strawberry.Parent[AnalyticsScope], info: Info) -> datetime:
        return info.context.now
