"""Windows of time that analytics look through."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import strawberry

from datasources.analytics import MOST_EXACT
from datasources.windows import AnalyticsScope, Step
from graph.context import Info
from graph.errors import BadUserInput
from graph.types.scalars import Duration, described_enum, format_time

MOST_POINTS = 1500
_LONGEST = timedelta(days=366)
_DEFAULT = timedelta(days=7)
_ROUNDED = timedelta(days=2)  # a window as long begins at a whole hour, so that it is all in the rollups

described_enum(
    Step,
    "How far apart the points of a time series are, in UTC.",
    {
        Step.MINUTE: f"A minute. Read from the jobs themselves, of which there may be {MOST_EXACT:,}.",
        Step.HOUR: f"An hour. A robot's percentiles are read from the jobs, of which there may be {MOST_EXACT:,}.",
        Step.DAY: "A day, from midnight UTC.",
        Step.WEEK: "A week, from Monday's midnight UTC.",
    },
    name="TimeStep",
)


@strawberry.input(description="A span of time with both ends; it includes its start and excludes its end.")
class TimeSpan:
    """A span of time."""

    from_: datetime = strawberry.field(name="from", description="Its start.")
    to: datetime = strawberry.field(description="Its end.")


@strawberry.input(one_of=True, description="Which time: the last so-and-so long, or between two moments.")
class TimeWindow:
    """A window of time."""

    last: Duration | None = strawberry.field(
        default=strawberry.UNSET,
        description="From so long ago until now: `P7D`; a year at most. Of two days and more, it begins at the whole "
        "hour before.",
    )
    between: TimeSpan | None = strawberry.field(
        default=strawberry.UNSET, description="From one moment to another; a year at most."
    )


WindowArgument = Annotated[
    TimeWindow | None, strawberry.argument(description="Which time; the last seven days if left out.")
]
ExactArgument = Annotated[
    bool,
    strawberry.argument(
        description="Whether percentiles have to be exact: read from the jobs, of which there may be "
        f"{MOST_EXACT:,}. Otherwise they are exact of few jobs, and of many within `relativeError`."
    ),
]


def window_bounds(window: TimeWindow | None, now: datetime) -> tuple[datetime, datetime]:
    """The window's start and end; raises BadUserInput where it is empty, inverted, too long or still to come."""
    since, until = now - _DEFAULT, now
    if window is not None and window.between:
        since, until = window.between.from_, window.between.to
    elif window is not None and window.last is not None:
        since = now - min(window.last, _LONGEST + timedelta(1))
    if since >= until:
        raise BadUserInput("The window ends before it starts: `from` must lie before `to`, and `last` be positive.")
    if until - since > _LONGEST:
        raise BadUserInput("The window is longer than a year (366 days).")
    if since > now:
        raise BadUserInput(f"The window lies in the future: it must start before now, {format_time(now)}.")
    if until == now and until - since >= _ROUNDED:
        since = Step.HOUR.floor(since)
    return since, until


async def analytics_scope(
    info: Info,
    window: TimeWindow | None,
    exact: bool,
    *,
    workflow_id: str | None = None,
    robot_id: str | None = None,
    environment: str | None = None,
) -> AnalyticsScope:
    """What is asked of; raises BadUserInput where the window makes no sense, or ends before there was any job."""
    since, until = window_bounds(window, info.context.now)
    if window is not None and window.between:
        first = await info.context.loaders.analytics.first_job.load("jobs")
        if first is not None and until <= first:
            raise BadUserInput(f"The window ends before the first job, which was created at {format_time(first)}.")
    return AnalyticsScope(since, until, workflow_id, robot_id, environment, exact)
