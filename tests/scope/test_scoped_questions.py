"""Whatever is asked within a scope is answered as by a server that knows of nothing else."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from asking import SCHEMA, Asking
from fleets import MORNING, SCOPES, TABLES, Rows, fill, fleets, within
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Graph, serving
from sighted import SETTINGS, bearing

from datasources import scope
from datasources.embedded import EmbeddedPostgres
from graph.resources import RESOURCES

pytestmark = pytest.mark.slow

NOT_OF_THE_FLEET = {"viewer"}  # tells of whoever asks
FIELDS = sorted(SCHEMA.query_type.fields.keys() - NOT_OF_THE_FLEET)
OF_THE_MOMENT = {
    "asOf",
    "busyRatio",
    "lastSeenSeconds",
    "oldestPendingSeconds",
    "robotHours",
    "stale",
    "throughputPerHour",
}

LEAST = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


class Twins:
    """A server that knows a whole fleet, and one that knows only what lies within a scope."""

    def __init__(self, whole: Graph, part: Graph) -> None:
        self.whole, self.part = whole, part
        self._runner = asyncio.Runner()
        self._connections = [self._runner.run(asyncpg.connect(graph.dsn, timeout=10)) for graph in (whole, part)]

    def know(self, rows: Rows, scope: frozenset[str], *, masked: bool) -> None:
        """Fill their databases."""
        for graph, connection, known in zip(
            (self.whole, self.part), self._connections, (rows, within(rows, scope, masked=masked)), strict=True
        ):
            self._runner.run(fill(connection, known))
            graph.renew()

    def cursors(self, name: str, order: str | None) -> list[str]:
        """Every place in a list, of whomever."""
        ordered = f", orderBy: {order}" if order else ""
        found = asked(self.whole, f"{{ {name}(first: 100{ordered}) {{ edges {{ cursor }} }} }}", bearing("admin"))
        return [edge["cursor"] for edge in found["data"][name]["edges"]]

    def close(self) -> None:
        """Give the connections back."""
        for connection in self._connections:
            self._runner.run(connection.close(timeout=5))
        self._runner.close()


def asked(graph: Graph, query: str, headers: dict[str, str]) -> Any:
    """The answer to an operation, without what every moment changes."""
    body = graph.http.post("/graphql", json={"query": query}, headers=headers).json()
    return json.loads(json.dumps(body), object_hook=_still)


def _still(found: dict[str, Any]) -> dict[str, Any]:
    found.pop("correlationId", None)
    return {name: value is not None if name in OF_THE_MOMENT else value for name, value in found.items()}


@pytest.fixture(scope="module")
def twins(postgres: EmbeddedPostgres, template: str) -> Iterator[Twins]:
    names = ("whole_fleet", "part_of_it")
    dsns = [urlsplit(postgres.dsn)._replace(path=f"/{name}").geturl() for name in names]
    asyncio.run(_run(postgres.dsn, *(f"CREATE DATABASE {name} TEMPLATE {template}" for name in names)))
    with serving(dsns[0], **SETTINGS) as whole, serving(dsns[1], **SETTINGS) as part:
        twins = Twins(whole, part)
        yield twins
        twins.close()
    asyncio.run(_run(postgres.dsn, *(f"DROP DATABASE {name} WITH (FORCE)" for name in names)))


async def _run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=30)
    finally:
        await connection.close(timeout=5)


@pytest.mark.parametrize("field", FIELDS)
def test_an_answer_within_a_scope_is_that_of_a_server_that_knows_nothing_else(twins: Twins, field: str) -> None:
    @LEAST
    @given(rows=fleets(), scope=SCOPES, role=st.sampled_from(["viewer", "operator"]), data=st.data())
    def holds(rows: Rows, scope: frozenset[str], role: str, data: st.DataObject) -> None:
        twins.know(rows, scope, masked=role == "viewer")
        for _ in range(3):
            query = Asking(data.draw, twins.cursors).question(field)
            narrow = asked(twins.whole, query, bearing(role, scope))
            assert narrow == asked(twins.part, query, bearing("operator")), query

    holds()


def test_every_table_is_filled_that_belongs_to_an_environment() -> None:
    assert set(TABLES) >= {table for table, condition in scope.TABLES.items() if condition and "rollup" not in table}


def _paths() -> Iterator[str]:
    for resource in RESOURCES:
        for path in {
            re.sub(r"\{(\w+)_id\}", lambda match: {"robot": "r1", "job": "j1"}[match[1]], resource.path),
            re.sub(r"\{(\w+)_id\}", lambda match: {"robot": "r2", "job": "j2"}[match[1]], resource.path),
        }:
            yield f"/api/v1{path}"
            if resource.most is not None:
                yield f"/api/v1{path}?limit=3" if "/robots" not in path else f"/api/v1{path}?status=offline"


@pytest.mark.parametrize("path", sorted(_paths()))
def test_a_rest_path_within_a_scope_answers_as_a_server_that_knows_nothing_else(twins: Twins, path: str) -> None:
    @LEAST
    @given(rows=fleets(), scope=SCOPES, role=st.sampled_from(["viewer", "operator"]))
    def holds(rows: Rows, scope: frozenset[str], role: str) -> None:
        twins.know(rows, scope, masked=role == "viewer")
        narrow = twins.whole.http.get(path, headers=bearing(role, scope))
        other = twins.part.http.get(path, headers=bearing("operator"))
        assert (narrow.status_code, told(narrow)) == (other.status_code, told(other))
        assert narrow.headers.get("link") == other.headers.get("link")
        assert narrow.headers.get("etag") == other.headers.get("etag")

    holds()


def told(response: Any) -> Any:
    """The body without its correlation id."""
    body = response.json()
    if isinstance(body, dict):
        body.pop("correlation_id", None)
    return body


def test_what_errors_said_is_no_oracle_for_those_who_may_not_see_it(twins: Twins) -> None:
    rows: Rows = {table: [] for table in TABLES}
    job = {"job_id": "j1", "source": "report", "workflow_id": "w", "workflow_name": "Works", "environment": "blue"}
    job |= {"status": "failed", "raw_status": "failed", "error_type": "E", "error_message": "account 4711"}
    twins.know(rows | {"jobs": [job | {"created_at": MORNING}]}, frozenset({"blue"}), masked=False)
    query = '{ jobs(first: 1, filter: {search: "4711"}) { totalCount nodes { errorMessage errorType } } }'
    hidden = asked(twins.whole, query, bearing("viewer"))["data"]["jobs"]
    shown = asked(twins.whole, query, bearing("operator"))["data"]["jobs"]
    assert hidden == {"totalCount": 0, "nodes": []}
    assert shown == {"totalCount": 1, "nodes": [{"errorMessage": "account 4711", "errorType": "E"}]}
