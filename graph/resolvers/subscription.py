"""What can be subscribed to: transitions from the ledger, gauges, and the fleet as a live query.

Each yields lists of what there is to tell at once: their fields are read together, and told one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Annotated

import strawberry

from datasources.events import EventRow
from datasources.fleet import FleetScope
from datasources.jobs import JobCriteria, JobRow
from datasources.postgres import UpstreamError
from datasources.robots import RobotCriteria, RobotRow
from datasources.statuses import JobStatus
from graph.context import Info
from graph.errors import BadUserInput, ClientError
from graph.types.fleet import Fleet
from graph.types.gauges import QueueMetrics, QueueOf, RobotStatusUpdate
from graph.types.jobs import JobFilterArgument
from graph.types.robots import RobotFilter
from graph.types.roles import requires
from graph.types.updates import ActivityEvent, ActivityKind, JobUpdate, NodeExecutionUpdate, StepAtOnce
from graph.viewer import Role
from subscriptions.cursor import write_cursor
from subscriptions.ledger import AtOnce, FromNow, LedgerUpdate, Part, begin, ledger_updates
from subscriptions.sight import Sight

_MOST_ROBOTS = 1000  # ids of one subscription
_AT_ONCE = 50  # robots that are executed together
_MOST_STEPS = 1000  # steps at the beginning of a subscription to a job
_FASTEST = 20.0  # updates a second that anybody may ask for
_SLOWEST = 0.01
_IDLE = 2.0  # seconds between two looks at a fleet in which nothing seems to happen

After = Annotated[
    str | None,
    strawberry.argument(description="Go on behind this cursor: first what was missed, then what happens."),
]
Rate = Annotated[
    float | None,
    strawberry.argument(description="At most so many updates a second for each robot; 0.01 to 20, 20 if left out."),
]


@strawberry.type(description="Everything that changes, as it changes.")
class Subscription:
    """The root of all streams."""

    @strawberry.subscription(
        directives=requires(Role.VIEWER),
        graphql_type=JobUpdate,
        description="Jobs that change their status.",
    )
    @staticmethod
    async def job_updates(
        info: Info, filter: JobFilterArgument = None, after: After = None
    ) -> AsyncIterator[Sequence[LedgerUpdate]]:
        criteria = JobCriteria() if filter is None else filter.criteria()
        async for updates in ledger_updates(_sight(info), _part(info), lambda event: event.kind == "job"):
            yield await _concerned(info, criteria, updates)

    @strawberry.subscription(
        directives=requires(Role.VIEWER),
        graphql_type=NodeExecutionUpdate,
        description="The steps of a job: as they stand, then as they change; ends when the job has ended.",
    )
    @staticmethod
    async def node_executions(
        info: Info,
        job_id: Annotated[strawberry.ID, strawberry.argument(description="The job's id.")],
        after: After = None,
    ) -> AsyncIterator[Sequence[LedgerUpdate | StepAtOnce]]:
        sight, part = _sight(info), _part(info)
        if isinstance(part, AtOnce):
            yield await _steps_at_once(info, job_id)
            return
        updates = ledger_updates(sight, part, lambda event: event.job_id == job_id and event.kind in {"job", "node"})
        if isinstance(part, FromNow):
            await sight.live.look()  # what is known by now is no change of what is told at once
            await begin(sight.live, part)
            job = await info.context.fresh().loaders.jobs.load(job_id)
            if job is None:
                raise ClientError(f"There is no job {job_id!r:.100}.", "NOT_FOUND")
            if job.status.terminal:
                return
        async for those in updates:
            until_end = list(takewhile(lambda update: not _ends(update), those))
            yield [update for update in until_end if update.event is None or update.event.kind == "node"]
            if len(until_end) < len(those):
                return

    @strawberry.subscription(
        directives=requires(Role.VIEWER),
        graphql_type=RobotStatusUpdate,
        description="Robots: each as it stands, then whenever it says something new. The newest wins: a slow reader "
        "gets the newest of each robot, not all of them. A robot that no longer matches is told once more.",
    )
    @staticmethod
    async def robot_status(
        info: Info,
        robot_ids: Annotated[
            list[strawberry.ID] | None, strawberry.argument(description="Only these, 1000 at most; all if left out.")
        ] = None,
        filter: Annotated[RobotFilter | None, strawberry.argument(description="Only those; all if left out.")] = None,
        max_rate_per_second: Rate = None,
    ) -> AsyncIterator[Sequence[RobotRow]]:
        if robot_ids is not None and len(robot_ids) > _MOST_ROBOTS:
            raise BadUserInput(f"robotIds may hold {_MOST_ROBOTS} ids at most, not {len(robot_ids)}.")
        wanted = _wanted(robot_ids, RobotCriteria() if filter is None else filter.criteria())
        spacing = _spacing(_FASTEST if max_rate_per_second is None else max_rate_per_second)
        gauge, version, shown = _sight(info).robots, 0, set[str]()
        async with gauge.watching():
            while True:
                changed, version = [robot for _, robot in gauge.since(version)], gauge.version
                told = [robot for robot in changed if robot.robot_id in shown or wanted(robot)]
                gone = {robot_id for robot_id in shown if robot_id not in gauge}  # of which nothing is told
                left = gone.union(robot.robot_id for robot in told if not wanted(robot))
                shown = shown.union(robot.robot_id for robot in told) - left
                for start in range(0, len(told), _AT_ONCE):
                    yield told[start : start + _AT_ONCE]
                for robot_id in left:
                    info.context.forget(robot_id)
                await asyncio.sleep(spacing)
                await gauge.changed(version)

    @strawberry.subscription(
        directives=requires(Role.VIEWER),
        graphql_type=QueueMetrics,
        description="What waits and what runs: at once, on change, and at least so often.",
    )
    @staticmethod
    async def queue_metrics(
        info: Info,
        interval_seconds: Annotated[
            float, strawberry.argument(description="At least every so many seconds, 0.1 to 3600.")
        ] = 5,
    ) -> AsyncIterator[Sequence[QueueOf]]:
        if not 0.1 <= interval_seconds <= 3600:
            raise BadUserInput(f"intervalSeconds must lie between 0.1 and 3600, not {interval_seconds:g}.")
        gauge = _sight(info).queue
        async with gauge.watching():
            while True:
                version = gauge.version
                yield [QueueOf(dict(gauge.since(0)), gauge.as_of)]
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval_seconds):
                        await gauge.changed(version)

    @strawberry.subscription(
        directives=requires(Role.VIEWER),
        graphql_type=Fleet,
        description="The fleet as a live query: the selected fields at once, and again whenever one of them changed "
        "(but `asOf`, which always does).",
    )
    @staticmethod
    async def fleet(
        info: Info,
        environment: Annotated[
            str | None, strawberry.argument(description="Only this environment; all if left out.")
        ] = None,
        max_rate_per_second: Annotated[
            float, strawberry.argument(description="At most so many updates a second, 0.01 to 20.")
        ] = 1,
    ) -> AsyncIterator[Sequence[FleetScope]]:
        spacing, sight = _spacing(max_rate_per_second), _sight(info)
        async with sight.robots.watching(), sight.queue.watching():
            while True:
                robots, queue = sight.robots.version, sight.queue.version
                yield [FleetScope(environment)]
                await asyncio.sleep(spacing)
                await _changed(sight, robots, queue)

    @strawberry.subscription(
        directives=requires(Role.VIEWER),
        graphql_type=ActivityEvent,
        description="Everything that changes its status: jobs, their steps, robots.",
    )
    @staticmethod
    async def activity(
        info: Info,
        after: After = None,
        kinds: Annotated[
            list[ActivityKind] | None, strawberry.argument(description="Only of these kinds; all if left out.")
        ] = None,
    ) -> AsyncIterator[Sequence[LedgerUpdate]]:
        names = {kind.value for kind in ActivityKind if kinds is None or kind in kinds}
        async for updates in ledger_updates(_sight(info), _part(info), lambda event: event.kind in names):
            yield updates


def _sight(info: Info) -> Sight:
    if info.context.sight is None:
        raise ClientError("Subscriptions are not served here.", "NOT_SERVED")
    return info.context.sight


def _part(info: Info) -> Part:
    return FromNow() if info.context.part is None else info.context.part


async def _concerned(info: Info, criteria: JobCriteria, updates: Sequence[LedgerUpdate]) -> Sequence[LedgerUpdate]:
    if criteria == JobCriteria():
        return updates
    events = [update.event for update in updates if update.event is not None]
    found = zip(events, await _jobs(info, events), strict=True)
    concerned = {
        event.seq for event, job in found if job is not None and criteria.concerns(job, JobStatus(event.status))
    }
    return [update for update in updates if update.event is None or update.event.seq in concerned]


async def _jobs(info: Info, events: Sequence[EventRow]) -> Sequence[JobRow | None]:
    """The jobs of transitions. What many share waits for a database that is away; whoever catches up is told so."""
    while True:
        try:
            return await info.context.fresh().loaders.jobs.load_many([event.job_id or "" for event in events])
        except UpstreamError as error:
            if not isinstance(_part(info), FromNow):
                raise
            follower = await _sight(info).live.follower()
            await follower.wait_out(error)


def _ends(update: LedgerUpdate) -> bool:
    """Whether a job has ended with it."""
    return update.event is not None and update.event.kind == "job" and JobStatus(update.event.status).terminal


async def _steps_at_once(info: Info, job_id: str) -> Sequence[StepAtOnce]:
    live = _sight(info).live
    cursor = write_cursor(live.identity, (await live.follower()).position)
    steps = await info.context.fresh().loaders.executions.load((job_id, (_MOST_STEPS, -1)))
    return [StepAtOnce(cursor, step) for step in steps]


def _wanted(robot_ids: list[strawberry.ID] | None, criteria: RobotCriteria) -> Callable[[RobotRow], bool]:
    ids = None if robot_ids is None else frozenset(robot_ids)
    return lambda robot: (ids is None or robot.robot_id in ids) and criteria.concerns(robot)


def _spacing(rate: float) -> float:
    if not _SLOWEST <= rate <= _FASTEST:
        raise BadUserInput(f"maxRatePerSecond must lie between {_SLOWEST:g} and {_FASTEST:g}, not {rate:g}.")
    return 1 / rate


async def _changed(sight: Sight, robots: int, queue: int) -> None:
    """Wait until robots or queue are newer than these versions, or for so long that the clock alone matters."""
    waits = [asyncio.ensure_future(sight.robots.changed(robots)), asyncio.ensure_future(sight.queue.changed(queue))]
    try:
        await asyncio.wait(waits, timeout=_IDLE, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
