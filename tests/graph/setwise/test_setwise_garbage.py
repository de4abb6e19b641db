"""What an operation leaves behind: nothing that only the garbage collector would find."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from graphql import Executor as GraphQLExecutor

from datasources.postgres import Database
from datasources.settings import Settings
from graph.context import Context
from graph.engine.documents import Documents
from graph.engine.execution import Executor
from graph.engine.requests import Request
from graph.loaders.batching import Loader
from graph.schema import build_schema, core
from graph.viewer import ANYBODY

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


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_a_question_leaves_no_cycles_behind(seeded_dsn: str, question: str) -> None:
    settings = Settings()
    database = Database(seeded_dsn, settings)
    executor = Executor(core(build_schema()), settings, Documents(settings, ()))
    await database.open()
    try:
        with garbage() as found:
            for _ in range(3):
                answer = await executor.answer(Request(question), Context(database, settings, "id", ANYBODY))
                assert answer.body.keys() == {"data"}
    finally:
        await database.close()
    kinds = map(type, found)  # as a weak proxy has the class of what it stands for, and raises where that is gone
    assert not [kind for kind in kinds if issubclass(kind, Context | GraphQLExecutor | Loader)]
