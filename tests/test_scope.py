"""Scopes in SQL: every table of ours is read through them, or says why not."""

import re
from pathlib import Path

import asyncpg
import pytest

import datasources
from datasources.scope import TABLES, Scope
from datasources.sql import Query

FOLDER = Path(datasources.__file__).parent
ONE, TWO = Scope(frozenset({"a"})), Scope(frozenset({"b", "a"}))


async def test_every_table_is_classified(dsn):
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'monitor'::regnamespace"
            " AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition"
        )
    finally:
        await connection.close(timeout=5)
    assert {row["relname"] for row in rows} <= TABLES.keys(), "say in datasources/scope.py whose its rows are"


def test_a_table_is_read_through_the_scope():
    statement, arguments = Query("q", "SELECT j.x FROM monitor.jobs j WHERE j.y = :y").bind({"y": 1}, TWO)
    assert statement == (
        "/* q */ SELECT j.x FROM (SELECT t.* FROM monitor.jobs t WHERE t.environment = ANY($1::text[])) j"
        " WHERE j.y = $2"
    )
    assert arguments == [["a", "b"], 1]


def test_a_single_environment_is_compared_so_that_indexes_keep_their_order():
    assert "t.environment = ($1::text[])[1]" in Query("q", "SELECT 1 FROM monitor.robots r").bind({}, ONE)[0]


def test_no_environment_is_nothing_rather_than_everything():
    assert Query("q", "SELECT 1 FROM monitor.jobs j").bind({}, Scope(frozenset()))[1] == [[]]


def test_the_unscoped_see_the_statement_as_it_stands():
    assert Query("q", "SELECT 1 FROM monitor.jobs j").bind({})[0] == "/* q */ SELECT 1 FROM monitor.jobs j"


def test_text_that_looks_like_a_table_is_left_alone():
    statement = "SELECT 'FROM monitor.jobs j' -- FROM monitor.jobs j"
    assert Query("q", statement).bind({}, ONE)[0] == f"/* q */ {statement}"


def test_what_is_marked_is_read_beyond_the_scope():
    statement = "SELECT 1 FROM monitor.jobs j /* unscoped: for a reason */"
    assert Query("q", statement).bind({}, ONE)[0] == f"/* q */ {statement}"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM monitor.source_errors e",
        "SELECT 1 FROM monitor.unheard_of u",
        "SELECT 1 FROM monitor.jobs",
        "SELECT 1 FROM unnest(:x) u, monitor.jobs j",
        "INSERT INTO monitor.jobs (job_id) VALUES (1)",
        "UPDATE monitor.jobs j SET x = 1",
        "DELETE FROM monitor.jobs j",
        "SELECT monitor.record_source_error('', '', '', '')",
    ],
)
def test_what_cannot_be_narrowed_is_refused_rather_than_run(statement):
    with pytest.raises(LookupError):
        Query("q", statement).bind({"x": 1}, ONE)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.sql")), ids=lambda path: path.stem)
def test_who_reads_beyond_the_scope_says_why(path):
    for reason in re.findall(r"/\*(.*?)\*/", path.read_text()):
        assert re.fullmatch(r" unscoped: \w.* ", reason)
