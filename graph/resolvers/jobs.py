"""Jobs, from the root and as part of robots and workflows."""

from __future__ import annotations

from typing import Annotated

import strawberry

from datasources.jobs import JobCriteria, JobOrder, JobParent, JobRow, jobs_count, jobs_page
from datasources.paging import Key, Page
from graph.context import Info
from graph.loaders.jobs import JobPageOf, JobsOf
from graph.types.jobs import Job, JobFilter, JobFilterArgument, JobOrderArgument
from graph.types.loaded import loaded
from graph.types.paging import After, Before, Connection, ConnectionOf, Count, First, Last, page_request
from graph.types.roles import requires
from graph.viewer import Role

_ANY = JobCriteria()


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
        database, criteria = info.context.database, _criteria(filter)
        request = page_request(_list_name(order_by), order_by.value, first, after, last, before)
        page = await jobs_page(database, criteria, order_by, request, info.context.reads.get("Job"))
        return _connection(page, order_by, lambda: jobs_count(database, criteria))


async def jobs_of(
    info: Info,
    parent: JobParent,
    parent_id: str,
    first: int,
    after: str | None,
    last: int | None,
    before: str | None,
    filter: JobFilter | None,
    order_by: JobOrder,
) -> ConnectionOf:
    """A page of the jobs of one robot or workflow; all that are asked alike are read at once."""
    loaders, jobs = info.context.loaders, JobsOf(parent, _criteria(filter))
    request = page_request(_list_name(order_by), order_by.value, first, after, last, before)
    page = await loaders.job_pages.load((parent_id, JobPageOf(jobs, order_by, request)))
    return _connection(page, order_by, lambda: loaders.job_counts.load((parent_id, jobs)))


def _criteria(filter: JobFilter | None) -> JobCriteria:
    return _ANY if filter is None else filter.criteria()


def _list_name(order: JobOrder) -> str:
    return f"jobs:{order.name}"


def _connection(page: Page[JobRow], order: JobOrder, count: Count) -> ConnectionOf:
    return ConnectionOf(page, _list_name(order), lambda job: Key(order.value.key_of(job), job.job_id), count)
