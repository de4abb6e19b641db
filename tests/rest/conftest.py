"""Servers for the tests of the REST paths."""

from collections.abc import Iterator

import pytest
from serving import Graph, eventually, serving


@pytest.fixture
def bare(dsn: str) -> Iterator[Graph]:
    """A server over nothing, which lets robots be silent for years."""
    with serving(dsn, offline_after_seconds=1e9) as graph:
        yield graph


@pytest.fixture(scope="session")
def seeded_rest(seeded_dsn: str) -> Iterator[Graph]:
    """A server over the seeded fleet, for tests that only read, and count the statements of each operation."""
    with serving(seeded_dsn, offline_after_seconds=86400, share_answers=False) as graph:
        eventually(lambda: "0 statements" in graph.http.get("/api/v1/metrics/fleet").headers["server-timing"])
        yield graph
