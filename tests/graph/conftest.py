"""A server for the tests of the graph that only read."""

from collections.abc import Iterator

import pytest
from serving import Graph, eventually, serving
from small_fleet import in_memory


@pytest.fixture(scope="session")
def seeded(seeded_dsn: str) -> Iterator[Graph]:
    """A server over the seeded fleet, for tests that only read, and count the statements of each operation."""
    with serving(seeded_dsn, offline_after_seconds=86400, share_answers=False) as graph:
        eventually(lambda: in_memory(graph))
        yield graph
