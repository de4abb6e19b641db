import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from datasources.seed import AlreadySeeded, SeedingElsewhere, SeedProgress, SeedReport, Stage, seed
from datasources.sql import queries

NOW = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)
JOBS, ROBOTS = 3000, 40
TABLES = ("robots", "heartbeats", "jobs", "node_executions", "healing_events")

Seed = Callable[..., Awaitable[SeedReport]]


def unseen(progress: SeedProgress) -> None:
    pass


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
def sow(dsn: str) -> Seed:
    async def sow(
        number: int = 1,
        *,
        robots: int = ROBOTS,
        jobs: int = JOBS,
        days: float = 30,
        now: datetime | None = NOW,
        progress: Callable[[SeedProgress], None] = unseen,
    ) -> SeedReport:
        return await seed(dsn, robots=robots, jobs=jobs, days=days, seed=number, now=now, progress=progress)

    return sow


async def fingerprint(connection: asyncpg.Connection) -> list[str]:
    """One hash of all rows for each table; generated identities aside."""
    return [
        await connection.fetchval(f"""
            SELECT coalesce(md5(string_agg(line, E'\\n' ORDER BY line)), '')
            FROM (SELECT (to_jsonb(t) - 'healing_id')::text AS line FROM monitor.{table} t) s""")
        for table in TABLES
    ]


async def indexes(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    rows = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'monitor' ORDER BY 1"
    )
    return [(row["indexname"], row["indexdef"]) for row in rows]


async def none_of(connection: asyncpg.Connection, query: str) -> None:
    assert await connection.fetch(query) == []


async def test_the_report_counts_what_is_in_the_database(sow: Seed, connection: asyncpg.Connection) -> None:
    report = await sow()
    counts = {table: await connection.fetchval(f"SELECT count(*) FROM monitor.{table}") for table in TABLES}
    assert counts == {table: getattr(report, table) for table in TABLES}
    assert (report.robots, report.jobs) == (ROBOTS, JOBS)
    assert min(counts.values()) > 0


async def test_most_jobs_completed_some_failed_and_a_few_were_cancelled(
    sow: Seed, connection: asyncpg.Connection
) -> None:
    await sow(jobs=20_000)
    rows = await connection.fetch(
        "SELECT status, 100.0 * count(*) / 20000 AS share FROM monitor.jobs GROUP BY 1"
    )
    share = {row["status"]: row["share"] for row in rows}
    assert 90 < share["completed"] < 94
    assert 5 < share["failed"] < 7
    assert 1 < share["cancelled"] < 2.2
    assert 0 < share["claimed"] < 1
    assert 0 < share["pending"] < 1


async def test_each_busy_robot_has_exactly_one_claimed_job_and_says_so(
    sow: Seed, connection: asyncpg.Connection
) -> None:
    await sow()
    assert await connection.fetchval("SELECT count(*) FROM monitor.robots WHERE status = 'busy'") > 0
    await none_of(
        connection,
        """SELECT r.robot_id, j.job_id
           FROM (SELECT * FROM monitor.robots WHERE status = 'busy' OR reported_job_id IS NOT NULL) r
           FULL JOIN (SELECT * FROM monitor.jobs WHERE status = 'claimed') j USING (robot_id)
           WHERE r.status IS DISTINCT FROM 'busy' OR j.job_id IS DISTINCT FROM r.reported_job_id
              OR j.environment <> r.environment""",
    )


