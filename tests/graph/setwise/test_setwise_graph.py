"""The graph itself, over a real Postgres, both ways: what is asked often, and random questions."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, cast

import pytest
from documents import documents
from graphql import ExecutionResult, GraphQLObjectType, get_named_type, is_leaf_type, parse
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from reference import by_graphql_core, events_by_graphql_core, events_set_at_a_time, set_at_a_time, told

from datasources.events import EventRow, Position
from datasources.jobs import JobRow
from datasources.postgres import Database
from datasources.settings import Settings
from graph.context import Context
from graph.schema import build_schema, core
from graph.viewer import ANYBODY
from subscriptions.follower import Missed
from subscriptions.ledger import LedgerUpdate

SCHEMA = core(build_schema())
_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


class Both:
    """A database that is asked both ways."""

    def __init__(self, dsn: str) -> None:
        self._settings = Settings(offline_after_seconds=86400)
        self._database = Database(dsn, self._settings)
        self._runner = asyncio.Runner()
        self._runner.run(self._database.open())

    def close(self) -> None:
        """Ask no more."""
        self._runner.run(self._database.close())
        self._runner.close()

    def answers(self, text: str, **variables: Any) -> tuple[ExecutionResult, dict[str, Any] | None]:
        """What the reference says, and what is said set at a time, at the same moment."""
        context, again = self._contexts()
        document = parse(text)
        reference = self._runner.run(by_graphql_core(SCHEMA, document, context, variables))
        return reference, self._runner.run(set_at_a_time(SCHEMA, document, again, variables))

    def told(
        self, text: str, events: Sequence[object], **variables: Any
    ) -> tuple[list[ExecutionResult], list[dict[str, Any]] | None]:
        """The same of what is said to these events, which come at once."""
        context, again = self._contexts()
        document = parse(text)
        reference = self._runner.run(events_by_graphql_core(SCHEMA, document, context, variables, events))
        return reference, self._runner.run(events_set_at_a_time(SCHEMA, document, again, variables, events))

    def _contexts(self) -> tuple[Context, Context]:
        context = Context(self._database, self._settings, "", ANYBODY)
        again = context.fresh()
        again.now = context.now
        return context, again


@pytest.fixture(scope="module")
def both(seeded_dsn: str) -> Iterator[Both]:
    """The seeded fleet."""
    both = Both(seeded_dsn)
    yield both
    both.close()


def _agree(both: Both, text: str, yes: bool) -> None:
    reference, found = both.answers(text, yes=yes)
    event("planned" if found is not None else "left to the reference")
    if found is None:
        assert reference.errors
    else:
        assert reference.errors is None
        assert told(found) == told(reference.data)


@settings(_SETTINGS, max_examples=60)
@given(text=documents(SCHEMA), yes=st.booleans())
def test_random_questions_to_the_graph(both: Both, text: str, yes: bool) -> None:
    _agree(both, text, yes)


@pytest.mark.slow
@settings(_SETTINGS, max_examples=10_000)
@given(text=documents(SCHEMA), yes=st.booleans())
def test_ten_thousand_random_questions_to_the_graph(both: Both, text: str, yes: bool) -> None:
    _agree(both, text, yes)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            """{ jobs(first: 100) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            edges { cursor node { ...all robot { ...robot } workflow { id workflowName lastRunAt } } } } }
            fragment all on Job { __typename id jobId workflowId workflowName robotId status rawStatus source priority
              environment createdAt claimedAt completedAt durationMs queueWaitMs errorType errorMessage retryCount
              maxRetries progressPercent currentNode nodeExecutions(first: 3) { nodeId nodeType position status
              startedAt completedAt durationMs errorType errorMessage retryCount success } }
            fragment robot on Robot { id robotId hostname environment status cpuPercent memoryMb memoryPercent
              lastHeartbeat registeredAt currentJobId capabilities }""",
            id="jobs with everything",
        ),
        pytest.param(
            """{ robots(first: 100) { nodes { robotId jobsCompletedToday jobsFailedToday averageJobDurationSeconds
            currentJob { jobId } newest: jobs(first: 2) { totalCount nodes { jobId } } heartbeats(last: 2) { at status
            cpuPercent memoryMb memoryPercent jobId } } } }""",
            id="robots with everything",
        ),
        pytest.param(
            """{ workflows { nodes { workflowId analytics { totalJobs successRate failureRate averageDurationMs
            p50DurationMs p90DurationMs p95DurationMs p99DurationMs slowestWorkflows { workflowId runs
            averageDurationMs } errorDistribution { errorType count } selfHealingSuccessRate asOf } } } }""",
            id="analytics",
        ),
        pytest.param(
            """{ activity(first: 100) { nodes { eventId type kind timestamp title details environment status
            previousStatus jobId robotId job { status } robot { status } } } }""",
            id="activity",
        ),
        pytest.param("{ fleet { totalRobots asOf stale queueDepth } __typename }", id="the fleet"),
        pytest.param('{ nodes(ids: ["Um9ib3Q6cm9ib3QtMDAx"]) { id ... on Robot { hostname } } }', id="abstract types"),
        pytest.param("{ __schema { types { name fields { name } } } fleet { stale } }", id="introspection"),
    ],
)
def test_what_is_asked_of_the_graph_is_answered_set_at_a_time(both: Both, text: str) -> None:
    reference, found = both.answers(text)
    assert reference.errors is None
    assert found is not None
    assert told(found) == told(reference.data)


def _fields() -> Iterator[str]:
    """Each field of what comes in narrow rows, alone, in a page of those rows."""
    pages = {
        "Job": "{ jobs(first: 3) { nodes { %s } } }",
        "Robot": "{ robots(first: 3) { nodes { %s } } }",
        "NodeExecution": "{ jobs(first: 3) { nodes { nodeExecutions(first: 2) { %s } } } }",
        "Activity": "{ activity(first: 9) { nodes { %s } } }",
    }
    for of, page in pages.items():
        for name, field in cast(GraphQLObjectType, SCHEMA.type_map[of]).fields.items():
            yield page % (name if is_leaf_type(get_named_type(field.type)) else f"{name} {{ __typename }}")


@pytest.mark.parametrize("text", list(_fields()))
def test_every_field_finds_the_columns_that_it_looks_at(both: Both, text: str) -> None:
    reference, found = both.answers(text)
    assert reference.errors is None
    assert told(found) == told(reference.data)


@pytest.fixture(scope="module")
def jobs(both: Both) -> list[tuple[str, str | None]]:
    """Jobs of the fleet with their robots, and some that are not there."""
    found, _ = both.answers("{ jobs(first: 20) { nodes { jobId robotId } } }")
    assert found.data is not None
    return [(job["jobId"], job["robotId"]) for job in found.data["jobs"]["nodes"]] + [("gone", "gone"), ("gone", None)]


@st.composite
def _updates(draw: st.DrawFn) -> tuple[int, str, int | None, str]:
    """Which job a transition is of, its kind, the place of its step, and its status."""
    kind = draw(st.sampled_from(["job", "node"]))
    position = draw(st.integers(0, 3)) if kind == "node" else None
    return draw(st.integers(0, 21)), kind, position, draw(st.sampled_from(["completed", "failed"]))


def _update(seq: int, told: tuple[int, str, int | None, str] | None, jobs: list[tuple[str, str | None]]) -> object:
    if told is None:
        return LedgerUpdate("c", missed=Missed("RETENTION", 2**40, Position(seq)))
    job, kind, position, status = told
    job_id, robot_id = jobs[job]
    at = datetime(2026, 1, 2, 3, 4, 5, seq, UTC)
    return LedgerUpdate("c", EventRow(seq, at, kind, job_id, robot_id, position, "w", "production", status, None))


_STREAMS = st.sampled_from(["jobUpdates", "activity", "nodeExecutions"]).flatmap(
    lambda stream: documents(SCHEMA, stream=stream)
)
_BATCHES = st.lists(st.none() | _updates(), max_size=5)


def _agree_on_events(both: Both, text: str, events: list[object], yes: bool) -> None:
    reference, found = both.told(text, events, yes=yes)
    event("planned" if found is not None else "left to the reference")
    if found is None:
        assert any(one.errors for one in reference)
    else:
        assert not any(one.errors for one in reference)
        assert list(map(told, found)) == [told(one.data) for one in reference]


@settings(_SETTINGS, max_examples=60)
@given(text=_STREAMS, batch=_BATCHES, yes=st.booleans())
def test_random_events_of_the_graph(both: Both, jobs: Any, text: str, batch: list[Any], yes: bool) -> None:
    _agree_on_events(both, text, [_update(seq, each, jobs) for seq, each in enumerate(batch)], yes)


@pytest.mark.slow
@settings(_SETTINGS, max_examples=3_000)
@given(text=_STREAMS, batch=_BATCHES, yes=st.booleans())
def test_three_thousand_random_batches_of_events(both: Both, jobs: Any, text: str, batch: list[Any], yes: bool) -> None:
    _agree_on_events(both, text, [_update(seq, each, jobs) for seq, each in enumerate(batch)], yes)


def test_sets_of_columns_are_forgotten(both: Both) -> None:
    plain = (
        "workflowName",
        "robotId",
        "status",
        "source",
        "priority",
        "environment",
        "createdAt",
        "durationMs",
        "rawStatus",
    )
    chosen = [each for size in (2, 3, 4) for each in combinations(plain, size)]
    assert len(chosen) > 200
    for fields in chosen:
        assert both.answers(f"{{ jobs(first: 1) {{ nodes {{ {' '.join(fields)} }} }} }}")[1] is not None
    gc.collect()
    # Those that are kept, and those whose kind is known.
    assert len(JobRow.__subclasses__()) <= 100 + 100
