"""The `.sql` files: every statement they can become is one that Postgres takes."""

import re
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datasources
from datasources.jobs import JobCriteria, JobOrder, JobParent, jobs_count, jobs_counts, jobs_page, jobs_pages
from datasources.paging import Key, PageRequest
from datasources.postgres import Database
from datasources.robots import RobotCriteria, RobotOrder, robots_count, robots_page
from datasources.scope import EVERYTHING, Scope
from datasources.settings import Settings
from datasources.sql import Query, queries
from datasources.statuses import JobStatus, RobotStatus

FOLDER = Path(datasources.__file__).parent
# Attaching runs in a database that has the source's own tables, and is tested there.
FILES = sorted(
    path.relative_to(FOLDER).with_suffix("").as_posix()
    for path in FOLDER.rglob("*.sql")
    if path.parent.name not in {"migrations", "sources"} and "-- name:" in path.read_text()
)
# Which options go with which, as their typed functions give them.
TOGETHER = {
    "of_robots": {"parents", "reads_completed_at"},  # what the page is sorted by
    "of_workflows": {"parents", "reads_completed_at"},
    "parents": {"of_robots", "reads_completed_at"},
    "apart": {"statuses", "reads_completed_at"},
}
NEVER = {"jobs_count": {"apart"}}  # what only its neighbours are given


def options(file, name):
    """The optional parameters of a query, fragments included."""
    lines = re.findall(r"--\?(.*)", queries(file)[name]._text)
    return sorted(set(re.findall(r"\w+", " ".join(lines))) - NEVER.get(name, set()) - {"scope", "masked"})


def statements():
    """Every query that is a statement by itself, not a part of another."""
    for file in FILES:
        text = (FOLDER / f"{file}.sql").read_text()
        for name in queries(file):
            if f"{{{name}}}" not in text:
                yield pytest.param(file, name, id=f"{file} {name}")


def order_of(file):
    return RobotOrder.ROBOT_ID_ASC if file == "robots" else JobOrder.COMPLETED_AT_DESC


def takes_a_scope(file, name):
    """Whether viewers ask it: it only reads, and only what belongs to somebody."""
    return file.partition("/")[0] in {
        "activity",
        "analytics",
        "busy",
        "executions",
        "fleet",
        "jobs",
        "queue",
        "robots",
        "workflows",
    }


SCOPES = [
    Scope(frozenset()),
    Scope(frozenset("a")),
    Scope(frozenset("ab")),
    Scope(masked=True),
    Scope(frozenset("a"), True),
]


@pytest.mark.parametrize(("file", "name"), list(statements()))
async def test_postgres_takes_every_query_with_none_with_each_and_with_all_of_its_options(seeded_dsn, file, name):
    every = options(file, name)
    chosen = [set(), set(every), *({option, *TOGETHER.get(option, ())} for option in every)]
    connection = await asyncpg.connect(seeded_dsn, timeout=10)
    try:
        for given_options in chosen:
            parameters = defaultdict(lambda: None, dict.fromkeys(given_options, True))
            for scope in (EVERYTHING, *(SCOPES if takes_a_scope(file, name) else ())):
                statement, _ = queries(file)[name].bind(parameters, scope, **order_of(file).value.parts(backward=False))
                assert "{" not in re.sub(r"'[^']*'|--.*", "", statement)
                await connection.prepare(statement, timeout=10)
    finally:
        await connection.close(timeout=5)


@pytest.fixture
async def database(dsn):
    database = Database(dsn, Settings(pool_size=1))
    await database.open()
    yield database
    await database.close()


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def maybe(strategy):
    return st.none() | strategy


JOB_CRITERIA = st.builds(
    JobCriteria,
    statuses=maybe(st.lists(st.sampled_from(JobStatus), max_size=3).map(tuple)),
    **{
        name: maybe(st.just("some"))
        for name in ("workflow_id", "robot_id", "environment", "error_type", "source", "text")
    },
    **{name: maybe(st.just(MOMENT)) for name in ("created_from", "created_to", "completed_from", "completed_to")},
)
ROBOT_CRITERIA = st.builds(
    RobotCriteria,
    statuses=maybe(st.lists(st.sampled_from(RobotStatus), max_size=3).map(tuple)),
    **{name: maybe(st.just("some")) for name in ("environment", "capability", "text")},
)