async def test_a_jobs_columns_agree_with_its_status(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    await none_of(
        connection,
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


async def test_time_runs_forward_and_nothing_happens_in_the_future(
    sow: Seed, connection: asyncpg.Connection
) -> None:
    await sow()
    assert await connection.fetchval("SELECT min(created_at) FROM monitor.jobs") >= NOW - timedelta(days=30)
    await none_of(
        connection,
        f"""SELECT * FROM monitor.jobs
            WHERE claimed_at < created_at OR completed_at < coalesce(claimed_at, created_at)
               OR greatest(created_at, claimed_at, completed_at) > '{NOW.isoformat()}'""",
    )


async def test_the_newest_jobs_have_twenty_steps_within_their_time(
    sow: Seed, connection: asyncpg.Connection
) -> None:
    await sow()
    await none_of(
        connection,
        """SELECT j.job_id, count(n.*)
           FROM (SELECT * FROM monitor.jobs ORDER BY created_at DESC LIMIT 1000) j
           LEFT JOIN monitor.node_executions n USING (job_id)
           WHERE j.completed_at IS NOT NULL AND j.claimed_at IS NOT NULL
           GROUP BY 1 HAVING count(n.*) <> 20 OR max(n.position) <> 19""",
    )
    await none_of(
        connection,
        f"""SELECT * FROM monitor.node_executions n JOIN monitor.jobs j USING (job_id)
            WHERE n.started_at < j.claimed_at OR n.completed_at < n.started_at
               OR coalesce(n.completed_at, n.started_at) > coalesce(j.completed_at, '{NOW.isoformat()}')""",
    )


async def test_a_job_ends_as_its_last_step_does(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    await none_of(
        connection,
        """SELECT * FROM monitor.jobs j
           JOIN (SELECT *, row_number() OVER (PARTITION BY job_id ORDER BY position DESC) AS from_end
                 FROM monitor.node_executions) n USING (job_id)
           WHERE (n.from_end > 1 AND n.status <> 'completed')
              OR (n.from_end = 1
                  AND n.status <> CASE j.status WHEN 'claimed' THEN 'running' ELSE j.status END)
              OR (n.from_end = 1 AND (n.error_type, n.error_message)
                                     IS DISTINCT FROM (j.error_type, j.error_message))""",
    )


async def test_a_claimed_job_is_at_the_node_that_runs(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    await none_of(
        connection,
        """SELECT * FROM monitor.jobs j
           LEFT JOIN monitor.node_executions n ON n.job_id = j.job_id AND n.status = 'running'
           WHERE j.status = 'claimed'
             AND (n.node_id IS DISTINCT FROM j.current_node OR j.progress_percent <> 5 * n.position
                  OR n.completed_at IS NOT NULL OR n.position = 0)""",
    )


async def test_a_robot_is_what_its_newest_heartbeat_said(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    await none_of(
        connection,
        """SELECT * FROM monitor.robots r
           LEFT JOIN (SELECT DISTINCT ON (robot_id) * FROM monitor.heartbeats ORDER BY robot_id, at DESC) h
             USING (robot_id)
           WHERE (h.at, h.cpu_percent, h.memory_mb, h.memory_percent, h.job_id) IS DISTINCT FROM
                 (r.last_heartbeat, r.cpu_percent, r.memory_mb, r.memory_percent, r.reported_job_id)
              OR (r.status <> 'offline' AND h.status <> r.status)""",
    )


async def test_only_offline_robots_have_been_silent(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    rows = await connection.fetch("SELECT status, last_heartbeat FROM monitor.robots")
    assert {row["status"] for row in rows} == {"idle", "busy", "offline", "failed"}
    for row in rows:
        assert (row["last_heartbeat"] == NOW) == (row["status"] != "offline")
        assert row["last_heartbeat"] == NOW or row["last_heartbeat"] <= NOW - timedelta(minutes=10)


async def test_a_healing_happens_while_its_node_ends(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    await none_of(
        connection,
        """SELECT * FROM monitor.healing_events h WHERE NOT EXISTS (
             SELECT FROM monitor.node_executions n
             WHERE n.job_id = h.job_id AND n.node_id = h.node_id AND n.completed_at = h.at
               AND (n.status = 'completed') = h.success)""",
    )


async def test_working_hours_are_busier_than_nights_and_weekends(
    sow: Seed, connection: asyncpg.Connection
) -> None:
    await sow(days=28)
    per_hour = """SELECT count(*) FROM monitor.jobs
                  WHERE extract(isodow FROM created_at) {days} AND extract(hour FROM created_at) {hours}"""
    office = await connection.fetchval(per_hour.format(days="< 6", hours="IN (9, 10)"))
    night = await connection.fetchval(per_hour.format(days="< 6", hours="IN (3, 4)"))
    weekend = await connection.fetchval(per_hour.format(days=">= 6", hours="IN (9, 10)"))
    assert office > 3 * night
    assert office > 3 * weekend


async def test_history_is_not_a_transition(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    await none_of(connection, "SELECT * FROM monitor.events")


async def test_the_same_seed_and_moment_give_the_same_rows(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow(5)
    first = await fingerprint(connection)
    await connection.execute("TRUNCATE monitor.robots, monitor.jobs CASCADE")
    await sow(5)
    assert await fingerprint(connection) == first
    await connection.execute("TRUNCATE monitor.robots, monitor.jobs CASCADE")
    await sow(6)
    assert all(one != other for one, other in zip(await fingerprint(connection), first, strict=True))


async def test_seeding_twice_with_one_seed_is_refused_and_changes_nothing(
    sow: Seed, connection: asyncpg.Connection
) -> None:
    await sow(3)
    before = await fingerprint(connection)
    with pytest.raises(AlreadySeeded, match="seeded with 3 already"):
        await sow(3, jobs=10)
    assert await fingerprint(connection) == before


async def test_another_seed_adds_its_own_robots_and_jobs(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow(1)
    await sow(11, robots=7, jobs=500)
    assert await connection.fetchval("SELECT count(*) FROM monitor.jobs") == JOBS + 500
    assert await connection.fetchval("SELECT max(robot_id) FROM monitor.robots") == f"robot-{ROBOTS + 7:03d}"
    await none_of(
        connection,
        "SELECT robot_id FROM monitor.jobs WHERE status = 'claimed' GROUP BY 1 HAVING count(*) > 1",
    )


async def test_jobs_that_are_there_stay_there(sow: Seed, connection: asyncpg.Connection) -> None:
    await connection.execute(
        """INSERT INTO monitor.jobs
             (job_id, source, workflow_id, workflow_name, status, raw_status, created_at)
           VALUES ('mine', 'report', 'w', 'W', 'pending', 'pending', now())"""
    )
    await sow(jobs=100)
    assert await connection.fetchval("SELECT count(*) FROM monitor.jobs WHERE job_id = 'mine'") == 1
    assert await connection.fetchval("SELECT count(*) FROM monitor.jobs") == 101


async def test_seeding_leaves_the_indexes_as_they_were(sow: Seed, connection: asyncpg.Connection) -> None:
    before = await indexes(connection)
    await sow()
    assert await indexes(connection) == before


@pytest.mark.parametrize("stage", list(Stage)[:4])
async def test_a_failure_leaves_the_database_as_it_was(
    sow: Seed, connection: asyncpg.Connection, stage: Stage
) -> None:
    before = await indexes(connection)

    def fail(progress: SeedProgress) -> None:
        if progress.stage is stage and progress.done == progress.total:
            raise RuntimeError("the terminal went away")

    with pytest.raises(RuntimeError, match="went away"):
        await sow(progress=fail)
    assert await indexes(connection) == before
    assert await fingerprint(connection) == [""] * len(TABLES)


async def test_an_interrupt_leaves_the_database_as_it_was(sow: Seed, connection: asyncpg.Connection) -> None:
    before = await indexes(connection)
    task: asyncio.Task[SeedReport] | None = None

    def interrupt(progress: SeedProgress) -> None:
        if progress.stage is Stage.INDEXES and progress.done == 3 and task is not None:
            task.cancel()

    task = asyncio.ensure_future(sow(progress=interrupt))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await indexes(connection) == before
    assert await fingerprint(connection) == [""] * len(TABLES)


async def test_a_second_seeding_at_the_same_time_is_refused(
    sow: Seed, connection: asyncpg.Connection
) -> None:
    claim, _ = queries("seed/loading")["claim_seeding"].bind({})
    async with connection.transaction():
        assert await connection.fetchval(claim)
        with pytest.raises(SeedingElsewhere):
            await sow()
    assert (await sow()).jobs == JOBS


async def test_progress_ends_every_stage_at_its_total(sow: Seed) -> None:
    last: dict[Stage, SeedProgress] = {}
    await sow(progress=lambda progress: last.__setitem__(progress.stage, progress))
    assert list(last) == list(Stage)
    assert all(progress.done == progress.total > 0 for progress in last.values())
    assert last[Stage.JOBS].total == JOBS


async def test_the_statistics_are_fresh(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow()
    rows = await connection.fetchval("SELECT reltuples FROM pg_class WHERE oid = 'monitor.jobs'::regclass")
    assert rows == JOBS


async def test_without_a_moment_the_past_ends_now(sow: Seed, connection: asyncpg.Connection) -> None:
    await sow(jobs=10, now=None)
    age = await connection.fetchval("SELECT now() - max(last_heartbeat) FROM monitor.robots")
    assert timedelta(0) < age < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("robots", "jobs", "days"), [(1, 1, 1), (200, 1, 30), (200, 7, 0.001), (1, 300, 400)]
)
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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"robots": 0}, "robots must be 1 to 100,000, not 0"),
        ({"robots": -3}, "robots must be 1 to 100,000, not -3"),
        ({"jobs": 0}, "jobs must be 1 to 50,000,000, not 0"),
        ({"jobs": 50_000_001}, "jobs must be 1 to 50,000,000, not 50,000,001"),
        ({"days": 0}, "days must be more than 0"),
        ({"days": float("nan")}, "days must be more than 0"),
        ({"days": 1e9}, "at most 3,650"),
        ({"now": datetime(2026, 1, 1)}, "time zone"),
    ],
)
async def test_numbers_out_of_range_are_refused(sow: Seed, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await sow(**wrong)


async def test_a_negative_seed_is_refused(sow: Seed) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        await sow(-1)
