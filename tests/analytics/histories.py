"""Jobs as tests of history write them, and what all that is told of them has to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from straight import expect_totals, straight

from datasources.analytics import MetricsAggregator
from datasources.postgres import Database
from datasources.windows import AnalyticsScope

NOW = datetime.now(UTC)
WEEK = AnalyticsScope(NOW - timedelta(days=7, minutes=7), NOW + timedelta(hours=1))
ROLLUPS = ("rollups", "rollup_sketches", "rollup_errors", "rollup_healing", "rollup_nodes", "rollup_robots")
JOB = """
INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
                          created_at, claimed_at, completed_at, error_type)
SELECT $1, 'report', $2, upper($2), $3, $4, $5, $5, at, at + interval '2 seconds' * $7::float8,
       CASE WHEN $5 IN ('completed', 'failed', 'cancelled')
            THEN at + interval '2 seconds' * $7 + interval '1 ms' * $8 END,
       CASE $5 WHEN 'failed' THEN $9 END
FROM (SELECT $6::timestamptz) AS t (at)
ON CONFLICT (job_id) DO UPDATE SET workflow_id = excluded.workflow_id, robot_id = excluded.robot_id,
    environment = excluded.environment, status = excluded.status, created_at = excluded.created_at,
    claimed_at = excluded.claimed_at, completed_at = excluded.completed_at, error_type = excluded.error_type
"""
STEP = """
INSERT INTO monitor.node_executions (job_id, position, node_id, node_type, status, started_at, completed_at)
SELECT $1, $2::int, 'node-' || $2::int, 'step', $3::text, now(),
       CASE WHEN $3::text <> 'running' THEN now() + interval '1 ms' * $4::float8 END
ON CONFLICT (job_id, position) DO UPDATE SET status = excluded.status, completed_at = excluded.completed_at"""
HEALING = "INSERT INTO monitor.healing_events (job_id, node_id, tier, success) VALUES ($1, 'n', $2, $3)"
MANY = """
INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, environment, status, raw_status, created_at,
                          claimed_at, completed_at)
SELECT 'many-' || n, 'report', 'w' || n % 7, 'W', 'e', 'completed', 'completed', at, at, at + interval '1 ms' * n
FROM (SELECT n, now() - interval '1 second' * n AS at FROM generate_series(1, $1::int) n) t"""


async def job(connection: asyncpg.Connection, name: str = "job", **other: Any) -> None:
    """Write a job, or what has become of it."""
    fields = {
        "workflow": "w",
        "robot": "r",
        "environment": "e",
        "status": "completed",
        "created_at": NOW - timedelta(days=1),
        "wait": 1.0,
        "run_ms": 1000.0,
        "error": "Error",
    }
    await connection.execute(JOB, name, *(fields | other).values())


async def bulk(connection: asyncpg.Connection, *names: str, day: datetime, **other: Any) -> None:
    """Write jobs of a day at once, as who leaves a gap does."""
    async with connection.transaction():
        await connection.execute("SET LOCAL monitor.rollups = off")
        for name in names:
            await job(connection, name, created_at=day, **other)
        await connection.execute(
            "INSERT INTO monitor.rollup_gaps (source, day) SELECT 'report', date_trunc('day', $1::timestamptz, 'UTC')",
            day,
        )


async def rolled_up(connection: asyncpg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All that the rollups say, without what has come to nothing, and with bins in any order."""
    said = {}
    for table in ROLLUPS:
        rows = await connection.fetch(f"SELECT * FROM monitor.{table}")
        said[table] = sorted((tuple(map(_in_order, row.items())) for row in rows), key=str)
    return said


def _in_order(column: tuple[str, Any]) -> Any:
    name, value = column
    if name not in {"bins", "counts"}:
        return value
    return sorted(value.split(",") if isinstance(value, str) else map(str, value))


async def expect_all(database: Database, connection: asyncpg.Connection, *, extremes: bool = True) -> None:
    """Whoever is asked for says what the jobs say."""
    aggregator = MetricsAggregator(database, NOW)
    for scope in (
        WEEK,
        AnalyticsScope(NOW - timedelta(hours=30, minutes=11), NOW - timedelta(hours=2, minutes=50)),
        AnalyticsScope(WEEK.since, WEEK.until, workflow_id="a"),
        AnalyticsScope(WEEK.since, WEEK.until, robot_id="r1"),
        AnalyticsScope(WEEK.since, WEEK.until, environment="production"),
        AnalyticsScope(WEEK.since, WEEK.until, workflow_id="a", robot_id="r1"),
    ):
        [totals] = await aggregator.totals([scope])
        await expect_totals(connection, scope, totals, extremes=extremes)
        [errors] = await aggregator.errors([scope])
        failed = await straight(
            connection, "j.error_type, count(*)", scope, "AND j.status = 'failed' GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        assert [(error.error_type, error.count) for error in errors.counts] == [tuple(row) for row in failed]
        [tiers] = await aggregator.healing([scope])
        assert [(tier.tier, tier.attempts, tier.successes) for tier in tiers] == await _healed(connection, scope)
        [runs] = await aggregator.percentiles([scope])
        assert runs.exact
        assert runs.sketch.total == totals.runs
        if scope.robot_id is None:
            [steps] = await aggregator.bottlenecks([scope])
            assert sorted((step.workflow_id, step.node_id, step.ended, step.failed) for step in steps) == await _steps(
                connection, scope
            )


async def _healed(connection: asyncpg.Connection, scope: AnalyticsScope) -> list[tuple[Any, ...]]:
    jobs = [row["job_id"] for row in await straight(connection, "j.job_id", scope)]
    rows = await connection.fetch(
        "SELECT tier, count(*), count(*) FILTER (WHERE success) FROM monitor.healing_events WHERE job_id = ANY($1)"
        " GROUP BY 1 ORDER BY 1",
        jobs,
    )
    return [tuple(row) for row in rows]


async def _steps(connection: asyncpg.Connection, scope: AnalyticsScope) -> list[tuple[Any, ...]]:
    jobs = [row["job_id"] for row in await straight(connection, "j.job_id", scope)]
    rows = await connection.fetch(
        "SELECT j.workflow_id, n.node_id, count(*), count(*) FILTER (WHERE n.status = 'failed')"
        " FROM monitor.node_executions n JOIN monitor.jobs j USING (job_id)"
        " WHERE n.status <> 'running' AND job_id = ANY($1) GROUP BY 1, 2 ORDER BY 1, 2",
        jobs,
    )
    return [tuple(row) for row in rows]