def requests(order):
    column = order.value.column
    key = {"duration_ms": "1.5", "robot_id": "r", "hostname": "h"}.get(column, MOMENT.isoformat())
    place = maybe(st.just(Key(key, "some")))
    return st.builds(PageRequest, st.integers(1, 100), after=place, before=place, backward=st.booleans())


async def test_postgres_takes_what_any_filter_order_and_page_of_jobs_becomes(database):
    @given(
        data=st.data(), criteria=JOB_CRITERIA, order=st.sampled_from(JobOrder), parent=maybe(st.sampled_from(JobParent))
    )
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    def bound(data, criteria, order, parent):
        asked.append((criteria, order, data.draw(requests(order)), parent))

    asked = []
    bound()
    for criteria, order, request, parent in asked:
        if parent is None:
            assert not (await jobs_page(database, criteria, order, request)).rows
            assert await jobs_count(database, criteria) == 0
        else:
            assert await jobs_pages(database, parent, ["a", "b"], criteria, order, request) == {}
            assert set((await jobs_counts(database, parent, ["a", "b"], criteria)).values()) <= {0}


async def test_postgres_takes_what_any_filter_order_and_page_of_robots_becomes(database):
    @given(data=st.data(), criteria=ROBOT_CRITERIA, order=st.sampled_from(RobotOrder))
    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    def bound(data, criteria, order):
        asked.append((criteria, order, data.draw(requests(order))))

    asked = []
    bound()
    for criteria, order, request in asked:
        assert not (await robots_page(database, criteria, order, request, 60)).rows
        assert await robots_count(database, criteria, 60) == 0


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1"),
        ("SELECT now()::text, :a::text[]", "SELECT now()::text, $1::text[]"),
        ("SELECT 'at :noon', :a", "SELECT 'at :noon', $1"),
        ("SELECT 'it''s :noon', :a", "SELECT 'it''s :noon', $1"),
        ('SELECT 1 AS "a :b", :a', 'SELECT 1 AS "a :b", $1'),
        ("-- at :noon\nSELECT :a", "-- at :noon\nSELECT $1"),
        ("SELECT (ARRAY[1, 2])[1:2], :a", "SELECT (ARRAY[1, 2])[1:2], $1"),
        ("SELECT '{b}'::text[], :a", "SELECT '{b}'::text[], $1"),
    ],
)
def test_only_a_name_after_a_colon_is_a_parameter(text, statement):
    bound, arguments = Query("q", text).bind({"a": 1, "b": 2})
    assert bound == f"/* q */ {statement}"
    assert arguments == [1, 2][: len(arguments)]


def test_an_option_s_line_stays_only_with_its_parameter():
    query = Query("q", "SELECT 1\nWHERE a = :a --? a\nWHERE b = :b --? b !a\nWHERE TRUE --? !a !b")
    assert query.bind({"a": 1, "b": None}) == ("/* q */ SELECT 1\nWHERE a = $1", [1])
    assert query.bind({"b": 2}) == ("/* q */ SELECT 1\nWHERE b = $1", [2])
    assert query.bind({}) == ("/* q */ SELECT 1\nWHERE TRUE", [])


def test_what_is_false_or_empty_is_given_all_the_same():
    query = Query("q", "SELECT :a --? a")
    assert [query.bind({"a": value})[1] for value in (False, 0, "", [])] == [[False], [0], [""], [[]]]


def test_a_part_comes_from_the_caller():
    query = Query("q", "SELECT x FROM t ORDER BY x {direction}")
    assert query.bind({}, direction="DESC")[0] == "/* q */ SELECT x FROM t ORDER BY x DESC"
    assert query.bind({}, direction="ASC")[0] == "/* q */ SELECT x FROM t ORDER BY x ASC"


def test_a_missing_parameter_or_part_is_named():
    with pytest.raises(LookupError, match="the query jobs needs the parameter job_id"):
        Query("jobs", "SELECT :job_id").bind({"other": 1})
    with pytest.raises(LookupError, match="the query jobs needs the part direction"):
        Query("jobs", "SELECT 1 ORDER BY 1 {direction}").bind({})
