"""What subscriptions push from the ledger: transitions, each with the cursor of its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import strawberry

from datasources.events import EventRow
from datasources.executions import NodeExecutionRow
from datasources.statuses import JobStatus, NodeStatus
from graph.context import Info
from graph.types.executions import NodeExecution
from graph.types.jobs import Job
from graph.types.loaded import loaded
from graph.types.robots import Robot
from graph.types.scalars import described_enum
from subscriptions.follower import Missed
from subscriptions.ledger import LedgerUpdate


class GapReason(Enum):
    """Why transitions are missing."""

    RETENTION = "RETENTION"
    ANOTHER_LEDGER = "ANOTHER_LEDGER"
    AHEAD_OF_LEDGER = "AHEAD_OF_LEDGER"


class ActivityKind(Enum):
    """What an activity is about."""

    JOB = "job"
    NODE = "node"
    ROBOT = "robot"


described_enum(
    GapReason,
    "Why transitions are missing behind a cursor.",
    {
        GapReason.RETENTION: "They are older than the ledger is kept.",
        GapReason.ANOTHER_LEDGER: "The cursor comes from another database.",
        GapReason.AHEAD_OF_LEDGER: "The ledger does not go as far as the cursor: the database was set back.",
    },
)
described_enum(
    ActivityKind,
    "What an activity is about.",
    {
        ActivityKind.JOB: "A job changed its status.",
        ActivityKind.NODE: "A step of a job changed its status.",
        ActivityKind.ROBOT: "A robot changed its status.",
    },
)


@strawberry.type(description="Transitions between a cursor and now that cannot be told any more: read the state anew.")
class Gap:
    """A gap; its root is a Missed."""

    @strawberry.field(description="Why they are missing.")
    @staticmethod
    def reason(gap: strawberry.Parent[Missed]) -> GapReason:
        return GapReason(gap.reason)

    @strawberry.field(
        description="How many there were at most, seen by this viewer or not; null where nobody can tell."
    )
    @staticmethod
    def missed(gap: strawberry.Parent[Missed]) -> int | None:
        return None if gap.count is None else min(gap.count, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class StepAtOnce:
    """A step as it stands when a subscription to its job begins."""

    cursor: str
    step: NodeExecutionRow


@strawberry.type
class _LedgerUpdate:
    """What all updates from the ledger have."""

    cursor: str = strawberry.field(description="Opaque place in the ledger: come back with it as `after`.")

    @strawberry.field(graphql_type=Gap | None, description="Set, and all else null, where transitions are missing.")
    @staticmethod
    def gap(update: strawberry.Parent[LedgerUpdate]) -> Missed | None:
        return update.missed


@strawberry.type(description="A job changed its status.")
class JobUpdate(_LedgerUpdate):
    """A transition of a job; its root is a LedgerUpdate."""

    @strawberry.field(description="The job's id; null on a gap.")
    @staticmethod
    def job_id(update: strawberry.Parent[LedgerUpdate]) -> strawberry.ID | None:
        return strawberry.ID(update.event.job_id) if update.event and update.event.job_id else None

    @strawberry.field(description="Its new status; null on a gap.")
    @staticmethod
    def status(update: strawberry.Parent[LedgerUpdate]) -> JobStatus | None:
        return JobStatus(update.event.status) if update.event else None

    @strawberry.field(description="Its status before; null for a new job.")
    @staticmethod
    def previous_status(update: strawberry.Parent[LedgerUpdate]) -> JobStatus | None:
        return JobStatus(update.event.previous_status) if update.event and update.event.previous_status else None

    @strawberry.field(description="When it was recorded; null on a gap.")
    @staticmethod
    def timestamp(update: strawberry.Parent[LedgerUpdate]) -> datetime | None:
        return update.event.at if update.event else None

    @loaded(Job | None, lambda loaders: loaders.jobs, description="The job as it stands now; null on a gap.")
    @staticmethod
    def job(update: strawberry.Parent[LedgerUpdate]) -> str | None:
        return update.event.job_id if update.event else None


@strawberry.type(description="A step of a job changed its status, or stands so when the subscription begins.")
class NodeExecutionUpdate:
    """A transition of a step; its root is a LedgerUpdate or a StepAtOnce."""

    cursor: str = strawberry.field(description="Opaque place in the ledger: come back with it as `after`.")

    @strawberry.field(graphql_type=Gap | None, description="Set, and all else null, where transitions are missing.")
    @staticmethod
    def gap(update: strawberry.Parent[LedgerUpdate | StepAtOnce]) -> Missed | None:
        return update.missed if isinstance(update, LedgerUpdate) else None

    @strawberry.field(description="The job's id; null on a gap.")
    @staticmethod
    def job_id(update: strawberry.Parent[LedgerUpdate | StepAtOnce]) -> strawberry.ID | None:
        told = _step_or_event(update)
        return strawberry.ID(told.job_id) if told and told.job_id else None

    @strawberry.field(description="The step's place in its job; null on a gap.")
    @staticmethod
    def position(update: strawberry.Parent[LedgerUpdate | StepAtOnce]) -> int | None:
        told = _step_or_event(update)
        return told.position if told else None

    @strawberry.field(description="Its new status; null on a gap.")
    @staticmethod
    def status(update: strawberry.Parent[LedgerUpdate | StepAtOnce]) -> NodeStatus | None:
        told = _step_or_event(update)
        return NodeStatus(told.status) if told else None

    @strawberry.field(description="Its status before; null for a new step, and for one that stood when it began.")
    @staticmethod
    def previous_status(update: strawberry.Parent[LedgerUpdate | StepAtOnce]) -> NodeStatus | None:
        if isinstance(update, StepAtOnce) or update.event is None or update.event.previous_status is None:
            return None
        return NodeStatus(update.event.previous_status)

    @strawberry.field(description="When it was recorded, or for one that stood when it began, started; null on a gap.")
    @staticmethod
    def timestamp(update: strawberry.Parent[LedgerUpdate | StepAtOnce]) -> datetime | None:
        if isinstance(update, StepAtOnce):
            return update.step.completed_at or update.step.started_at
        return update.event.at if update.event else None

    @strawberry.field(graphql_type=NodeExecution | None, description="The step as it stands now; null on a gap.")
    @staticmethod
    async def node_execution(
        update: strawberry.Parent[LedgerUpdate | StepAtOnce], info: Info
    ) -> NodeExecutionRow | None:
        if isinstance(update, StepAtOnce):
            return update.step
        event = update.event
        if event is None or event.job_id is None or event.position is None:
            return None
        steps = await info.context.loaders.executions.load((event.job_id, (1, event.position - 1)))
        return steps[0] if steps and steps[0].position == event.position else None

    @loaded(Job | None, lambda loaders: loaders.jobs, description="The job as it stands now; null on a gap.")
    @staticmethod
    def job(update: strawberry.Parent[LedgerUpdate | StepAtOnce]) -> str | None:
        told = _step_or_event(update)
        return told.job_id or None if told else None


def _step_or_event(update: LedgerUpdate | StepAtOnce) -> EventRow | NodeExecutionRow | None:
    return update.step if isinstance(update, StepAtOnce) else update.event


@strawberry.type(description="Something happened in the fleet: a job, a step or a robot changed its status.")
class ActivityEvent(_LedgerUpdate):
    """Any transition; its root is a LedgerUpdate."""

    @strawberry.field(description="What it is about; null on a gap.")
    @staticmethod
    def kind(update: strawberry.Parent[LedgerUpdate]) -> ActivityKind | None:
        return ActivityKind(update.event.kind) if update.event else None

    @strawberry.field(description="When it was recorded; null on a gap.")
    @staticmethod
    def timestamp(update: strawberry.Parent[LedgerUpdate]) -> datetime | None:
        return update.event.at if update.event else None

    @strawberry.field(description="The new status, in the documents' words; null on a gap.")
    @staticmethod
    def status(update: strawberry.Parent[LedgerUpdate]) -> str | None:
        return update.event.status if update.event else None

    @strawberry.field(description="The status before, in the documents' words; null for something new.")
    @staticmethod
    def previous_status(update: strawberry.Parent[LedgerUpdate]) -> str | None:
        return update.event.previous_status if update.event else None

    @strawberry.field(description="The environment it happened in; null on a gap.")
    @staticmethod
    def environment(update: strawberry.Parent[LedgerUpdate]) -> str | None:
        return update.event.environment if update.event else None

    @strawberry.field(description="Id of the job it is about; null for robots.")
    @staticmethod
    def job_id(update: strawberry.Parent[LedgerUpdate]) -> strawberry.ID | None:
        return strawberry.ID(update.event.job_id) if update.event and update.event.job_id else None

    @strawberry.field(description="Id of the robot it is about, or that ran the job; null if none.")
    @staticmethod
    def robot_id(update: strawberry.Parent[LedgerUpdate]) -> strawberry.ID | None:
        return strawberry.ID(update.event.robot_id) if update.event and update.event.robot_id else None

    @loaded(Job | None, lambda loaders: loaders.jobs, description="The job as it stands now; null for robots.")
    @staticmethod
    def job(update: strawberry.Parent[LedgerUpdate]) -> str | None:
        return update.event.job_id if update.event else None

    @loaded(Robot | None, lambda loaders: loaders.robots, description="The robot as it stands now; null if none.")
    @staticmethod
    def robot(update: strawberry.Parent[LedgerUpdate]) -> str | None:
        return update.event.robot_id if update.event else None
