"""Scores and agreements: how well jobs ran, and whether as well as was promised."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from math import isfinite
from typing import NamedTuple

import strawberry

from datasources.scores import Efficiency, SlaTarget, at_least, at_most, efficiency
from datasources.windows import AnalyticsScope
from graph.context import Info
from graph.errors import BadUserInput
from graph.types.scalars import described_enum

_STEADY = 1.0  # points that a score may differ by without being another


class Trend(StrEnum):
    """Where a score is going."""

    IMPROVING = "improving"
    STEADY = "steady"
    DECLINING = "declining"


described_enum(
    Trend,
    "Where a score is going, against the window of the same length before.",
    {
        Trend.IMPROVING: "It is more than a point higher.",
        Trend.STEADY: "It is within a point of what it was.",
        Trend.DECLINING: "It is more than a point lower.",
    },
    name="ScoreTrend",
)


class Scored(NamedTuple):
    """The score of a scope."""

    scope: AnalyticsScope
    efficiency: Efficiency


async def scored(scope: AnalyticsScope, info: Info) -> Scored | None:
    """The score of a scope; None where no job ran to an end."""
    loaders = info.context.loaders.analytics
    totals, runs, healing, errors = await asyncio.gather(
        loaders.totals.load(scope), loaders.runs.load(scope), loaders.healing.load(scope), loaders.errors.load(scope)
    )
    found = efficiency(totals, runs, healing, errors)
    return None if found is None else Scored(scope, found)


async def _change(scored_now: Scored, info: Info) -> float | None:
    before = await scored(scored_now.scope.before(), info)
    return None if before is None else scored_now.efficiency.score - before.efficiency.score


@strawberry.type(description="A part of a score.")
class ScoreFactor:
    """A part of a score; its root is a Factor."""

    name: str = strawberry.field(
        description="`reliability`: the success rate. `performance`: 100 where the 95th percentile of the runs is a "
        "minute or less, 0 from five minutes. `resource`: 100 less 100 times the attempts to heal a step per "
        "execution, that is, per job that completed or failed. `maintainability`: 100, 80, 50 or 20 where jobs failed "
        "with no, up to 2, up to 5, or more kinds of errors."
    )
    weight: float = strawberry.field(description="Its share of the whole score, 0 to 1.")
    score: float = strawberry.field(description="Its own score, 0 to 100.")
    value: float = strawberry.field(
        description="What it was made from: percent, milliseconds, attempts per execution, or kinds of errors."
    )


@strawberry.type(description="How efficiently jobs ran: a weighted mean of factors, 0 (worst) to 100 (best).")
class EfficiencyScore:
    """An efficiency score; its root is a Scored."""

    @strawberry.field(description="0 to 100.")
    @staticmethod
    def score(of: strawberry.Parent[Scored]) -> float:
        return of.efficiency.score

    @strawberry.field(graphql_type=list[ScoreFactor], description="What it is made of.")
    @staticmethod
    def factors(of: strawberry.Parent[Scored]) -> object:
        return of.efficiency.factors

    @strawberry.field(description="Points more than in the window of the same length before; null if nothing ran then.")
    @staticmethod
    async def change(of: strawberry.Parent[Scored], info: Info) -> float | None:
        return await _change(of, info)

    @strawberry.field(graphql_type=Trend | None, description="Where it is going; null if nothing ran before.")
    @staticmethod
    async def trend(of: strawberry.Parent[Scored], info: Info) -> Trend | None:
        change = await _change(of, info)
        if change is None:
            return None
        if abs(change) <= _STEADY:
            return Trend.STEADY
        return Trend.IMPROVING if change > 0 else Trend.DECLINING


@strawberry.input(description="What was agreed on. A target that is null is none.")
class SlaTargets:
    """What was agreed on."""

    success_rate: float | None = strawberry.field(
        default=95.0, description="Completed jobs, at least, in percent of those that ended."
    )
    average_duration_ms: float | None = strawberry.field(
        default=None, description="Average run, at most, in milliseconds."
    )
    p95_duration_ms: float | None = strawberry.field(
        name="p95DurationMs", default=300_000.0, description="95th percentile of the runs, at most, in milliseconds."
    )
    p95_queue_wait_ms: float | None = strawberry.field(
        name="p95QueueWaitMs",
        default=None,
        description="95th percentile of the wait from creation to claim, at most, in milliseconds.",
    )

    def check(self) -> None:
        """Raise BadUserInput for a target that nothing could meet or miss."""
        if self.success_rate is not None and not 0 <= self.success_rate <= 100:
            raise BadUserInput(f"successRate must lie between 0 and 100 percent, not {self.success_rate:g}.")
        for name in ("average_duration_ms", "p95_duration_ms", "p95_queue_wait_ms"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and isfinite(value)):
                raise BadUserInput(f"A target in milliseconds must be more than 0, not {value:g}.")


@strawberry.type(description="A target, and what came of it.")
class SlaTargetResult:
    """A target; its root is an SlaTarget."""

    measure: str = strawberry.field(description="What was measured: the name of the target's field.")
    target: float = strawberry.field(description="What was agreed on: percent or milliseconds.")
    actual: float | None = strawberry.field(description="What was measured; null where no such job ended.")
    met: bool | None = strawberry.field(
        description="Whether that keeps to the target; null where nothing was measured."
    )


@strawberry.type(description="Whether jobs ran as well as was agreed on.")
class SlaCompliance:
    """Whether targets were met; its root is a list of SlaTargets."""

    @strawberry.field(description="Whether all targets are met; null where nothing was measured.")
    @staticmethod
    def met(targets: strawberry.Parent[list[SlaTarget]]) -> bool | None:
        known = [target.met for target in targets if target.met is not None]
        return all(known) if known else None

    @strawberry.field(graphql_type=list[SlaTargetResult], description="Each target.")
    @staticmethod
    def targets(targets: strawberry.Parent[list[SlaTarget]]) -> list[SlaTarget]:
        return targets


async def sla_compliance(scope: AnalyticsScope, info: Info, targets: SlaTargets) -> list[SlaTarget]:
    """What came of the targets; raises BadUserInput for one that makes no sense."""
    targets.check()
    loaders = info.context.loaders.analytics
    found = []
    if targets.success_rate is not None:
        found.append(at_least("successRate", targets.success_rate, (await loaders.totals.load(scope)).success_rate))
    if targets.average_duration_ms is not None:
        average = (await loaders.totals.load(scope)).average_duration_ms
        found.append(at_most("averageDurationMs", targets.average_duration_ms, average))
    if targets.p95_duration_ms is not None:
        found.append(at_most("p95DurationMs", targets.p95_duration_ms, (await loaders.runs.load(scope)).p95))
    if targets.p95_queue_wait_ms is not None:
        found.append(at_most("p95QueueWaitMs", targets.p95_queue_wait_ms, (await loaders.waits.load(scope)).p95))
    return found
