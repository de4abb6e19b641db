"""Whatever is asked within a scope is answered as by a server that knows of nothing else."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from asking import SCHEMA, Asking
from fleets import ENVIRONMENTS, MORNING, SCOPES, TABLES, Rows, fill, fleets, within
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Graph, serving
from sighted import SETTINGS, bearing

from datasources import scope
from graph.transports.resources import RESOURCES

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

_TURNS = 20

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

    def asked(self, query: str, headers: dict[str, str], of_part: dict[str, str]) -> tuple[Any, Any]:
        """The answers of both, within the same minute: a window ends now, and a series begins with a whole minute.

        Of several wrong arguments the one is told that is found first, which is a matter of turns: they have some.
        """
        turns = 0
        while True:
            minute = datetime.now(UTC).minute
            narrow, other = asked(self.whole, query, headers), asked(self.part, query, of_part)
            refused = narrow.get("data") is None and other.get("data") is None
            turns += 1
            if datetime.now(UTC).minute == minute and (narrow == other or not refused or turns >= _TURNS):
                return narrow, other

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
def twins(migrated: Callable[[], AbstractContextManager[str]]) -> Iterator[Twins]:
    with (
        migrated() as one,
        migrated() as other,
        serving(one, **SETTINGS) as whole,
        serving(other, **SETTINGS) as part,
    ):
        twins = Twins(whole, part)
        yield twins
        twins.close()


@pytest.mark.parametrize("field", FIELDS)
def test_an_answer_within_a_scope_is_that_of_a_server_that_knows_nothing_else(twins: Twins, field: str) -> None:
    # Of a robot that is none only those are told who see the whole fleet.
    everywhere = ENVIRONMENTS if field == "fleet" else None

    @LEAST
    @given(rows=fleets(), scope=SCOPES, role=st.sampled_from(["viewer", "operator"]), data=st.data())
    def holds(rows: Rows, scope: frozenset[str], role: str, data: st.DataObject) -> None:
        twins.know(rows, scope, masked=role == "viewer")
        for _ in range(3):
            query = Asking(data.draw, twins.cursors).question(field)
            narrow, other = twins.asked(query, bearing(role, scope), bearing("operator", everywhere))
            assert narrow == other, query

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
