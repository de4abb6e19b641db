"""Servers for the tests of the graph."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from serving import Graph, eventually, serving


@pytest.fixture
def serve(dsn: str) -> Callable[..., Any]:
    """Start a server on the test's database with settings of the test's choice."""
    return lambda **settings: serving(dsn, **settings)


@pytest.fixture
def serving_on() -> Callable[..., Any]:
    """Start a server on any database, even one that is not there."""
    return serving


@pytest.fixture
def graph(dsn: str) -> Iterator[Graph]:
    """A server on a fresh database."""
    with serving(dsn) as graph:
        yield graph


def in_memory(graph: Graph) -> dict[str, int] | None:
    """The fleet as the collector knows it; None before it does."""
    reply = graph.ask("{ fleet { totalRobots activeRobots activeJobs queueDepth } }")
    return None if reply.statements else reply.data["fleet"]


@pytest.fixture
def small_fleet(graph: Graph) -> Graph:
    """A server over three robots and six jobs, all told in fleet.sql."""

    async def fill() -> None:
        connection = await asyncpg.connect(graph.dsn, timeout=10)
        try:
            await connection.execute((Path(__file__).parent / "fleet.sql").read_text())
        finally:
            await connection.close(timeout=5)

    asyncio.run(fill())
    eventually(lambda: in_memory(graph) == {"totalRobots": 3, "activeRobots": 1, "activeJobs": 2, "queueDepth": 1})
    return graph


@pytest.fixture(scope="session")
def seeded(seeded_dsn: str) -> Iterator[Graph]:
    """A server over the seeded fleet, for tests that only read, and count the statements of each operation."""
    with serving(seeded_dsn, offline_after_seconds=86400, share_answers=False) as graph:
        eventually(lambda: in_memory(graph))
        yield graph
