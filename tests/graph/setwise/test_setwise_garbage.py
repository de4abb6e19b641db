"""What an operation leaves behind: nothing that only the garbage collector would find."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from graphql import Executor as GraphQLExecutor

from datasources.events import EventRow
from datasources.postgres import Database
from datasources.settings import Settings
from graph.context import Context
from graph.engine.documents import Documents
from graph.engine.execution import Executor, Refused
from graph.engine.requests import Request
from graph.loaders.batching import Loader
from graph.schema import build_schema, core
from graph.viewer import ANYBODY
from subscriptions.ledger import LedgerUpdate

QUESTIONS = {
    "fleet": "{ fleet { totalRobots activeJobs queueDepth } }",
    "jobs": "{ jobs(first: 5) { nodes { jobId status createdAt robot { hostname } } } }",
    "steps": "{ jobs(first: 2) { nodes { nodeExecutions(first: 3) { nodeId success } workflow { workflowName } } } }",
    "robots": "{ robots(first: 5) { nodes { hostname currentJob { jobId } jobs(first: 1) { nodes { jobId } } } } }",
}


@contextmanager
def garbage() -> Iterator[list[object]]:
    """What the garbage collector finds at the end of the block, and would not have been freed without it."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.extend(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.fixture
async def database(seeded_dsn: str) -> AsyncIterator[Database]:
    database = Database(seeded_dsn, Settings())
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def executor() -> Executor:
    settings = Settings()
    return Executor(core(build_schema()), settings, Documents(settings, ()))


def cycles(found: list[object]) -> list[type]:
    """The types of what belongs to operations."""
    kinds = map(type, found)  # as a weak proxy has the class of what it stands for, and raises where that is gone
    return [kind for kind in kinds if issubclass(kind, Context | GraphQLExecutor | Loader)]


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_a_question_leaves_no_cycles_behind(database: Database, executor: Executor, question: str) -> None:
    with garbage() as found:
        for _ in range(3):
            answer = await executor.answer(Request(question), Context(database, Settings(), "id", ANYBODY))
            assert answer.body.keys() == {"data"}
    assert cycles(found) == []


async def test_an_event_leaves_no_cycles_behind(database: Database, executor: Executor) -> None:
    asked = Request("subscription { jobUpdates { jobId job { workflowName robot { hostname } } } }")
    operation = executor.look(asked, Context(database, Settings(), "id", ANYBODY))
    assert not isinstance(operation, Refused)
    at = datetime(2026, 1, 2, tzinfo=UTC)
    event = EventRow(1, at, "job", "job-0000001", None, None, "w", "production", "completed", None)
    with garbage() as found:
        for _ in range(3):
            context = Context(database, Settings(), "id", ANYBODY)
            [body] = await executor.push(operation, [LedgerUpdate("c", event)], context)
            assert body["data"]["jobUpdates"]["jobId"] == "job-0000001"
        del context
    assert cycles(found) == []
