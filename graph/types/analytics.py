"""Analytics: how jobs went over a window of time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry

from datasources.measures import Bottleneck, Measure, RobotTime, SlowWorkflow, TierHealing, percent
from datasources.scores import SlaTarget
from datasources.windows import AnalyticsScope, Step
from graph.context import Info
from graph.types.breakdowns import (
    BottleneckNode,
    ErrorOf,
    ErrorTypeCount,
    HealingTier,
    QueueWait,
    RobotHours,
    SlowestWorkflow,
)
from graph.types.comparison import Comparison
from graph.types.scores import EfficiencyScore, Scored, SlaCompliance, SlaTargets, scored, sla_compliance
from graph.types.series import DistributionBin, TimeSeries, distribution, time_series

_LISTED = 10  # error types that fit a page


@strawberry.type(
    description="How the jobs created in a window of time went. Rates are in percent of the jobs that ended; durations "
    "are of jobs that completed or failed. Where there are no such jobs they are null."
)
class Analytics:
    """Measures of a scope; the root is an AnalyticsScope."""

    @strawberry.field(description="Jobs created in the window, in whatever state they are.")
    @staticmethod
    async def total_jobs(scope: strawberry.Parent[AnalyticsScope], info: Info) -> int:
        return (await info.context.loaders.analytics.totals.load(scope)).total

    @strawberry.field(description="Completed jobs in percent of those that ended.")
    @staticmethod
    async def success_rate(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.totals.load(scope)).success_rate

    @strawberry.field(description="Failed jobs in percent of those that ended.")
    @staticmethod
    async def failure_rate(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.totals.load(scope)).failure_rate

    @strawberry.field(description="Average run, in milliseconds.")
    @staticmethod
    async def average_duration_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.totals.load(scope)).average_duration_ms

    @strawberry.field(description="Standard deviation of the runs, in milliseconds; null of fewer than two.")
    @staticmethod
    async def standard_deviation_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.totals.load(scope)).standard_deviation_ms

    @strawberry.field(description="Shortest run, in milliseconds.")
    @staticmethod
    async def min_duration_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.totals.load(scope)).shortest

    @strawberry.field(description="Longest run, in milliseconds.")
    @staticmethod
    async def max_duration_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.totals.load(scope)).longest

    @strawberry.field(name="p50DurationMs", description="Median run, in milliseconds.")
    @staticmethod
    async def p50_duration_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.runs.load(scope)).p50

    @strawberry.field(name="p75DurationMs", description="75 percent of the runs took no longer, in milliseconds.")
    @staticmethod
    async def p75_duration_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.runs.load(scope)).p75

    @strawberry.field(name="p90DurationMs", description="90 percent of the runs took no longer, in milliseconds.")
    @staticmethod
    async def p90_duration_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.runs.load(scope)).p90

    @strawberry.field(name="p95DurationMs", description="95 percent of the runs took no longer, in milliseconds.")
    @staticmethod
    async def p95_duration_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.runs.load(scope)).p95

    @strawberry.field(name="p99DurationMs", description="99 percent of the runs took no longer, in milliseconds.")
    @staticmethod
    async def p99_duration_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.runs.load(scope)).p99

    @strawberry.field(
        graphql_type=list[SlowestWorkflow],
        description="The ten workflows with the longest average run, of those that ran at least three times. Of a "
        "robot they are read from its jobs, which takes the longer the more there are.",
    )
    @staticmethod
    async def slowest_workflows(scope: strawberry.Parent[AnalyticsScope], info: Info) -> list[SlowWorkflow]:
        return await info.context.loaders.analytics.slowest.load(scope)

    @strawberry.field(
        graphql_type=list[ErrorTypeCount], description="The ten most frequent error types of failed jobs."
    )
    @staticmethod
    async def error_distribution(scope: strawberry.Parent[AnalyticsScope], info: Info) -> list[ErrorOf]:
        errors = await info.context.loaders.analytics.errors.load(scope)
        return [ErrorOf(scope, error) for error in errors.counts[:_LISTED]]

    @strawberry.field(description="Healed steps in percent of those where healing was tried; null if none was.")
    @staticmethod
    async def self_healing_success_rate(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        tiers = await info.context.loaders.analytics.healing.load(scope)
        return percent(sum(tier.successes for tier in tiers), sum(tier.attempts for tier in tiers))

    @strawberry.field(graphql_type=list[HealingTier], description="What each tier of self-healing did.")
    @staticmethod
    async def self_healing(scope: strawberry.Parent[AnalyticsScope], info: Info) -> list[TierHealing]:
        return await info.context.loaders.analytics.healing.load(scope)

    @strawberry.field(graphql_type=QueueWait, description="How long jobs waited from creation to claim.")
    @staticmethod
    def queue_wait(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @strawberry.field(description="Jobs of the window that ended, per hour of it until now; null if none did.")
    @staticmethod
    async def throughput_per_hour(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        hours = (min(scope.until, info.context.now) - scope.since).total_seconds() / 3600
        ended = (await info.context.loaders.analytics.totals.load(scope)).ended
        return ended / hours if ended and hours else None

    @strawberry.field(
        graphql_type=RobotHours | None,
        description="What the robots did with their time; null for a workflow, and where nothing is known.",
    )
    @staticmethod
    async def robot_hours(scope: strawberry.Parent[AnalyticsScope], info: Info) -> RobotTime | None:
        return None if scope.workflow_id is not None else await info.context.loaders.analytics.robot_time.load(scope)

    @strawberry.field(
        graphql_type=list[BottleneckNode] | None,
        description="The ten steps that took most time in all; null for a robot, as steps are kept by workflow.",
    )
    @staticmethod
    async def bottleneck_nodes(scope: strawberry.Parent[AnalyticsScope], info: Info) -> list[Bottleneck] | None:
        return None if scope.robot_id is not None else await info.context.loaders.analytics.bottlenecks.load(scope)

    @strawberry.field(description="Measures over time.")
    @staticmethod
    async def time_series(
        scope: strawberry.Parent[AnalyticsScope],
        info: Info,
        measures: Annotated[list[Measure], strawberry.argument(description="Which; each becomes a series.")],
        step: Annotated[Step, strawberry.argument(description="How far apart the points are; 1,500 at most.")],
    ) -> list[TimeSeries]:
        return await time_series(scope, info, measures, step)

    @strawberry.field(
        description="How many runs took how long: bars of equal width from the shortest to the longest. A run within 1 "
        "percent of a bar's edge may be counted beside it. Empty where there are none."
    )
    @staticmethod
    async def distribution(
        scope: strawberry.Parent[AnalyticsScope],
        info: Info,
        bins: Annotated[int, strawberry.argument(description="How many bars, 1 to 200.")] = 20,
    ) -> list[DistributionBin]:
        return await distribution(scope, info, bins)

    @strawberry.field(
        graphql_type=EfficiencyScore | None,
        description="How efficiently these jobs ran, with what that is made of; null where none ran to an end.",
    )
    @staticmethod
    async def efficiency_score(scope: strawberry.Parent[AnalyticsScope], info: Info) -> Scored | None:
        return await scored(scope, info)

    @strawberry.field(graphql_type=SlaCompliance, description="Whether these jobs ran as well as was agreed on.")
    @staticmethod
    async def sla_compliance(
        scope: strawberry.Parent[AnalyticsScope],
        info: Info,
        targets: Annotated[
            SlaTargets | None, strawberry.argument(description="What was agreed on; the defaults if left out.")
        ] = None,
    ) -> list[SlaTarget]:
        return await sla_compliance(scope, info, targets or SlaTargets())

    @strawberry.field(
        graphql_type=Comparison, description="What has changed against the window of the same length before."
    )
    @staticmethod
    def compare_to_previous(scope: strawberry.Parent[AnalyticsScope]) -> AnalyticsScope:
        return scope

    @strawberry.field(description="Whether the percentiles of the runs were read from the jobs themselves.")
    @staticmethod
    async def exact(scope: strawberry.Parent[AnalyticsScope], info: Info) -> bool:
        return (await info.context.loaders.analytics.runs.load(scope)).exact

    @strawberry.field(
        description="How far the percentiles of the runs may be off, as a share of the true value: 0 where they are "
        "exact, else 0.01. All other measures are exact."
    )
    @staticmethod
    async def relative_error(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float:
        return (await info.context.loaders.analytics.runs.load(scope)).relative_error

    @strawberry.field(description="The moment that these numbers describe.")
    @staticmethod
    def as_of(_scope: strawberry.Parent[AnalyticsScope], info: Info) -> datetime:
        return info.context.now
