"""Measures over time, and how they are distributed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import strawberry

from datasources.analytics import MOST_EXACT
from datasources.measures import Measure
from datasources.sketches import RELATIVE_ERROR
from datasources.windows import AnalyticsScope, Step
from graph.context import Info
from graph.errors import BadUserInput
from graph.loaders.analytics import SeriesKey
from graph.types.scalars import described_enum
from graph.types.windows import MOST_POINTS

MOST_BINS = 200

described_enum(
    Measure,
    "What a time series shows, of the jobs created from one point to the next.",
    {
        Measure.TOTAL_JOBS: "Jobs, in whatever state they are.",
        Measure.COMPLETED_JOBS: "Jobs that completed.",
        Measure.FAILED_JOBS: "Jobs that failed.",
        Measure.CANCELLED_JOBS: "Jobs that were cancelled.",
        Measure.SUCCESS_RATE: "Completed jobs in percent of those that ended.",
        Measure.FAILURE_RATE: "Failed jobs in percent of those that ended.",
        Measure.AVERAGE_DURATION_MS: "Average run, in milliseconds.",
        Measure.STANDARD_DEVIATION_MS: "Standard deviation of the runs, in milliseconds.",
        Measure.MIN_DURATION_MS: "Shortest run, in milliseconds.",
        Measure.MAX_DURATION_MS: "Longest run, in milliseconds.",
        **{
            measure: f"Run that {measure.value[1:3]} percent took no longer than, in milliseconds."
            for measure in Measure
            if measure.fraction is not None
        },
        Measure.AVERAGE_QUEUE_WAIT_MS: "Average wait from creation to claim, in milliseconds.",
        Measure.MAX_QUEUE_WAIT_MS: "Longest wait from creation to claim, in milliseconds.",
    },
)


@strawberry.type(description="A moment of a time series.")
class TimePoint:
    """A moment of a time series."""

    start: datetime = strawberry.field(description="Where it begins; it lasts until the next.")
    value: float | None = strawberry.field(description="The measure of its jobs; null where there is none.")


@strawberry.type(description="A measure over time.")
class TimeSeries:
    """A measure over time."""

    measure: Measure = strawberry.field(description="What is shown.")
    relative_error: float = strawberry.field(
        description="How far a value may be off, as a share of the true one; 0 where it is exact."
    )
    points: list[TimePoint] = strawberry.field(
        description="One for each step of the window, in order; the first is of its jobs in the window only."
    )


async def time_series(scope: AnalyticsScope, info: Info, measures: list[Measure], step: Step) -> list[TimeSeries]:
    """The series asked for; raises BadUserInput where they would be too long, or too many jobs had to be read."""
    loaders = info.context.loaders.analytics
    length = len(step.starts(scope.since, min(scope.until, info.context.now)))
    if length > MOST_POINTS:
        raise BadUserInput(
            f"A time series has at most {MOST_POINTS:,} points, and a point every {step.value} would make {length:,}: "
            "take a longer step or a shorter window."
        )
    sketched = scope.robot_id is not None and any(measure.fraction is not None for measure in measures)
    if step is Step.MINUTE or (step is Step.HOUR and sketched):
        jobs = (await loaders.totals.load(scope)).total
        if jobs > MOST_EXACT:
            raise BadUserInput(
                f"Minutes, and a robot's percentiles by the hour, are read from at most {MOST_EXACT:,} jobs, and there "
                f"are {jobs:,} in the window: take a longer step or a shorter window."
            )
    wanted = tuple(dict.fromkeys(measures))
    points = await loaders.series.load(SeriesKey(scope, step, wanted)) if wanted else []
    return [
        TimeSeries(
            measure=measure,
            relative_error=0.0 if measure.fraction is None else RELATIVE_ERROR,
            points=[TimePoint(start=point.start, value=point.values[place]) for point in points],
        )
        for place, measure in enumerate(wanted)
    ]


@strawberry.type(description="How many runs took from so long to so long.")
class DistributionBin:
    """A bar of a histogram."""

    from_ms: float = strawberry.field(description="The shortest run it holds, in milliseconds.")
    to_ms: float = strawberry.field(description="Where the next begins, in milliseconds.")
    count: int = strawberry.field(description="Jobs that ran for that long.")


@dataclass(frozen=True, slots=True)
class _Range:
    least: float
    most: float

    def edges(self, bins: int) -> list[float]:
        width = (self.most - self.least) / bins
        return [self.least + width * number for number in range(bins)] + [self.most]


async def distribution(scope: AnalyticsScope, info: Info, bins: int) -> list[DistributionBin]:
    """A histogram of the runs; raises BadUserInput for too many bars."""
    if not 1 <= bins <= MOST_BINS:
        raise BadUserInput(f"bins must lie between 1 and {MOST_BINS}, not {bins}.")
    loaders = info.context.loaders.analytics
    totals = await loaders.totals.load(scope)
    if totals.shortest is None or totals.longest is None:
        return []
    edges = _Range(totals.shortest, totals.longest).edges(bins if totals.longest > totals.shortest else 1)
    counts = (await loaders.runs.load(scope)).sketch.histogram(edges)
    return [
        DistributionBin(from_ms=start, to_ms=end, count=count)
        for start, end, count in zip(edges, edges[1:], counts, strict=False)
    ]
