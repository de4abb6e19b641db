"""The steps of jobs."""

from __future__ import annotations

from collections.abc import Mapping

from datasources.columns import Reads
from datasources.executions import MOST_AT_ONCE, NodeExecutionRow, TooManySteps, executions_by_job
from datasources.postgres import Database
from graph.errors import ClientError
from graph.loaders.batching import Loader, by_group


def executions_loader(database: Database, reads: Reads) -> Loader[tuple[str, tuple[int, int]], list[NodeExecutionRow]]:
    """The steps of a job, by job id and (most, after which position)."""

    async def fetch(part: tuple[int, int], job_ids: list[str]) -> Mapping[str, list[NodeExecutionRow]]:
        limit, after = part
        try:
            return await executions_by_job(database, job_ids, limit, after, reads)
        except TooManySteps:
            message = (
                f"These {len(job_ids)} jobs have more than {MOST_AT_ONCE:,} steps together: "
                "ask for fewer jobs, or for fewer steps of each with `first`."
            )
            raise ClientError(message, "QUERY_TOO_COMPLEX") from None

    return by_group(fetch, lambda _: [])
