"""Servers for the tests of what operators see."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from serving import Graph, serving


@pytest.fixture
def serve(dsn: str) -> Callable[..., Any]:
    """Start a server on the test's database with settings of the test's choice."""
    return lambda **settings: serving(dsn, **settings)


@pytest.fixture
def graph(dsn: str) -> Iterator[Graph]:
    """A server on a fresh database."""
    with serving(dsn) as graph:
        yield graph


@pytest.fixture
def serving_on() -> Callable[..., Any]:
    """Start a server on any database, even one that is not there."""
    return serving
