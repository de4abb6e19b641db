"""What Postgres reads to answer within a scope: what it would read without one, or what lies within it.

The environments are as unequal as they are in life; 60,000 jobs are enough that a wrong plan shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest
from direct import execute
from explained import ExplainingDatabase

from datasources.executions import executions_by_job
from datasources.fleet import FleetScope, fleet_numbers
from datasources.jobs import JobCriteria, JobOrder, JobParent, jobs_by_id, jobs_page, jobs_pages
from datasources.paging import PageRequest
from datasources.robots import RobotCriteria, RobotOrder, heartbeats_by_robot, robots_page
from datasources.scope import EVERYTHING, Scope
from datasources.seed import seed
from datasources.settings import Settings
from datasources.statuses import JobStatus
from datasources.workflows import workflows_page

pytestmark = pytest.mark.slow

JOBS, PAGE = 60_000, 100
NOW = datetime.now(UTC)
ROBOTS = [f"robot-{number:03d}" for number in range(1, 101)]
CREATED = [JobOrder.CREATED_AT_DESC, JobOrder.CREATED_AT_ASC]

# One environment has nine jobs in ten, another one in ten, a third a handful; a workflow of its own runs in each.
APART = """
    UPDATE monitor.jobs SET environment = CASE WHEN hashtext(job_id) % 10 = 0 THEN 'small' ELSE 'large' END;
    UPDATE monitor.jobs SET environment = 'rare'
    WHERE job_id IN (SELECT job_id FROM monitor.jobs WHERE environment = 'small' ORDER BY job_id LIMIT 20);
    UPDATE monitor.jobs SET workflow_id = 'large-only' WHERE environment = 'large' AND hashtext(job_id) % 3 = 0;
    UPDATE monitor.robots SET environment = CASE WHEN robot_id < 'robot-050' THEN 'large' ELSE 'small' END;
"""

SCOPES = {
    "large": Scope(frozenset({"large"})),
    "small": Scope(frozenset({"small"})),
    "rare": Scope(frozenset({"rare"})),
    "both": Scope(frozenset({"large", "small"})),
    "few": Scope(frozenset({"rare", "unknown"})),
    "unknown": Scope(frozenset({"unknown"})),
    "nothing": Scope(frozenset()),
}


@pytest.fixture(scope="module")
def full_dsn(migrated: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """A database with 60,000 jobs of 30 days in three environments."""
    with migrated() as dsn:
        asyncio.run(seed(dsn, robots=100, jobs=JOBS, days=30, seed=3, now=NOW, progress=lambda _: None))
        execute(dsn, APART, "VACUUM (FULL, ANALYZE) monitor.jobs", "VACUUM ANALYZE monitor.robots", seconds=120)
        yield dsn


@pytest.fixture(params=SCOPES)
async def database(request: pytest.FixtureRequest, full_dsn: str) -> AsyncIterator[ExplainingDatabase]:
    database = ExplainingDatabase(full_dsn, Settings(pool_size=1))
    await database.open()
    yield database.scoped(SCOPES[request.param])
    await database.close()


def pages() -> list[PageRequest]:
    return [PageRequest(PAGE), PageRequest(PAGE, backward=True)]


@pytest.mark.parametrize("order", CREATED)
async def test_a_page_of_all_jobs_reads_little_more_than_itself(database: ExplainingDatabase, order: JobOrder) -> None:
    for request in pages():
        await jobs_page(database, JobCriteria(), order, request)
        assert not database.plan.full_scans
        assert database.plan.read <= 20 * PAGE
        assert database.plan.sorted <= PAGE + 1


@pytest.mark.parametrize("order", JobOrder)
async def test_a_page_in_any_order_walks_it_or_sorts_what_lies_within(
    database: ExplainingDatabase, order: JobOrder
) -> None:
    for request in pages():
        await jobs_page(database, JobCriteria(), order, request)
        assert not database.plan.full_scans
        assert database.plan.read <= JOBS / 6


@pytest.mark.parametrize(
    "statuses",
    [(JobStatus.FAILED,), (JobStatus.PENDING, JobStatus.CLAIMED), tuple(JobStatus)],
    ids=["failed", "alive", "all"],
)
async def test_statuses_are_found_by_their_index_or_by_that_of_the_environment(
    database: ExplainingDatabase, statuses: tuple[JobStatus, ...]
) -> None:
    for request in pages():
        await jobs_page(database, JobCriteria(statuses=statuses), CREATED[0], request)
        assert not database.plan.full_scans
        assert database.plan.read <= 20 * PAGE


async def test_workflows_outside_are_passed_by_in_a_step(database: ExplainingDatabase) -> None:
    await workflows_page(database, PAGE, None, None)
    assert not database.plan.full_scans
    assert database.plan.read <= 20 * PAGE


async def test_the_jobs_of_robots_are_ranges_of_theirs(database: ExplainingDatabase) -> None:
    request = PageRequest(5)
    found = await jobs_pages(database, JobParent.ROBOT, ROBOTS, JobCriteria(), JobOrder.CREATED_AT_DESC, request)
    assert not database.plan.full_scans
    assert database.plan.read <= 20 * 6 * max(1, len(found))


async def test_what_has_a_key_is_read_by_it(database: ExplainingDatabase) -> None:
    newest = (await jobs_page(database, JobCriteria(), CREATED[0], PageRequest(PAGE))).rows
    ids = [job.job_id for job in newest]
    assert len(await jobs_by_id(database, ids)) == len(ids)
    assert database.plan.read == len(ids)
    steps = await executions_by_job(database, ids, 1000)
    assert not database.plan.full_scans
    assert database.plan.read <= sum(map(len, steps.values())) + len(ids)  # each job is looked at once
    robots = (await robots_page(database, RobotCriteria(), RobotOrder.ROBOT_ID_ASC, PageRequest(PAGE), 60)).rows
    heartbeats = await heartbeats_by_robot(database, [robot.robot_id for robot in robots], 5)
    assert not database.plan.full_scans
    assert database.plan.read <= 2 * sum(map(len, heartbeats.values()))  # and the jobs that they name


@pytest.mark.parametrize("order", RobotOrder)
async def test_robots_come_with_their_current_jobs(database: ExplainingDatabase, order: RobotOrder) -> None:
    await robots_page(database, RobotCriteria(), order, PageRequest(PAGE), 60)
    assert not database.plan.full_scans
    assert database.plan.read <= 3 * PAGE


async def test_the_fleet_reads_no_more_than_the_jobs_of_today_and_those_alive(database: ExplainingDatabase) -> None:
    everything = await fleet_numbers(database.scoped(EVERYTHING), FleetScope(None), offline_after=60, now=NOW)
    await fleet_numbers(database, FleetScope(None), offline_after=60, now=NOW)
    robots_and_today, queue = database.plans[-2:]
    assert not robots_and_today.full_scans | queue.full_scans
    assert robots_and_today.read <= everything.today.total
    assert queue.read <= everything.queue.active + everything.queue.pending
