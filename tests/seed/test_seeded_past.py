from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg
import pytest

from datasources.seed import SeedReport

Seed = Callable[..., Awaitable[SeedReport]]


async def none_of(connection: asyncpg.Connection, query: str) -> None:
    assert await connection.fetch(query) == []


async def test_most_jobs_completed_some_failed_and_a_few_were_cancelled(
    sow: Seed, connection: asyncpg.Connection
) -> None:
    await sow(jobs=20_000)
    rows = await connection.fetch("SELECT status, 100.0 * count(*) / 20000 AS share FROM monitor.jobs GROUP BY 1")
    share = {row["status"]: row["share"] for row in rows}
    assert 90 < share["completed"] < 94
    assert 5 < share["failed"] < 7
    assert 1 < share["cancelled"] < 2.2
    assert 0 < share["claimed"] < 1
    assert 0 < share["pending"] < 1


async def test_each_busy_robot_has_exactly_one_claimed_job_and_says_so(past: asyncpg.Connection) -> None:
    assert await past.fetchval("SELECT count(*) FROM monitor.robots WHERE status = 'busy'") > 0
    await none_of(
        past,
        """SELECT r.robot_id, j.job_id
           FROM (SELECT * FROM monitor.robots WHERE status = 'busy' OR reported_job_id IS NOT NULL) r
           FULL JOIN (SELECT * FROM monitor.jobs WHERE status = 'claimed') j USING (robot_id)
           WHERE r.status IS DISTINCT FROM 'busy' OR j.job_id IS DISTINCT FROM r.reported_job_id
              OR j.environment <> r.environment""",
    )


async def test_a_jobs_columns_agree_with_its_status(past: asyncpg.Connection) -> None:
    await none_of(
        past,
        """SELECT * FROM monitor.jobs WHERE NOT (CASE status
             WHEN 'pending' THEN robot_id IS NULL AND claimed_at IS NULL AND completed_at IS NULL
             WHEN 'claimed' THEN robot_id IS NOT NULL AND claimed_at IS NOT NULL AND completed_at IS NULL
             WHEN 'cancelled' THEN completed_at IS NOT NULL AND (robot_id IS NULL) = (claimed_at IS NULL)
             ELSE robot_id IS NOT NULL AND claimed_at IS NOT NULL AND completed_at IS NOT NULL END)
           OR (status = 'failed') <> (error_type IS NOT NULL)
           OR (status = 'failed') <> (error_message IS NOT NULL)
           OR (status = 'claimed') <> (current_node IS NOT NULL)
           OR retry_count > max_retries OR source <> 'seed' OR raw_status <> status""",
    )


async def test_time_runs_forward_and_nothing_happens_in_the_future(past: asyncpg.Connection, now: datetime) -> None:
    assert await past.fetchval("SELECT min(created_at) FROM monitor.jobs") >= now - timedelta(days=30)
    await none_of(
        past,
        f"""SELECT * FROM monitor.jobs
            WHERE claimed_at < created_at OR completed_at < coalesce(claimed_at, created_at)
               OR greatest(created_at, claimed_at, completed_at) > '{now.isoformat()}'""",
    )


async def test_the_newest_jobs_have_twenty_steps_within_their_time(past: asyncpg.Connection, now: datetime) -> None:
    await none_of(
        past,
        """SELECT j.job_id, count(n.*)
           FROM (SELECT * FROM monitor.jobs ORDER BY created_at DESC LIMIT 1000) j
           LEFT JOIN monitor.node_executions n USING (job_id)
           WHERE j.completed_at IS NOT NULL AND j.claimed_at IS NOT NULL
           GROUP BY 1 HAVING count(n.*) <> 20 OR max(n.position) <> 19""",
    )
    await none_of(
        past,
        f"""SELECT * FROM monitor.node_executions n JOIN monitor.jobs j USING (job_id)
            WHERE n.started_at < j.claimed_at OR n.completed_at < n.started_at
               OR coalesce(n.completed_at, n.started_at) > coalesce(j.completed_at, '{now.isoformat()}')""",
    )


