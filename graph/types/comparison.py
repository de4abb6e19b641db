"""Comparison: what has changed against the window before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from datasources.measures import Totals, percent
from datasources.windows import AnalyticsScope
from graph.context import Info

if TYPE_CHECKING:
    from graph.types.analytics import Analytics


@strawberry.type(
    description="The window of the same length that ends where this one begins, and what has changed since. A change "
    "is null where there is nothing to compare."
)
class Comparison:
    """A comparison; the root is the later AnalyticsScope."""

    @strawberry.field(
        graphql_type=Annotated["Analytics", strawberry.lazy("graph.types.analytics")],
        description="How jobs went in the window before.",
    )
    @staticmethod
    def previous(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope.before()

    @strawberry.field(description="More jobs than before, in percent of those.")
    @staticmethod
    async def total_jobs_change(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        now, before = await _totals_of_both(scope, info)
        return _growth(now.total, before.total)

    @strawberry.field(description="How many points more the success rate is, in percentage points.")
    @staticmethod
    async def success_rate_change(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        now, before = await _totals_of_both(scope, info)
        return _difference(now.success_rate, before.success_rate)

    @strawberry.field(description="How many points more the failure rate is, in percentage points.")
    @staticmethod
    async def failure_rate_change(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        now, before = await _totals_of_both(scope, info)
        return _difference(now.failure_rate, before.failure_rate)

    @strawberry.field(description="How much longer the average run is, in percent.")
    @staticmethod
    async def average_duration_change(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        now, before = await _totals_of_both(scope, info)
        return _growth(now.average_duration_ms, before.average_duration_ms)

    @strawberry.field(name="p95DurationChange", description="How much longer the 95th percentile is, in percent.")
    @staticmethod
    async def p95_duration_change(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        now, before = await info.context.loaders.analytics.runs.load_many([scope, scope.before()])
        return _growth(now.p95, before.p95)


async def _totals_of_both(scope: AnalyticsScope, info: Info) -> tuple[Totals, Totals]:
    now, before = await info.context.loaders.analytics.totals.load_many([scope, scope.before()])
    return now, before


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else now - before


def _growth(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else percent(now - before, before)
