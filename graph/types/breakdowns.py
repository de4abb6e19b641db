"""What analytics list: the slowest workflows, errors, healing, steps, robots' hours and waits."""

from __future__ import annotations

from typing import NamedTuple

import strawberry

from datasources.measures import ErrorCount
from datasources.windows import AnalyticsScope
from graph.context import Info


@strawberry.type(description="A workflow among the slowest.")
class SlowestWorkflow:
    """A slow workflow; its root is a SlowWorkflow."""

    workflow_id: strawberry.ID = strawberry.field(description="The workflow's id.")
    workflow_name: str = strawberry.field(description="Its name.")
    average_duration_ms: float = strawberry.field(description="Its average run, in milliseconds.")
    runs: int = strawberry.field(description="How many runs that is the average of.")


class ErrorOf(NamedTuple):
    """An error type, and the scope it was counted in."""

    scope: AnalyticsScope
    error: ErrorCount


@strawberry.type(description="An error type and how often it ended a job.")
class ErrorTypeCount:
    """An error type; its root is an ErrorOf."""

    @strawberry.field(description="The kind of error; `UnknownError` where the source told none.")
    @staticmethod
    def error_type(of: strawberry.Parent[ErrorOf]) -> str:
        return of.error.error_type

    @strawberry.field(description="How many jobs failed with it.")
    @staticmethod
    def count(of: strawberry.Parent[ErrorOf]) -> int:
        return of.error.count

    @strawberry.field(description="How many jobs failed with it in the window of the same length before.")
    @staticmethod
    async def previous_count(of: strawberry.Parent[ErrorOf], info: Info) -> int:
        before = await info.context.loaders.analytics.errors.load(of.scope.before())
        return before.of(of.error.error_type)


@strawberry.type(description="What a tier of self-healing did.")
class HealingTier:
    """A tier of healing; its root is a TierHealing."""

    tier: str = strawberry.field(description="The tier, in the robots' words.")
    attempts: int = strawberry.field(description="Broken steps that it tried to heal.")
    successes: int = strawberry.field(description="Those that it healed.")
    success_rate: float | None = strawberry.field(description="Healed steps in percent of those tried.")


@strawberry.type(description="A step that much of the time is spent in.")
class BottleneckNode:
    """A step; its root is a Bottleneck."""

    workflow_id: strawberry.ID = strawberry.field(description="The workflow it belongs to.")
    node_id: str = strawberry.field(description="The node.")
    node_type: str = strawberry.field(description="What kind of node it is.")
    runs: int = strawberry.field(description="How often it ran to an end.")
    time_share: float | None = strawberry.field(description="Its time in percent of that of all steps of these jobs.")
    average_duration_ms: float = strawberry.field(description="Its average run, in milliseconds.")
    p95_duration_ms: float | None = strawberry.field(
        name="p95DurationMs",
        description="95 percent of its runs took no longer, in milliseconds; within 1 percent. Far above the average "
        "it says that the step is sometimes slow rather than always.",
    )
    failure_rate: float | None = strawberry.field(description="How often it failed, in percent of its ends.")


@strawberry.type(
    description="What robots did with their time, in hours, in the whole hours of the window; as far as it is known."
)
class RobotHours:
    """Hours of robots; its root is a RobotTime."""

    busy: float = strawberry.field(description="Hours in which they ran jobs.")
    idle: float = strawberry.field(description="Hours in which they waited for jobs.")
    offline: float = strawberry.field(description="Hours in which they were away.")
    failed: float = strawberry.field(description="Hours in which they were there and could not work.")
    utilisation: float | None = strawberry.field(description="Busy hours in percent of busy and idle ones.")


@strawberry.type(description="How long jobs waited from creation to claim. Of jobs that ended; null where none did.")
class QueueWait:
    """Waiting times; the root is an AnalyticsScope."""

    @strawberry.field(description="Average wait, in milliseconds.")
    @staticmethod
    async def average_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.totals.load(scope)).average_wait_ms

    @strawberry.field(description="Longest wait, in milliseconds.")
    @staticmethod
    async def max_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.totals.load(scope)).longest_wait

    @strawberry.field(name="p50Ms", description="Median wait, in milliseconds.")
    @staticmethod
    async def p50_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.waits.load(scope)).p50

    @strawberry.field(name="p95Ms", description="95 percent of the jobs waited no longer, in milliseconds.")
    @staticmethod
    async def p95_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.waits.load(scope)).p95

    @strawberry.field(name="p99Ms", description="99 percent of the jobs waited no longer, in milliseconds.")
    @staticmethod
    async def p99_ms(scope: strawberry.Parent[AnalyticsScope], info: Info) -> float | None:
        return (await info.context.loaders.analytics.waits.load(scope)).p99
