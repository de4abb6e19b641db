"""The graph itself, over a real Postgres, both ways: what is asked often, and random questions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from documents import documents
from graphql import ExecutionResult, parse
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from reference import by_graphql_core, set_at_a_time, told

from datasources.postgres import Database
from datasources.settings import Settings
from graph.context import Context
from graph.schema import build_schema, core
from graph.viewer import ANYBODY

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
        context = Context(self._database, self._settings, "", ANYBODY)
        again = context.fresh()
        again.now = context.now
        document = parse(text)
        reference = self._runner.run(by_graphql_core(SCHEMA, document, context, variables))
        return reference, self._runner.run(set_at_a_time(SCHEMA, document, again, variables))


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
@settings(_SETTINGS, max_examples=2000)
@given(text=documents(SCHEMA), yes=st.booleans())
def test_two_thousand_random_questions_to_the_graph(both: Both, text: str, yes: bool) -> None:
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
