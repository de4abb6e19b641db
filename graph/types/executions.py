"""NodeExecution: a step of a job."""

from __future__ import annotations

from datetime import datetime

import strawberry

from datasources.executions import NodeExecutionRow
from datasources.statuses import NodeStatus
from graph.reads import reads
from graph.types.scalars import described_enum

described_enum(
    NodeStatus,
    "Where a step of a job is in its life.",
    {
        NodeStatus.RUNNING: "It has started and not ended.",
        NodeStatus.COMPLETED: "It succeeded.",
        NodeStatus.FAILED: "It failed; `errorType` and `errorMessage` say how.",
        NodeStatus.CANCELLED: "It was stopped before it ended.",
    },
)


@strawberry.type(description="One step of a job, with its timing and outcome.")
class NodeExecution:
    """A step of a job; its root is a NodeExecutionRow."""

    node_id: strawberry.ID = strawberry.field(description="The step's id within its workflow.")
    node_type: str = strawberry.field(description="What kind of step it is, in the words of its source.")
    position: int = strawberry.field(
        description="Its place in the job, as its source counts; a step in a loop has several."
    )
    status: NodeStatus = strawberry.field(description="Where it is in its life.")
    started_at: datetime | None = strawberry.field(description="When it started.")
    completed_at: datetime | None = strawberry.field(description="When it ended; null while it runs.")
    duration_ms: float | None = strawberry.field(description="From start to end, in milliseconds.")
    error_type: str | None = strawberry.field(description="The kind of error it failed with.")
    error_message: str | None = strawberry.field(
        description="What the error said; also null for those who are no operators, unless the server shows it to all."
    )
    retry_count: int = strawberry.field(description="How often it was tried again.")

    @strawberry.field(
        metadata=reads(NodeExecution=("status",)), description="Whether it succeeded; null while it runs."
    )
    @staticmethod
    def success(step: strawberry.Parent[NodeExecutionRow]) -> bool | None:
        return step.success
