"""Pages of jobs: of all, and of those of a robot or a workflow."""

from __future__ import annotations

from datasources.jobs import JobCriteria, JobOrder, JobParent, JobRow
from datasources.paging import Key, Page, PageRequest
from graph.context import Info
from graph.loaders.jobs import JobPageOf, JobsOf
from graph.types.jobs import JobFilter
from graph.types.paging import ConnectionOf, Count, page_request

_ANY = JobCriteria()


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
    loaders, jobs = info.context.loaders, JobsOf(parent, criteria_of(filter))
    request = request_of(order_by, first, after, last, before)
    page = await loaders.job_pages.load((parent_id, JobPageOf(jobs, order_by, request)))
    return connection_of(page, order_by, lambda: loaders.job_counts.load((parent_id, jobs)))


def criteria_of(filter: JobFilter | None) -> JobCriteria:
    """What is asked for of them."""
    return _ANY if filter is None else filter.criteria()


def request_of(order: JobOrder, first: int, after: str | None, last: int | None, before: str | None) -> PageRequest:
    """Which page is asked for; raises BadUserInput."""
    return page_request(_list_name(order), order.value, first, after, last, before)


def _list_name(order: JobOrder) -> str:
    return f"jobs:{order.name}"


def connection_of(page: Page[JobRow], order: JobOrder, count: Count) -> ConnectionOf:
    """A page as it is shown."""
    return ConnectionOf(page, _list_name(order), lambda job: Key(order.value.key_of(job), job.job_id), count)
