"""Rows with some of their columns: what was read is there, and what was not is never taken for null."""

from datetime import UTC, datetime

import pytest

from datasources.columns import NotRead, by_column
from datasources.jobs import JobCriteria, JobOrder, JobRow, jobs_by_id, jobs_page
from datasources.paging import PageRequest
from datasources.postgres import Database
from datasources.robots import RobotCriteria, RobotOrder, RobotRow, robots_by_id, robots_page
from datasources.scope import Scope
from datasources.settings import Settings
from datasources.statuses import JobStatus


@pytest.fixture
async def database(seeded_dsn):
    database = Database(seeded_dsn, Settings(pool_size=1))
    await database.open()
    yield database
    await database.close()


async def newest(database, reads=None):
    page = await jobs_page(database, JobCriteria(), JobOrder.CREATED_AT_DESC, PageRequest(5), reads)
    return page.rows


async def test_every_column_is_the_same_alone_as_among_all(database):
    whole = await newest(database)
    for name in JobRow._fields:
        narrow = await newest(database, frozenset({name}))
        assert [getattr(job, name) for job in narrow] == [getattr(job, name) for job in whole]
    robots = await robots_by_id(database, [f"robot-{number:03}" for number in range(9)], 60)
    assert robots
    for name in (*RobotRow._fields, "capabilities", "last_sign"):
        narrow = await robots_by_id(database, list(robots), 60, frozenset({name}))
        assert {key: getattr(robot, name) for key, robot in narrow.items()} == {
            key: getattr(robot, name) for key, robot in robots.items()
        }


async def test_narrow_rows_turn_into_the_columns_that_their_attributes_tell(database):
    reads = frozenset({"status", "created_at", "error_type"})
    jobs = await newest(database, reads)
    columns = by_column(jobs)
    assert set(columns) == {"job_id", *reads}
    for name, column in columns.items():
        assert list(column) == [getattr(job, name) for job in jobs]


async def test_only_rows_that_were_read_alike_turn_into_columns(database):
    assert by_column(await newest(database)) == {}  # whole rows
    assert by_column([*await newest(database, frozenset()), *await newest(database, frozenset({"status"}))]) == {}
    assert by_column([]) == by_column([None]) == {}


async def test_what_was_not_read_is_no_null(database):
    job = (await newest(database, frozenset({"status"})))[0]
    assert isinstance(job, JobRow)
    assert isinstance(job.status, JobStatus)
    assert isinstance(job.job_id, str)
    assert isinstance(job.created_at, datetime)  # what the page is sorted by
    with pytest.raises(NotRead, match="robot_id was not read"):
        _ = job.robot_id
    [found] = (await jobs_by_id(database, [job.job_id], frozenset())).values()
    with pytest.raises(NotRead):
        _ = found.created_at


@pytest.mark.parametrize("order", RobotOrder)
async def test_a_page_knows_its_places_whatever_is_read(database, order):
    narrow = await robots_page(database, RobotCriteria(), order, PageRequest(3), 60, frozenset())
    whole = await robots_page(database, RobotCriteria(), order, PageRequest(3), 60)
    assert [order.value.key_of(robot) for robot in narrow.rows] == [order.value.key_of(robot) for robot in whole.rows]


async def test_what_errors_said_stays_masked(database):
    failed = JobCriteria(statuses=(JobStatus.FAILED,))
    request = PageRequest(5), frozenset({"error_message"})
    seen = (await jobs_page(database, failed, JobOrder.CREATED_AT_DESC, *request)).rows
    masked = (await jobs_page(database.scoped(Scope(masked=True)), failed, JobOrder.CREATED_AT_DESC, *request)).rows
    assert any(job.error_message for job in seen)
    assert [job.job_id for job in masked] == [job.job_id for job in seen]
    assert not any(job.error_message for job in masked)
    assert all(job.created_at < datetime.now(UTC) for job in seen)
