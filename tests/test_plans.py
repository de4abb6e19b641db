"""What Postgres reads to answer: short index ranges, however many jobs there are and however deep the page lies.

The statements are those that the typed functions really run, with their arguments; 60,000 jobs are enough that a wrong
plan reads a hundred times what a right one does.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from direct import execute
from explained import ExplainingDatabase

from datasources.executions import executions_by_job
from datasources.fleet import FleetScope, fleet_numbers
from datasources.jobs import (
    JobCriteria,
    JobOrder,
    JobParent,
    jobs_by_id,
    jobs_count,
    jobs_page,
    jobs_pages,
)
from datasources.paging import Key, PageRequest
from datasources.postgres import Database
from datasources.robots import RobotCriteria, RobotOrder, heartbeats_by_robot, robots_page, robots_today
from datasources.seed import seed
from datasources.settings import Settings
from datasources.statuses import JobStatus
from datasources.workflows import workflows_by_id, workflows_page

pytestmark = pytest.mark.slow

JOBS = 60_000
PAGE = 100
NOW = datetime.now(UTC)
ROBOTS = [f"robot-{number:03d}" for number in range(1, 101)]

# A robot and a workflow that have not run for long: whoever walks an order to find them walks all the jobs.
RARE = """
    INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
                              created_at, claimed_at, completed_at, error_type, error_message)
    SELECT 'rare-' || n, 'rare', 'rare', 'Rare', 'rare', 'rare', 'failed', 'failed', at, at, at + interval '1 minute',
           'RareError', 'the moon was in the way'
    FROM generate_series(1, 5) n, LATERAL (SELECT now() - interval '20 days' + n * interval '1 hour' AS at) t
