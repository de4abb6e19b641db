"""What robots report, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import strawberry

from datasources.jobs import JobRow
from datasources.reports.executions import NodeReport
from datasources.reports.heartbeats import Heartbeat
from datasources.reports.jobs import JobReport
from datasources.reports.refusals import Refusal as RefusalRow
from datasources.reports.refusals import RefusalCode, Reported, ReportOutcome
from datasources.reports.robots import Registration
from datasources.robots import RobotRow
from datasources.statuses import JobStatus, NodeStatus, RobotStatus
from graph.context import Info
from graph.types.jobs import Job
from graph.types.robots import Robot
from graph.types.roles import requires
from graph.types.scalars import described_enum
from graph.viewer import Role

described_enum(
    ReportOutcome,
    "What became of a report.",
    {
        ReportOutcome.CREATED: "Something new is known.",
        ReportOutcome.UPDATED: "What was known has changed.",
        ReportOutcome.UNCHANGED: "What was taken was known already.",
        ReportOutcome.REFUSED: "Nothing was taken; the refusal says why.",
    },
)
described_enum(
    RefusalCode,
    "Why a report was not taken.",
    {
        RefusalCode.UNKNOWN_ROBOT: "The robot is not registered: call `registerRobot` first. To those "
        "whose credentials are for some environments a robot of another is as one that is not registered, and their "
        "jobs name robots that are.",
        RefusalCode.UNKNOWN_JOB: "The job is not known: call `reportJob` first.",
        RefusalCode.ILLEGAL_TRANSITION: "It cannot become that from what it is. Within one try things only move "
        "forward: a job is pending, claimed, ended; a step runs, then has ended. A claimed or failed job, or any step, "
        "goes back only as a new try with a higher `retryCount`; a completed or cancelled job never does; and what is "
        "told of an earlier try comes too late.",
        RefusalCode.CLAIMED_BY_ANOTHER: "The job was claimed by another robot. That robot tells of it, until a new try "
        "with a higher `retryCount` begins; of two robots that claim a job at once the first has it.",
        RefusalCode.INVALID_VALUE: "A value makes no sense: an id without or with more than 255 characters, a text of "
        "more than 65,536, a character that cannot be stored, a number out of its range, a time in the future (beyond "
        "60 seconds), or times that contradict each other or the status.",
        RefusalCode.OWNED_BY_SOURCE: "An attached source tells of this job; robots do not.",
        RefusalCode.NAME_TAKEN: "Another robot has this queue manager's id, in whichever environment: all share "
        "these ids.",
        RefusalCode.OUTSIDE_SCOPE: "Your credentials are for some environments only, and this does not lie within "
        "them: the environment it names (`default` if it names none), or whatever has the id already, as "
        "ids are shared by all environments.",
    },
)


@strawberry.type(description="Why something was not taken.")
class Refusal:
    """A refusal; its root is a datasources.reports.Refusal."""

    index: int = strawberry.field(description="Its place in the report, from 0.")
    key: str = strawberry.field(description="What it was about: a robot's or job's id, or `<job id>/<position>`.")
    code: RefusalCode = strawberry.field(description="Why, for programs.")
    message: str = strawberry.field(description="Why, for people.")


@strawberry.input(description="A robot that presents itself.")
class RegisterRobotInput:
    """A registration."""

    robot_id: strawberry.ID = strawberry.field(description="The robot's id.")
    hostname: str = strawberry.field(description="The machine it runs on.")
    environment: str = strawberry.field(default="default", description="The environment it belongs to.")
    capabilities: list[str] = strawberry.field(default_factory=list, description="What it can do, in any words.")
    queue_manager_id: str | None = strawberry.field(
        default=None,
        description="The PgQueuer queue manager it works as, so that its jobs are known as its own.",
    )

    def registration(self) -> Registration:
        """The same for the datasources."""
        return Registration(
            self.robot_id, self.hostname, self.environment, tuple(self.capabilities), self.queue_manager_id
        )


@strawberry.input(description="A robot's sign of life.")
class HeartbeatInput:
    """A heartbeat."""

    robot_id: strawberry.ID = strawberry.field(description="The robot's id.")
    status: RobotStatus = strawberry.field(description="What it is doing.")
    at: datetime | None = strawberry.field(default=None, description="When it was measured; now if left out.")
    cpu_percent: float | None = strawberry.field(default=None, description="Processor use, in percent of one core.")
    memory_mb: float | None = strawberry.field(default=None, description="Memory, in megabytes.")
    memory_percent: float | None = strawberry.field(
        default=None, description="Memory, in percent of the machine's, 0 to 100."
    )
    current_job_id: strawberry.ID | None = strawberry.field(default=None, description="The job it runs.")
    current_node: str | None = strawberry.field(default=None, description="The step it is at.")
    progress_percent: float | None = strawberry.field(
        default=None, description="How far the job is, in percent, 0 to 100."
    )

    def heartbeat(self, now: datetime) -> Heartbeat:
        """The same for the datasources."""
        return Heartbeat(
            robot_id=self.robot_id,
            status=self.status,
            at=self.at or now,
            cpu_percent=self.cpu_percent,
            memory_mb=self.memory_mb,
            memory_percent=self.memory_percent,
            current_job_id=self.current_job_id,
            current_node=self.current_node,
            progress_percent=self.progress_percent,
        )


@strawberry.input(description="A job as its robot knows it. What is left out, or null, stays as it is known.")
class JobReportInput:
    """A job."""

    job_id: strawberry.ID = strawberry.field(description="The job's id.")
    workflow_id: strawberry.ID = strawberry.field(description="Id of the workflow it runs.")
    status: JobStatus = strawberry.field(description="Where it is in its life.")
    workflow_name: str | None = strawberry.field(default=None, description="Name of the workflow; its id at first.")
    robot_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The robot that runs it. Credentials for some environments name one that is registered there.",
    )
    environment: str | None = strawberry.field(default=None, description="Where it runs; `default` at first.")
    raw_status: str | None = strawberry.field(default=None, description="Its status in the robot's own word.")
    priority: int | None = strawberry.field(default=None, description="Its priority; 0 at first.")
    created_at: datetime | None = strawberry.field(
        default=None, description="When it was queued; when it is first reported, if left out."
    )
    claimed_at: datetime | None = strawberry.field(
        default=None, description="When the robot took it; when it is first reported as claimed, if left out."
    )
    completed_at: datetime | None = strawberry.field(
        default=None, description="When it ended; when that is first reported, if left out."
    )
    error_type: str | None = strawberry.field(default=None, description="The kind of error it failed with.")
    error_message: str | None = strawberry.field(default=None, description="What the error said.")
    retry_count: int | None = strawberry.field(default=None, description="How often it was tried again.")
    max_retries: int | None = strawberry.field(default=None, description="How often it may be tried again.")
    progress_percent: float | None = strawberry.field(default=None, description="How far it is, in percent.")
    current_node: str | None = strawberry.field(default=None, description="The step it is at.")

    def report(self) -> JobReport:
        """The same for the datasources."""
        return JobReport(**vars(self))


@strawberry.input(description="A step of a job as its robot knows it. What is left out, or null, stays as it is known.")
class NodeExecutionInput:
    """A step."""

    position: int = strawberry.field(description="Its place in the job, from 0.")
    node_id: strawberry.ID = strawberry.field(description="The step's id within its workflow.")
    node_type: str = strawberry.field(description="What kind of step it is.")
    status: NodeStatus = strawberry.field(description="Where it is in its life.")
    started_at: datetime | None = strawberry.field(
        default=None, description="When it started; when it is first reported as running, if left out."
    )
    completed_at: datetime | None = strawberry.field(
        default=None, description="When it ended; when that is first reported, if left out."
    )
    error_type: str | None = strawberry.field(default=None, description="The kind of error it failed with.")
    error_message: str | None = strawberry.field(default=None, description="What the error said.")
    retry_count: int | None = strawberry.field(default=None, description="How often it was tried again.")

    def report(self) -> NodeReport:
        """The same for the datasources."""
        return NodeReport(**vars(self))


@strawberry.input(description="Steps of one job.")
class NodeExecutionsInput:
    """Steps of a job."""

    job_id: strawberry.ID = strawberry.field(description="The job's id.")
    nodes: list[NodeExecutionInput] = strawberry.field(
        description="Its steps, 1 to 500 of them, the later ones told later."
    )


@dataclass(frozen=True, slots=True)
class ReportOf:
    """What became of a report, and what it was about."""

    reported: Reported
    key: str = ""


@strawberry.type
class _Any:
    """What the answers to all reports share."""

    @strawberry.field(description="What became of the report.")
    @staticmethod
    def outcome(report: strawberry.Parent[ReportOf]) -> ReportOutcome:
        return report.reported.outcome


@strawberry.type
class _Single(_Any):
    """What the answers to a report of one thing share."""

    @strawberry.field(graphql_type=Refusal | None, description="Why it was refused; null if it was taken.")
    @staticmethod
    def refusal(report: strawberry.Parent[ReportOf]) -> RefusalRow | None:
        return next(iter(report.reported.refused), None)


@strawberry.type
class _Many(_Any):
    """What the answers to a report of many things share."""

    @strawberry.field(description="How many were taken, those that were known already included.")
    @staticmethod
    def accepted(report: strawberry.Parent[ReportOf]) -> int:
        return report.reported.accepted

    @strawberry.field(graphql_type=list[Refusal], description="Those that were not taken, and why.")
    @staticmethod
    def refused(report: strawberry.Parent[ReportOf]) -> Sequence[RefusalRow]:
        return report.reported.refused


@strawberry.type(description="What became of a registration.")
class RegisterRobotResult(_Single):
    """An answer; its root is a ReportOf."""

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Robot | None,
        description="The robot as it stands now; null if it is not known. Who only reports leaves it out.",
    )
    @staticmethod
    async def robot(report: strawberry.Parent[ReportOf], info: Info) -> RobotRow | None:
        return await info.context.loaders.robots.load(report.key)


@strawberry.type(description="What became of heartbeats.")
class ReportHeartbeatsResult(_Many):
    """An answer; its root is a ReportOf."""


@strawberry.type(description="What became of a job's report.")
class ReportJobResult(_Single):
    """An answer; its root is a ReportOf."""

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Job | None,
        description="The job as it stands now; null if it is not known. Who only reports leaves it out.",
    )
    @staticmethod
    async def job(report: strawberry.Parent[ReportOf], info: Info) -> JobRow | None:
        return await info.context.loaders.jobs.load(report.key)


@strawberry.type(description="What became of the report of a job's steps.")
class ReportNodeExecutionsResult(_Many):
    """An answer; its root is a ReportOf."""

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Job | None,
        description="The job as it stands now; null if it is not known. Who only reports leaves it out.",
    )
    @staticmethod
    async def job(report: strawberry.Parent[ReportOf], info: Info) -> JobRow | None:
        return await info.context.loaders.jobs.load(report.key)
