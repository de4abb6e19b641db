"""Workflow: an automation that jobs run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import strawberry

from datasources.jobs import JobOrder, JobParent
from datasources.windows import AnalyticsScope
from datasources.workflows import WorkflowRow
from graph.context import Info
from graph.types.analytics import Analytics
from graph.types.job_pages import jobs_of
from graph.types.jobs import Job, JobFilterArgument, JobOrderArgument
from graph.types.node import Node
from graph.types.paging import After, Before, Connection, ConnectionOf, First, Last
from graph.types.windows import ExactArgument, WindowArgument, analytics_scope


@strawberry.type(description="An automation, known from the jobs that ran it.")
class Workflow(Node):
    """A workflow; its root is a WorkflowRow."""

    workflow_id: strawberry.ID = strawberry.field(description="The workflow's id.")
    workflow_name: str = strawberry.field(description="Its name, as its newest job gives it.")
    last_run_at: datetime = strawberry.field(description="When its newest job was created.")

    @classmethod
    def is_type_of(cls, value: object, _info: Any) -> bool:
        """Whether a root is a workflow's."""
        return isinstance(value, WorkflowRow)

    @strawberry.field(graphql_type=Connection[Job], description="Its jobs, a page at a time.")
    @staticmethod
    async def jobs(
        workflow: strawberry.Parent[WorkflowRow],
        info: Info,
        first: First = 50,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: JobFilterArgument = None,
        order_by: JobOrderArgument = JobOrder.CREATED_AT_DESC,
    ) -> ConnectionOf:
        return await jobs_of(
            info, JobParent.WORKFLOW, workflow.workflow_id, first, after, last, before, filter, order_by
        )

    @strawberry.field(graphql_type=Analytics, description="How its jobs went over a window of time.")
    @staticmethod
    async def analytics(
        workflow: strawberry.Parent[WorkflowRow],
        info: Info,
        window: WindowArgument = None,
        exact: ExactArgument = False,
    ) -> AnalyticsScope:
        return await analytics_scope(info, window, exact, workflow_id=workflow.workflow_id)
