"""Job: one run of a workflow."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from datasources.jobs import JobCriteria, JobOrder, JobRow
from datasources.statuses import JobStatus
from datasources.workflows import WorkflowRow
from graph.errors import BadUserInput
from graph.reads import reads
from graph.types.executions import NodeExecution
from graph.types.loaded import loaded
from graph.types.node import Node
from graph.types.paging import search_text
from graph.types.scalars import described_enum

if TYPE_CHECKING:
    from graph.types.robots import Robot
    from graph.types.workflows import Workflow

MOST_STEPS = 1000  # steps of a job in one answer

described_enum(
    JobStatus,
    "Where a job is in its life.",
    {
        JobStatus.PENDING: "It waits for a robot.",
        JobStatus.CLAIMED: "A robot runs it.",
        JobStatus.COMPLETED: "It succeeded.",
        JobStatus.FAILED: "It failed; `errorType` and `errorMessage` say how.",
        JobStatus.CANCELLED: "It was stopped before it ended.",
    },
)
described_enum(
    JobOrder,
    "The orders a list of jobs comes in. Ties are broken by the job id.",
    {
        JobOrder.CREATED_AT_DESC: "Newest first.",
        JobOrder.CREATED_AT_ASC: "Oldest first.",
        JobOrder.COMPLETED_AT_DESC: "Those that have not ended first, then the most recently ended.",
        JobOrder.COMPLETED_AT_ASC: "Those that ended longest ago first, those that have not ended last.",
        JobOrder.DURATION_DESC: "Longest run first, those that have not run last.",
        JobOrder.DURATION_ASC: "Those that have not run first, then the shortest run.",
    },
)


@strawberry.type(description="One run of a workflow.")
class Job(Node):
    """A job; its root is a JobRow."""

    job_id: strawberry.ID = strawberry.field(description="The job's id in its source.")
    workflow_id: strawberry.ID = strawberry.field(description="Id of the workflow it runs.")
    workflow_name: str = strawberry.field(description="Name of the workflow it runs.")
    robot_id: strawberry.ID | None = strawberry.field(description="Id of the robot that runs or ran it.")
    status: JobStatus = strawberry.field(description="Where it is in its life.")
    raw_status: str = strawberry.field(description="Its status in the source's own word.")
    source: str = strawberry.field(description="Where it is known from: `pgqueuer`, `dbos`, `report`, `seed`.")
    priority: int = strawberry.field(description="Its priority in its queue; what is higher runs first.")
    environment: str = strawberry.field(description="The environment it runs in.")
    created_at: datetime = strawberry.field(description="When it was put into its queue.")
    claimed_at: datetime | None = strawberry.field(description="When a robot took it; null while it waits.")
    completed_at: datetime | None = strawberry.field(description="When it ended, well or not; null before.")
    duration_ms: float | None = strawberry.field(description="From being taken to its end, in milliseconds.")
    queue_wait_ms: float | None = strawberry.field(description="How long it waited for a robot, in milliseconds.")
    error_type: str | None = strawberry.field(description="The kind of error it failed with.")
    error_message: str | None = strawberry.field(
        description="What the error said; also null for those who are no operators, unless the server shows it to all."
    )
    retry_count: int = strawberry.field(description="How often it was tried again.")
    max_retries: int | None = strawberry.field(description="How often it may be tried again; null if unknown.")
    progress_percent: float | None = strawberry.field(description="How far it is, in percent, as its robot says.")
    current_node: str | None = strawberry.field(description="The step its robot named last.")

    @classmethod
    def is_type_of(cls, value: object, _info: Any) -> bool:
        """Whether a root is a job's."""
        return isinstance(value, JobRow)

    @loaded(
        Annotated["Robot", strawberry.lazy("graph.types.robots")] | None,
        lambda loaders: loaders.robots,
        metadata=reads(Job=("robot_id",)),
        description="The robot that runs or ran it; null if none has, or it never registered.",
    )
    @staticmethod
    def robot(job: strawberry.Parent[JobRow]) -> str | None:
        return job.robot_id

    @loaded(
        Annotated["Workflow", strawberry.lazy("graph.types.workflows")],
        lambda loaders: loaders.workflows,
        metadata=reads(Job=("workflow_id", "workflow_name", "created_at")),
        value=lambda job, known: known or WorkflowRow(job.workflow_id, job.workflow_name, job.created_at),
        description="The workflow it runs.",
    )
    @staticmethod
    def workflow(job: strawberry.Parent[JobRow]) -> str:
        return job.workflow_id

    @loaded(
        list[NodeExecution],
        lambda loaders: loaders.executions,
        metadata=reads(Job=("job_id",)),
        description="Its steps in their order: the first `first` (1..1000) after the position `after`.",
    )
    @staticmethod
    def node_executions(
        job: strawberry.Parent[JobRow],
        first: Annotated[int, strawberry.argument(description="How many steps, 1 to 1000.")] = MOST_STEPS,
        after: Annotated[int, strawberry.argument(description="Only steps behind this position.")] = -1,
    ) -> tuple[str, tuple[int, int]]:
        if not 1 <= first <= MOST_STEPS:
            raise BadUserInput(f"first must lie between 1 and {MOST_STEPS}, not {first}.")
        return job.job_id, (first, after)


@strawberry.input(description="A span of time that includes its start and excludes its end; either may be left open.")
class TimeRange:
    """A span of time."""

    from_: datetime | None = strawberry.field(default=None, name="from", description="Its start.")
    to: datetime | None = strawberry.field(default=None, description="Its end.")

    def bounds(self, name: str) -> tuple[datetime | None, datetime | None]:
        """Its start and end; raises BadUserInput where it ends before it starts."""
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            raise BadUserInput(f"{name} ends before it starts: `from` must lie before `to`.")
        return self.from_, self.to


@strawberry.input(description="Which jobs a list holds. What is left out, or null, does not matter.")
class JobFilter:
    """Which jobs."""

    status: list[JobStatus] | None = strawberry.field(default=None, description="In one of these states.")
    workflow_id: strawberry.ID | None = strawberry.field(default=None, description="Of this workflow.")
    robot_id: strawberry.ID | None = strawberry.field(default=None, description="Of this robot.")
    environment: str | None = strawberry.field(default=None, description="In this environment.")
    error_type: str | None = strawberry.field(default=None, description="With exactly this error type.")
    source: str | None = strawberry.field(default=None, description="Known from this source.")
    created_at: TimeRange | None = strawberry.field(default=None, description="Created in this span.")
    completed_at: TimeRange | None = strawberry.field(default=None, description="Ended in this span.")
    search: str | None = strawberry.field(
        default=None,
        description="With this text in the workflow's name, or in the error message where that is shown, in any case.",
    )

    def criteria(self) -> JobCriteria:
        """The same for the datasources; raises BadUserInput where a span is inverted."""
        created_from, created_to = self.created_at.bounds("createdAt") if self.created_at else (None, None)
        completed_from, completed_to = self.completed_at.bounds("completedAt") if self.completed_at else (None, None)
        return JobCriteria(
            statuses=None if self.status is None else tuple(self.status),
            workflow_id=self.workflow_id,
            robot_id=self.robot_id,
            environment=self.environment,
            error_type=self.error_type,
            source=self.source,
            created_from=created_from,
            created_to=created_to,
            completed_from=completed_from,
            completed_to=completed_to,
            text=search_text(self.search),
        )


JobFilterArgument = Annotated[JobFilter | None, strawberry.argument(description="Which of them; all if left out.")]
JobOrderArgument = Annotated[JobOrder, strawberry.argument(description="In which order.")]
