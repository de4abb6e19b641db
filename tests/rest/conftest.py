"""Servers for the tests of the REST paths."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from serving import Graph, eventually, serving

FLEET = Path(__file__).parents[1] / "graph" / "fleet.sql"


@pytest.fixture
def bare(dsn: str) -> Iterator[Graph]:
    """A server over nothing, which lets robots be silent for years."""
    with serving(dsn, offline_after_seconds=1e9) as graph:
        yield graph


@pytest.fixture
def small_fleet(dsn: str) -> Iterator[Graph]:
    """A server over the three robots and six jobs of fleet.sql."""

    async def fill() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await connection.execute(FLEET.read_text())
        finally:
            await connection.close(timeout=5)

    asyncio.run(fill())
    with serving(dsn) as graph:
        yield graph


@pytest.fixture(scope="session")
def seeded_rest(seeded_dsn: str) -> Iterator[Graph]:
    """A server over the seeded fleet, for tests that only read, and count the statements of each operation."""
    with serving(seeded_dsn, offline_after_seconds=86400, share_answers=False) as graph:
        eventually(lambda: "0 statements" in graph.http.get("/api/v1/metrics/fleet").headers["server-timing"])
        yield graph
