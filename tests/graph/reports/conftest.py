"""A server that robots report to."""

import pytest
from reporting import register


@pytest.fixture
def robots(graph):
    """A server that knows the robots r1 and r2."""
    register(graph, "r1")
    register(graph, "r2")
    return graph
