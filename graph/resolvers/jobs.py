"""Jobs from the root."""

from __future__ import annotations

from typing import Annotated

import strawberry

from datasources.jobs import JobOrder, jobs_count, jobs_page
from graph.context import Info
from graph.types.job_pages import connection_of, criteria_of, request_of
from graph.types.jobs import Job, JobFilterArgument, JobOrderArgument
from graph.types.loaded import loaded
from graph.types.paging import After, Before, Connection, ConnectionOf, First, Last
from graph.types.roles import requires
from graph.viewer import Role


@strawberry.type
class JobQueries:
    """Jobs from the root."""

    @loaded(
        Job | None,
        lambda loaders: loaders.jobs,
        directives=requires(Role.VIEWER),
        description="The job with this id; null if there is none.",
    )
    @staticmethod
    def job(
        _query: strawberry.Parent[None],
        job_id: Annotated[strawberry.ID, strawberry.argument(description="The job's id in its source.")],
    ) -> str:
        return job_id

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Connection[Job],
        description="All jobs, a page at a time.",
    )
    @staticmethod
    async def jobs(
        info: Info,
        first: First = 50,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: JobFilterArgument = None,
        order_by: JobOrderArgument = JobOrder.CREATED_AT_DESC,
    ) -> ConnectionOf:
        database, criteria = info.context.database, criteria_of(filter)
        request = request_of(order_by, first, after, last, before)
        page = await jobs_page(database, criteria, order_by, request, info.context.reads.get("Job"))
        return connection_of(page, order_by, lambda: jobs_count(database, criteria))
