"""Servers for the tests of the graph."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from serving import Graph, eventually, serving


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