"""


@pytest.fixture(scope="module")
def full_dsn(migrated):
    """A database with 60,000 jobs of 30 days, and five that are rare in every way."""
    with migrated() as dsn:
        asyncio.run(seed(dsn, robots=100, jobs=JOBS, days=30, seed=3, now=NOW, progress=lambda _: None))
        execute(dsn, RARE, "VACUUM ANALYZE monitor.jobs", seconds=60)
        yield dsn


@pytest.fixture
async def database(full_dsn):
    database = ExplainingDatabase(full_dsn, Settings(pool_size=1))
    await database.open()
    yield database
    await database.close()


async def pages(database: Database, order: JobOrder) -> list[PageRequest]:
    """The first page, the last, and those on either side of the middle."""
    key = order.value.key
    async with database.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT ({key})::text, j.job_id FROM monitor.jobs j ORDER BY {key}, j.job_id OFFSET $1 LIMIT 1", JOBS // 2
        )
    middle = Key(*row)
    return [
        PageRequest(PAGE),
        PageRequest(PAGE, backward=True),
        PageRequest(PAGE, after=middle),
        PageRequest(PAGE, before=middle, backward=True),
    ]


def criteria(**wanted) -> object:
    return pytest.param(JobCriteria(**wanted), id=" ".join(map(str, next(iter(wanted.items())))))


STATUSES = [pytest.param(JobCriteria(statuses=(status,)), id=status) for status in JobStatus]
OWNERS = [
    criteria(robot_id="robot-007"),
    criteria(robot_id="rare"),
    criteria(robot_id="unknown"),
    criteria(workflow_id="invoice-intake"),
    criteria(workflow_id="month-end-closing"),
    criteria(workflow_id="rare"),
    criteria(workflow_id="unknown"),
]
OTHERS = [
    criteria(environment="production"),
    criteria(environment="rare"),
    criteria(environment="unknown"),
    criteria(source="seed"),
    criteria(source="rare"),
    criteria(error_type="TimeoutError"),
    criteria(error_type="RareError"),
]
CREATED = [JobOrder.CREATED_AT_DESC, JobOrder.CREATED_AT_ASC]
OTHER_ORDERS = [order for order in JobOrder if order not in CREATED]


@pytest.mark.parametrize("order", JobOrder)
async def test_a_page_of_all_jobs_is_one_range_of_the_order_s_index(database, order):
    for request in await pages(database, order):
        assert len((await jobs_page(database, JobCriteria(), order, request)).rows) == PAGE
        assert not database.plan.full_scans
        assert not database.plan.sorted
        assert database.plan.read == PAGE + 1


@pytest.mark.parametrize("order", CREATED)
@pytest.mark.parametrize("criteria", STATUSES + OTHERS)
async def test_a_filter_in_the_order_of_creation_reads_little_more_than_its_page(database, criteria, order):
    for request in await pages(database, order):
        await jobs_page(database, criteria, order, request)
        assert not database.plan.full_scans
        assert database.plan.sorted <= PAGE + 1
        assert database.plan.read <= 3 * PAGE  # what most jobs have is found as well in the order's own index


@pytest.mark.parametrize("order", JobOrder)
@pytest.mark.parametrize("criteria", OWNERS)
async def test_the_jobs_of_a_robot_or_workflow_are_one_range_in_every_order(database, criteria, order):
    for request in await pages(database, order):
        await jobs_page(database, criteria, order, request)
        assert not database.plan.full_scans
        assert database.plan.sorted <= PAGE + 1
        assert database.plan.read <= PAGE + 1


# Cancelled jobs are left out: that they are shorter than others, the planner does not know, and walks too far.
@pytest.mark.parametrize("order", OTHER_ORDERS)
@pytest.mark.parametrize("criteria", STATUSES[:-1] + OTHERS)
async def test_a_filter_in_another_order_walks_the_order_or_sorts_the_filtered_whichever_is_less(
    database, criteria, order
):
    for request in await pages(database, order):
        await jobs_page(database, criteria, order, request)
        assert not database.plan.full_scans
        assert database.plan.read <= JOBS / 6


@pytest.mark.parametrize("order", CREATED)
@pytest.mark.parametrize(
    "statuses",
    [(JobStatus.PENDING, JobStatus.CLAIMED), (JobStatus.COMPLETED, JobStatus.FAILED), tuple(JobStatus)],
    ids=["alive", "ended", "all"],
)
async def test_several_statuses_are_walked_as_several_ranges(database, statuses, order):
    for request in await pages(database, order):
        await jobs_page(database, JobCriteria(statuses=statuses), order, request)
        assert not database.plan.full_scans
        assert database.plan.indexes == {"jobs_by_status"}
        assert database.plan.read <= len(statuses) * (PAGE + 1)


@pytest.mark.parametrize("order", OTHER_ORDERS)
async def test_the_few_jobs_that_are_alive_are_found_by_their_status_in_every_order(database, order):
    alive = JobCriteria(statuses=(JobStatus.PENDING, JobStatus.CLAIMED))
    for request in await pages(database, order):
        await jobs_page(database, alive, order, request)
        assert not database.plan.full_scans
        assert database.plan.read <= 200


@pytest.mark.parametrize("order", CREATED)
async def test_a_span_of_creation_is_a_span_of_the_index(database, order):
    span = JobCriteria(created_from=NOW - timedelta(days=20), created_to=NOW - timedelta(days=19))
    for request in await pages(database, order):
        await jobs_page(database, span, order, request)
        assert database.plan.indexes == {"jobs_by_created_at"}
        assert database.plan.read <= PAGE + 1


@pytest.mark.parametrize("order", [JobOrder.COMPLETED_AT_DESC, JobOrder.COMPLETED_AT_ASC])
async def test_a_span_of_ends_is_a_span_of_the_index(database, order):
    span = JobCriteria(completed_from=NOW - timedelta(days=20), completed_to=NOW - timedelta(days=19))
    for request in await pages(database, order):
        await jobs_page(database, span, order, request)
        assert database.plan.indexes == {"jobs_by_completed_at"}
        assert database.plan.read <= PAGE + 1


@pytest.mark.parametrize("order", JobOrder)
async def test_a_rare_text_is_found_by_its_trigrams(database, order):
    for request in await pages(database, order):
        await jobs_page(database, JobCriteria(text="moon was in"), order, request)
        assert database.plan.indexes == {"jobs_search_workflow", "jobs_search_error"}
        assert database.plan.read <= 20


async def test_a_count_reads_what_it_counts(database):
    for wanted in (
        JobCriteria(statuses=(JobStatus.PENDING, JobStatus.CLAIMED)),
        JobCriteria(robot_id="robot-007"),
        JobCriteria(error_type="TimeoutError"),
        JobCriteria(text="moon was in"),
    ):
        total = await jobs_count(database, wanted)
        assert not database.plan.full_scans
        assert database.plan.read == total


@pytest.mark.parametrize("order", JobOrder)
async def test_the_pages_of_a_hundred_robots_are_a_hundred_ranges(database, order):
    for request in (PageRequest(5), PageRequest(5, backward=True)):
        found = await jobs_pages(database, JobParent.ROBOT, ROBOTS, JobCriteria(), order, request)
        assert len(found) == 100
        assert not database.plan.full_scans
        assert database.plan.read == 600


@pytest.mark.parametrize("order", JobOrder)
async def test_a_workflow_that_rests_costs_no_more_among_the_others_than_its_page(database, order):
    workflows = [row.workflow_id for row in (await workflows_page(database, PAGE, None, None)).rows]
    for request in (PageRequest(5), PageRequest(5, backward=True)):
        found = await jobs_pages(database, JobParent.WORKFLOW, workflows, JobCriteria(), order, request)
        assert len(found["rare"].rows) == 5
        assert not database.plan.full_scans
        assert database.plan.read <= 6 * len(workflows)


async def test_workflows_are_found_without_reading_their_jobs(database):
    found = (await workflows_page(database, PAGE, None, None)).rows
    assert len(found) == 25
    assert not database.plan.full_scans
    assert database.plan.read <= 2 * len(found)
    await workflows_by_id(database, [row.workflow_id for row in found])
    assert database.plan.read == len(found)


@pytest.mark.parametrize("order", RobotOrder)
async def test_robots_come_with_their_current_jobs_and_no_others(database, order):
    found = (await robots_page(database, RobotCriteria(), order, PageRequest(PAGE), 60)).rows
    busy = sum(robot.current_job_id is not None for robot in found)
    assert busy
    assert not database.plan.full_scans
    assert database.plan.read <= 2 * busy


async def test_the_day_of_robots_reads_the_jobs_of_the_day(database):
    since = NOW - timedelta(hours=6)
    found = await robots_today(database, ROBOTS, since)
    ended = await jobs_count(database, JobCriteria(completed_from=since))
    await robots_today(database, ROBOTS, since)
    assert found
    assert database.plan.indexes <= {"jobs_by_robot_completed_at", "jobs_by_completed_at"}
    assert database.plan.read <= ended


async def test_jobs_steps_and_heartbeats_are_read_by_their_keys(database):
    newest = [row.job_id for row in (await jobs_page(database, JobCriteria(), CREATED[0], PageRequest(PAGE))).rows]
    assert len(await jobs_by_id(database, newest)) == PAGE
    assert database.plan.read == PAGE
    steps = await executions_by_job(database, newest, 1000)
    assert not database.plan.full_scans
    assert database.plan.read == sum(map(len, steps.values()))
    heartbeats = await heartbeats_by_robot(database, ROBOTS, 5)
    assert not database.plan.full_scans
    assert database.plan.read == sum(map(len, heartbeats.values()))


async def test_the_fleet_reads_the_jobs_that_are_alive_and_those_of_today(database):
    numbers = await fleet_numbers(database, FleetScope(None), offline_after=60, now=NOW)
    robots_and_today, queue = database.plans[-2:]
    assert not robots_and_today.full_scans | queue.full_scans
    assert robots_and_today.read == numbers.today.total
    assert queue.read == numbers.queue.active + numbers.queue.pending


async def test_every_value_gets_a_plan_of_its_own_however_often_a_statement_has_run(full_dsn):
    database = Database(full_dsn, Settings(pool_size=1))
    await database.open()
    try:
        for text in ("invoice", "moon was in") * 5:
            await jobs_page(database, JobCriteria(text=text), CREATED[0], PageRequest(PAGE))
        async with database.connection() as connection:
            plans = await connection.fetchrow(
                "SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements"
                " WHERE statement LIKE '/* jobs_page */%'"
            )
    finally:
        await database.close()
    assert tuple(plans) == (0, 10)
