"""Fleet: all robots, the queue and today, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Annotated

import strawberry

from datasources.fleet import FleetScope
from datasources.queue import EnvironmentQueue
from graph.context import Info
from graph.errors import BadUserInput
from graph.types.failing import Failing, FailingWorkflow, failing
from graph.types.gauges import EnvironmentDepth
from graph.types.outlook import (
    Deadline,
    DrainAssumptions,
    PendingWorkflow,
    RobotsNeeded,
    StuckJobType,
    Throughput,
    ThroughputOf,
    WorkflowDepth,
    time_left,
)
from subscriptions.collector.outlook import (
    Assumptions,
    Estimate,
    StuckJob,
    drain,
    robots_needed,
    stuck,
    unservable,
    utilisation,
)

_MOST = 100

FirstFew = Annotated[int, strawberry.argument(description="How many of them, 1 to 100.")]


def few(first: int) -> int:
    """The length of a list that is told at once."""
    if not 1 <= first <= _MOST:
        raise BadUserInput(f"first must lie between 1 and {_MOST}, not {first}.")
    return first


@strawberry.type(description="All robots, the queue and today, in numbers; of one environment if one was named.")
class Fleet:
    """The fleet; its root is a FleetScope."""

    @strawberry.field(description="Registered robots.")
    @staticmethod
    async def total_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).total

    @strawberry.field(description="Robots that run a job: the busy ones.")
    @staticmethod
    async def active_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).busy

    @strawberry.field(description="Robots that wait for a job.")
    @staticmethod
    async def idle_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).idle

    @strawberry.field(description="Robots that said goodbye or have fallen silent.")
    @staticmethod
    async def offline_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).offline

    @strawberry.field(description="Robots that are alive and say that they cannot work.")
    @staticmethod
    async def failed_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).failed

    @strawberry.field(description="Jobs that robots run right now.")
    @staticmethod
    async def active_jobs(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.queue.load(fleet)).active

    @strawberry.field(description="Jobs that wait for a robot.")
    @staticmethod
    async def queue_depth(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.queue.load(fleet)).pending

    @strawberry.field(description="Jobs created since midnight UTC.")
    @staticmethod
    async def total_jobs_today(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.today.load(fleet)).total

    @strawberry.field(
        description="Average run of the jobs created since midnight UTC that completed or failed, in seconds; "
        "null if there are none."
    )
    @staticmethod
    async def average_job_duration_seconds(fleet: strawberry.Parent[FleetScope], info: Info) -> float | None:
        return (await info.context.loaders.fleet.today.load(fleet)).average_seconds

    @strawberry.field(description="How long the job that waits longest has waited, in seconds; null if none waits.")
    @staticmethod
    async def oldest_pending_seconds(fleet: strawberry.Parent[FleetScope], info: Info) -> float | None:
        return (await info.context.loaders.fleet.queue.load(fleet)).oldest_seconds

    @strawberry.field(
        graphql_type=list[EnvironmentDepth],
        description="What waits and what runs in each environment that has jobs which do.",
    )
    @staticmethod
    async def pending_by_environment(fleet: strawberry.Parent[FleetScope], info: Info) -> Sequence[EnvironmentQueue]:
        return (await info.context.loaders.fleet.live(fleet)).queues

    @strawberry.field(
        graphql_type=list[PendingWorkflow],
        description="The workflows of the jobs that wait, the one with most of them first, as far as they are known "
        "here: a depth that somebody reported has no workflows.",
    )
    @staticmethod
    async def pending_by_workflow(
        fleet: strawberry.Parent[FleetScope], info: Info, first: FirstFew = 20
    ) -> list[WorkflowDepth]:
        waiting = (await info.context.loaders.fleet.live(fleet)).waiting
        return [
            WorkflowDepth(*each) for each in nsmallest(few(first), waiting.items(), key=lambda each: (-each[1], each))
        ]

    @strawberry.field(
        description="Jobs that wait in an environment in which no robot is idle or busy: nobody will run them. What "
        "a job needs beyond its environment is not told, so capabilities do not count."
    )
    @staticmethod
    async def unservable_pending(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return unservable(await info.context.loaders.fleet.live(fleet))

    @strawberry.field(
        graphql_type=list[StuckJobType],
        description="Jobs that were claimed by a robot which is offline, silent for longer than its lease, or none, "
        "the one stuck for longest first. Whether another robot takes such a job over is for its source to say.",
    )
    @staticmethod
    async def stuck_jobs(fleet: strawberry.Parent[FleetScope], info: Info, first: FirstFew = 20) -> list[StuckJob]:
        return stuck(await info.context.loaders.fleet.live(fleet))[: few(first)]

    @strawberry.field(description="How many jobs are stuck.")
    @staticmethod
    async def stuck_job_count(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return len(stuck(await info.context.loaders.fleet.live(fleet)))

    @strawberry.field(
        description="The share of the robots that are online, so neither offline nor silent, which are busy now, in "
        "percent; null if none is online."
    )
    @staticmethod
    async def utilisation(fleet: strawberry.Parent[FleetScope], info: Info) -> float | None:
        return utilisation(await info.context.loaders.fleet.live(fleet))

    @strawberry.field(
        graphql_type=list[Throughput],
        description="What ended in the last 1, 5 and 15 minutes, by when each job itself says it did.",
    )
    @staticmethod
    async def throughput(fleet: strawberry.Parent[FleetScope], info: Info) -> list[ThroughputOf]:
        live = await info.context.loaders.fleet.live(fleet)
        return [ThroughputOf(minutes, live.ended(timedelta(minutes=minutes))) for minutes in (1, 5, 15)]

    @strawberry.field(
        description="How long it takes until all that waits now is run, in seconds, by what `drainAssumptions` tell: "
        "of each environment jobs x duration / robots, and of those the longest. Null where they tell a reason."
    )
    @staticmethod
    async def estimated_drain_seconds(fleet: strawberry.Parent[FleetScope], info: Info) -> float | None:
        return drain(await info.context.loaders.fleet.live(fleet)).value

    @strawberry.field(graphql_type=DrainAssumptions, description="What `estimatedDrainSeconds` rests on.")
    @staticmethod
    async def drain_assumptions(fleet: strawberry.Parent[FleetScope], info: Info) -> Assumptions:
        return drain(await info.context.loaders.fleet.live(fleet)).assumptions

    @strawberry.field(
        graphql_type=RobotsNeeded,
        description="How many robots it takes to have run all that waits now by then: of each environment jobs x "
        "duration / time left, rounded up.",
    )
    @staticmethod
    async def robots_needed(
        fleet: strawberry.Parent[FleetScope],
        info: Info,
        deadline: Annotated[Deadline, strawberry.argument(description="By when.")],
    ) -> Estimate:
        return robots_needed(await info.context.loaders.fleet.live(fleet), time_left(deadline, info.context.now))

    @strawberry.field(
        graphql_type=list[FailingWorkflow],
        description="Workflows that fail more often than they used to, the worst first: at least 5 of their jobs ended "
        "in the last hour and 2 of them failed, at a rate that is at least twice that of the 7 days before and 10 "
        "points above it. With fewer than 20 jobs in those days, that rate counts as 0. Of the 500 with the most "
        "failures; the rates are read from the database.",
    )
    @staticmethod
    async def failing_workflows(
        fleet: strawberry.Parent[FleetScope], info: Info, first: FirstFew = 20
    ) -> list[Failing]:
        return (await failing(fleet, info))[: few(first)]

    @strawberry.field(
        description="The moment that these numbers describe: up to then everything is counted that the database knows."
    )
    @staticmethod
    def as_of(fleet: strawberry.Parent[FleetScope], info: Info) -> datetime:
        live = info.context.loaders.fleet.at_hand(fleet)
        return info.context.now if live is None else live.as_of

    @strawberry.field(
        description="Whether these numbers are older than they should be: the database cannot be read, or sums are "
        "being counted anew."
    )
    @staticmethod
    def stale(fleet: strawberry.Parent[FleetScope], info: Info) -> bool:
        live = info.context.loaders.fleet.at_hand(fleet)
        return live is not None and live.stale
