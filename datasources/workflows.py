"""Workflows, as far as their jobs tell of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from datasources.jobs import containing
from datasources.paging import Key, Ordering, Page, PageRequest, page
from datasources.postgres import Database
from datasources.sql import queries

_SQL = queries("workflows")

BY_ID = Ordering("w.workflow_id", "text", "workflow_id", descending=False)


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """An automation that jobs run; known from its jobs, named as the newest of them names it."""

    workflow_id: str
    workflow_name: str
    last_run_at: datetime


async def workflows_page(database: Database, limit: int, after: Key | None, text: str | None) -> Page[WorkflowRow]:
    """One page of the workflows whose id or name contains the text, by id."""
    request = PageRequest(limit, after=after)
    records = await database.fetch(
        _SQL["workflows_page"],
        {
            "limit": limit + 1,
            "start_id": after and after.id,
            "pattern": None if text is None else containing(text),
        },
    )
    return page([WorkflowRow(*record) for record in records], request)


async def workflows_count(database: Database, text: str | None) -> int:
    """How many workflows have an id or name that contains the text."""
    records = await database.fetch(_SQL["workflows_count"], {"pattern": None if text is None else containing(text)})
    return int(records[0]["total"])


async def workflows_by_id(database: Database, workflow_ids: Sequence[str]) -> Mapping[str, WorkflowRow]:
    """The workflows with these ids; one without jobs is missing."""
    records = await database.fetch(_SQL["workflows_by_id"], {"workflow_ids": list(workflow_ids)})
    return {record["workflow_id"]: WorkflowRow(*record) for record in records}
