"""What operators ask of the fleet beyond its counts, each with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import strawberry

from datasources.jobs import JobRow
from datasources.robots import RobotRow
from datasources.workflows import WorkflowRow
from graph.context import Info
from graph.errors import BadUserInput
from graph.types.jobs import Job
from graph.types.robots import Robot
from graph.types.scalars import Duration, described_enum, format_time
from graph.types.workflows import Workflow
from subscriptions.collector.outlook import Assumptions, Estimate, StuckJob, StuckReason
from subscriptions.collector.tally import Ended

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=366)

described_enum(
    StuckReason,
    "Why a claimed job does not get on.",
    {
        StuckReason.ROBOT_OFFLINE: "Its robot said goodbye a moment ago, and left it behind.",
        StuckReason.ROBOT_SILENT: "Its robot's heartbeats have stopped for longer than its lease: until then it is "
        "taken to be at work (`offline_after_seconds`, a minute unless set).",
        StuckReason.ROBOT_UNKNOWN: "No robot of that name is registered, or it lies outside of what you may see.",
    },
)


@dataclass(frozen=True, slots=True)
class WorkflowDepth:
    """How many jobs of a workflow wait."""

    workflow_id: str
    depth: int


@dataclass(frozen=True, slots=True)
class ThroughputOf:
    """What ended in the last so many minutes."""

    minutes: int
    ended: Ended


@strawberry.type(description="The jobs of one workflow that wait.")
class PendingWorkflow:
    """A workflow's part of the queue; its root is a WorkflowDepth."""

    workflow_id: strawberry.ID = strawberry.field(description="The workflow's id.")
    depth: int = strawberry.field(description="How many of its jobs wait.")

    @strawberry.field(graphql_type=Workflow | None, description="The workflow.")
    @staticmethod
    async def workflow(queue: strawberry.Parent[WorkflowDepth], info: Info) -> WorkflowRow | None:
        return await info.context.loaders.workflows.load(queue.workflow_id)


@strawberry.type(name="StuckJob", description="A claimed job that does not get on.")
class StuckJobType:
    """A stuck job; its root is a StuckJob."""

    job_id: strawberry.ID = strawberry.field(description="The job's id.")
    robot_id: strawberry.ID = strawberry.field(description="Id of the robot that claimed it.")
    reason: StuckReason = strawberry.field(description="Why it does not get on.")
    since: datetime = strawberry.field(
        description="Since when: the last sign of its robot after it claimed the job, or the claim."
    )

    @strawberry.field(graphql_type=Job | None, description="The job.")
    @staticmethod
    async def job(stuck: strawberry.Parent[StuckJob], info: Info) -> JobRow | None:
        return await info.context.loaders.jobs.load(stuck.job_id)

    @strawberry.field(graphql_type=Robot | None, description="The robot that claimed it; null if it is not registered.")
    @staticmethod
    async def robot(stuck: strawberry.Parent[StuckJob], info: Info) -> RobotRow | None:
        return await info.context.loaders.robots.load(stuck.robot_id)


@strawberry.type(description="How many jobs ended in the last minutes.")
class Throughput:
    """What ended; its root is a ThroughputOf."""

    minutes: int = strawberry.field(description="The last so many minutes.")

    @strawberry.field(description="Jobs that ended, a minute.")
    @staticmethod
    def jobs_per_minute(throughput: strawberry.Parent[ThroughputOf]) -> float:
        return throughput.ended.total / throughput.minutes

    @strawberry.field(description="Jobs that completed.")
    @staticmethod
    def completed(throughput: strawberry.Parent[ThroughputOf]) -> int:
        return throughput.ended.completed

    @strawberry.field(description="Jobs that failed.")
    @staticmethod
    def failed(throughput: strawberry.Parent[ThroughputOf]) -> int:
        return throughput.ended.failed

    @strawberry.field(description="Jobs that were cancelled.")
    @staticmethod
    def cancelled(throughput: strawberry.Parent[ThroughputOf]) -> int:
        return throughput.ended.cancelled

    @strawberry.field(description="Share of the failed among the jobs that ended, in percent; null without any.")
    @staticmethod
    def failure_rate(throughput: strawberry.Parent[ThroughputOf]) -> float | None:
        return throughput.ended.failure_rate


@strawberry.type(description="What an estimate rests on.")
class DrainAssumptions:
    """Assumptions; its root is Assumptions."""

    pending: int = strawberry.field(description="Jobs that wait. No more are taken to come.")
    robots: int = strawberry.field(
        description="Robots that can work now, idle or busy, in the environments in which jobs wait; each is taken to "
        "run one job after another."
    )
    average_duration_seconds: float | None = strawberry.field(
        description="How long a job is taken to run, in seconds: the average of those that completed or failed in the "
        "last 15 minutes in its environment, else today, else in all of them. Here weighted by the jobs that wait."
    )
    throughput_per_minute: float | None = strawberry.field(
        description="How many jobs a minute these robots can end at that; `throughput` tells how many they do."
    )
    reason: str | None = strawberry.field(description="Why there is no estimate; null where there is one.")


@strawberry.input(one_of=True, description="By when something is to be done: within a time from now, or at a moment.")
class Deadline:
    """A moment to come."""

    within: Duration | None = strawberry.field(
        default=strawberry.UNSET, description="So long from now: `PT1H`; a second at least, a year at most."
    )
    at: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="At this moment: in the future, by a second at least and a year at most."
    )


def time_left(deadline: Deadline, now: datetime) -> timedelta:
    """The time until a deadline; raises BadUserInput where it is over, or longer than a year."""
    left = deadline.at - now if deadline.at else deadline.within or timedelta(0)
    if left < _SHORTEST:
        raise BadUserInput(f"The deadline must lie a second after now ({format_time(now)}) at least.")
    if left > _LONGEST:
        raise BadUserInput(f"The deadline must lie within a year ({_LONGEST.days} days) from now.")
    return left


@strawberry.type(description="How many robots it takes.")
class RobotsNeeded:
    """A number of robots; its root is an Estimate."""

    @strawberry.field(
        description="Robots it takes, all environments together, each rounded up by itself; null for the reason that "
        "the assumptions tell."
    )
    @staticmethod
    def robots(estimate: strawberry.Parent[Estimate]) -> int | None:
        return None if estimate.value is None else int(estimate.value)

    @strawberry.field(graphql_type=DrainAssumptions, description="What the number rests on.")
    @staticmethod
    def assumptions(estimate: strawberry.Parent[Estimate]) -> Assumptions:
        return estimate.assumptions
