"""Workflows by id."""

from __future__ import annotations

from collections.abc import Mapping

from datasources.postgres import Database
from datasources.workflows import WorkflowRow, workflows_by_id
from graph.loaders.batching import Loader, by_key


def workflow_loader(database: Database) -> Loader[str, WorkflowRow | None]:
    """Workflows by their id."""

    async def fetch(workflow_ids: list[str]) -> Mapping[str, WorkflowRow | None]:
        return await workflows_by_id(database, workflow_ids)

    return by_key(fetch, lambda: None)
