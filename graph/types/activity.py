"""Activity: what happened, newest first."""

from __future__ import annotations

from datetime import datetime

import strawberry

from datasources.activity import ActivityRow, ActivityType
from graph.context import Info
from graph.reads import reads
from graph.types.jobs import Job
from graph.types.loaded import loaded
from graph.types.robots import Robot
from graph.types.scalars import described_enum
from graph.types.updates import ActivityKind

described_enum(
    ActivityType,
    "What happened, as a feed of activity calls it.",
    {
        ActivityType.JOB_STARTED: "A robot took a job.",
        ActivityType.JOB_COMPLETED: "A job succeeded.",
        ActivityType.JOB_FAILED: "A job failed.",
        ActivityType.JOB_CANCELLED: "A job was stopped before it ended.",
        ActivityType.ROBOT_ONLINE: "A robot registered, or came back.",
        ActivityType.ROBOT_OFFLINE: "A robot said goodbye, or its heartbeats have stopped.",
        ActivityType.ROBOT_FAILED: "A robot said that it cannot work.",
    },
)
_VERBS = {
    ActivityType.JOB_STARTED: "Claimed by",
    ActivityType.JOB_COMPLETED: "Executed by",
    ActivityType.JOB_FAILED: "Failed on",
    ActivityType.JOB_CANCELLED: "Was with",
}


@strawberry.type(description="A transition that was recorded: a job, a step or a robot changed its status.")
class Activity:
    """A transition; its root is an ActivityRow."""

    environment: str = strawberry.field(description="The environment it happened in.")
    status: str = strawberry.field(description="The new status, in the documents' words.")
    previous_status: str | None = strawberry.field(
        description="The status before, in the documents' words; null for something new."
    )
    job_id: strawberry.ID | None = strawberry.field(description="Id of the job it is about; null for robots.")
    robot_id: strawberry.ID | None = strawberry.field(
        description="Id of the robot it is about, or that ran the job; null if none."
    )

    @strawberry.field(description="Its number in the ledger.")
    @staticmethod
    def event_id(activity: strawberry.Parent[ActivityRow]) -> strawberry.ID:
        return strawberry.ID(str(activity.seq))

    @strawberry.field(description="What a feed calls it; null for steps, queued jobs, and robots that take turns.")
    @staticmethod
    def type(activity: strawberry.Parent[ActivityRow]) -> ActivityType | None:
        return None if activity.type is None else ActivityType(activity.type)

    @strawberry.field(description="What it is about.")
    @staticmethod
    def kind(activity: strawberry.Parent[ActivityRow]) -> ActivityKind:
        return ActivityKind(activity.kind)

    @strawberry.field(description="When it was recorded.")
    @staticmethod
    def timestamp(activity: strawberry.Parent[ActivityRow]) -> datetime:
        return activity.at

    @strawberry.field(
        metadata=reads(Job=("workflow_name",), Robot=("hostname",)),
        description="What happened to whom, in a line for people.",
    )
    @staticmethod
    async def title(activity: strawberry.Parent[ActivityRow], info: Info) -> str:
        what = (activity.type or f"{activity.kind}_{activity.status}").replace("_", " ").capitalize()
        return f"{what}: {await _name(activity, info)}"

    @strawberry.field(
        metadata=reads(Job=("error_type", "duration_ms")),
        description="By which robot, and how a job ended, in a line for people; null if there is none.",
    )
    @staticmethod
    async def details(activity: strawberry.Parent[ActivityRow], info: Info) -> str | None:
        if activity.kind != "job" or activity.type is None or activity.job_id is None:
            return None if activity.type is None else f"Robot {activity.robot_id} is now {activity.status}"
        job = await info.context.loaders.jobs.load(activity.job_id)
        happened = ActivityType(activity.type)
        by = f"{_VERBS[happened]} robot {activity.robot_id}" if activity.robot_id else None
        if happened is ActivityType.JOB_FAILED and job is not None and job.error_type:
            return f"{by}: {job.error_type}" if by else job.error_type
        if happened is ActivityType.JOB_COMPLETED and job is not None and job.duration_ms is not None and by:
            return f"{by} in {job.duration_ms:.0f} ms"
        return by

    @loaded(Job | None, lambda loaders: loaders.jobs, description="The job as it stands now; null for robots.")
    @staticmethod
    def job(activity: strawberry.Parent[ActivityRow]) -> str | None:
        return activity.job_id

    @loaded(Robot | None, lambda loaders: loaders.robots, description="The robot as it stands now; null if none.")
    @staticmethod
    def robot(activity: strawberry.Parent[ActivityRow]) -> str | None:
        return activity.robot_id


async def _name(activity: ActivityRow, info: Info) -> str:
    """What people call the job's workflow or the robot's machine; its id where it is not known any more."""
    if activity.job_id is not None:
        job = await info.context.loaders.jobs.load(activity.job_id)
        return activity.job_id if job is None else job.workflow_name
    robot = await info.context.loaders.robots.load(activity.robot_id or "")
    return activity.robot_id or "" if robot is None else robot.hostname
