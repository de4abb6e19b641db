"""The same answers in straight SQL over the jobs: slow, and simple enough to be believed."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from datasources.measures import Totals
from datasources.windows import AnalyticsScope

_MEANT = """
FROM monitor.jobs j
WHERE j.created_at >= $1 AND j.created_at < $2 AND ($3::text IS NULL OR j.workflow_id = $3)
  AND ($4::text IS NULL OR j.robot_id = $4) AND ($5::text IS NULL OR j.environment = $5)"""
_ENDED = "j.status IN ('completed', 'failed', 'cancelled')"
_RAN = "j.status IN ('completed', 'failed')"


async def straight(connection: asyncpg.Connection, columns: str, scope: AnalyticsScope, rest: str = "") -> list[Any]:
    """Rows of columns over the jobs of a scope."""
    return await connection.fetch(
        f"SELECT {columns} {_MEANT} {rest}",
        scope.since,
        scope.until,
        scope.workflow_id,
        scope.robot_id,
        scope.environment,
    )


async def expect_totals(
    connection: asyncpg.Connection, scope: AnalyticsScope, totals: Totals, *, extremes: bool = True
) -> None:
    """The totals are those of the jobs; extremes that a correction took away may stay until it is folded."""
    [row] = await straight(
        connection,
        f"""count(*) AS total, count(*) FILTER (WHERE j.status = 'completed') AS completed,
            count(*) FILTER (WHERE j.status = 'failed') AS failed,
            count(*) FILTER (WHERE j.status = 'cancelled') AS cancelled,
            count(j.duration_ms) FILTER (WHERE {_RAN}) AS runs,
            avg(j.duration_ms) FILTER (WHERE {_RAN}) AS mean,
            stddev_samp(j.duration_ms) FILTER (WHERE {_RAN}) AS deviation,
            min(j.duration_ms) FILTER (WHERE {_RAN}) AS shortest, max(j.duration_ms) FILTER (WHERE {_RAN}) AS longest,
            count(j.queue_wait_ms) FILTER (WHERE {_ENDED}) AS waits,
            avg(j.queue_wait_ms) FILTER (WHERE {_ENDED}) AS wait,
            max(j.queue_wait_ms) FILTER (WHERE {_ENDED}) AS longest_wait""",
        scope,
    )
    told = (totals.total, totals.completed, totals.failed, totals.cancelled, totals.runs, totals.waits)
    assert told == (row["total"], row["completed"], row["failed"], row["cancelled"], row["runs"], row["waits"])
    if extremes:
        told_extremes = (totals.shortest, totals.longest, totals.longest_wait)
        assert told_extremes == (row["shortest"], row["longest"], row["longest_wait"])
    assert totals.average_duration_ms == approximately(row["mean"])
    assert totals.average_wait_ms == approximately(row["wait"])
    # Where all runs are alike, what is left of their squares is rounding.
    assert totals.standard_deviation_ms == approximately(row["deviation"], within=1e-3 + 1e-6 * (totals.longest or 0))


def approximately(value: float | None, within: float = 1e-6) -> Any:
    """The value but for rounding; None is only None."""
    return value if value is None else pytest.approx(value, rel=1e-6, abs=within)