async def test_a_job_ends_as_its_last_step_does(past: asyncpg.Connection) -> None:
    await none_of(
        past,
        """SELECT * FROM monitor.jobs j
           JOIN (SELECT *, row_number() OVER (PARTITION BY job_id ORDER BY position DESC) AS from_end
                 FROM monitor.node_executions) n USING (job_id)
           WHERE (n.from_end > 1 AND n.status <> 'completed')
              OR (n.from_end = 1
                  AND n.status <> CASE j.status WHEN 'claimed' THEN 'running' ELSE j.status END)
              OR (n.from_end = 1 AND (n.error_type, n.error_message)
                                     IS DISTINCT FROM (j.error_type, j.error_message))""",
    )


async def test_a_claimed_job_is_at_the_node_that_runs(past: asyncpg.Connection) -> None:
    await none_of(
        past,
        """SELECT * FROM monitor.jobs j
           LEFT JOIN monitor.node_executions n ON n.job_id = j.job_id AND n.status = 'running'
           WHERE j.status = 'claimed'
             AND (n.node_id IS DISTINCT FROM j.current_node OR j.progress_percent <> 5 * n.position
                  OR n.completed_at IS NOT NULL OR n.position = 0)""",
    )


async def test_a_robot_is_what_its_newest_heartbeat_said(past: asyncpg.Connection) -> None:
    await none_of(
        past,
        """SELECT * FROM monitor.robots r
           LEFT JOIN (SELECT DISTINCT ON (robot_id) * FROM monitor.heartbeats ORDER BY robot_id, at DESC) h
             USING (robot_id)
           WHERE (h.at, h.cpu_percent, h.memory_mb, h.memory_percent, h.job_id) IS DISTINCT FROM
                 (r.last_heartbeat, r.cpu_percent, r.memory_mb, r.memory_percent, r.reported_job_id)
              OR (r.status <> 'offline' AND h.status <> r.status)""",
    )


async def test_only_offline_robots_have_been_silent(past: asyncpg.Connection, now: datetime) -> None:
    rows = await past.fetch("SELECT status, last_heartbeat FROM monitor.robots")
    assert {row["status"] for row in rows} == {"idle", "busy", "offline", "failed"}
    for row in rows:
        assert (row["last_heartbeat"] == now) == (row["status"] != "offline")
        assert row["last_heartbeat"] == now or row["last_heartbeat"] <= now - timedelta(minutes=10)


async def test_a_healing_happens_while_its_node_ends(past: asyncpg.Connection) -> None:
    await none_of(
        past,
        """SELECT * FROM monitor.healing_events h WHERE NOT EXISTS (
             SELECT FROM monitor.node_executions n
             WHERE n.job_id = h.job_id AND n.node_id = h.node_id AND n.completed_at = h.at
               AND (n.status = 'completed') = h.success)""",
    )


async def test_working_hours_are_busier_than_nights_and_weekends(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow(days=28)
    per_hour = """SELECT count(*) FROM monitor.jobs
                  WHERE extract(isodow FROM created_at) {days} AND extract(hour FROM created_at) {hours}"""
    office = await connection.fetchval(per_hour.format(days="< 6", hours="IN (9, 10)"))
    night = await connection.fetchval(per_hour.format(days="< 6", hours="IN (3, 4)"))
    weekend = await connection.fetchval(per_hour.format(days=">= 6", hours="IN (9, 10)"))
    assert office > 3 * night
    assert office > 3 * weekend


@pytest.mark.parametrize(("robots", "jobs", "days"), [(1, 1, 1), (200, 1, 30), (200, 7, 0.001), (1, 300, 400)])
async def test_a_past_may_be_small(
    sow: Seed, connection: asyncpg.Connection, robots: int, jobs: int, days: float
) -> None:
    report = await sow(robots=robots, jobs=jobs, days=days)
    assert (report.robots, report.jobs) == (robots, jobs)
    await none_of(
        connection,
        """SELECT * FROM (SELECT robot_id FROM monitor.robots WHERE status = 'busy') r
           FULL JOIN (SELECT robot_id, job_id FROM monitor.jobs WHERE status = 'claimed') j USING (robot_id)
           WHERE job_id IS NULL OR r.robot_id IS NULL""",
    )
