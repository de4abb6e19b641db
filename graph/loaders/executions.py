"""The steps of jobs."""

from __future__ import annotations

from collections.abc import Mapping

from datasources.executions import NodeExecutionRow, executions_by_job
from datasources.postgres import Database
from graph.loaders.batching import Loader, by_group


def executions_loader(database: Database) -> Loader[tuple[str, tuple[int, int]], list[NodeExecutionRow]]:
    """The steps of a job, by job id and (most, after which position)."""

    async def fetch(part: tuple[int, int], job_ids: list[str]) -> Mapping[str, list[NodeExecutionRow]]:
        limit, after = part
        return await executions_by_job(database, job_ids, limit, after)

    return by_group(fetch, lambda _: [])
