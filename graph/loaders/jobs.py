"""Jobs by id, and the pages and counts of the jobs of robots and workflows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datasources.columns import Reads
from datasources.jobs import JobCriteria, JobOrder, JobParent, JobRow, jobs_by_id, jobs_counts, jobs_pages
from datasources.paging import Page, PageRequest
from datasources.postgres import Database
from graph.loaders.batching import Loader, by_group, by_key


@dataclass(frozen=True, slots=True)
class JobsOf:
    """Which of a parent's jobs."""

    parent: JobParent
    criteria: JobCriteria


@dataclass(frozen=True, slots=True)
class JobPageOf:
    """Which page of a parent's jobs."""

    jobs: JobsOf
    order: JobOrder
    request: PageRequest


def job_loader(database: Database, reads: Reads) -> Loader[str, JobRow | None]:
    """Jobs by their id."""

    async def fetch(job_ids: list[str]) -> Mapping[str, JobRow | None]:
        return await jobs_by_id(database, job_ids, reads)

    return by_key(fetch, lambda: None)


def job_pages_loader(database: Database, reads: Reads) -> Loader[tuple[str, JobPageOf], Page[JobRow]]:
    """The same page of the jobs of every robot or workflow that is asked."""

    async def fetch(of: JobPageOf, ids: list[str]) -> Mapping[str, Page[JobRow]]:
        return await jobs_pages(database, of.jobs.parent, ids, of.jobs.criteria, of.order, of.request, reads)

    return by_group(fetch, lambda _: Page((), has_next=False, has_previous=False))


def job_counts_loader(database: Database) -> Loader[tuple[str, JobsOf], int]:
    """How many jobs every robot or workflow has that is asked."""

    async def fetch(of: JobsOf, ids: list[str]) -> Mapping[str, int]:
        return await jobs_counts(database, of.parent, ids, of.criteria)

    return by_group(fetch, lambda _: 0)
