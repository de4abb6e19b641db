"""Servers and snapshots for the tests of shared answers."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from repeating import ready
from serving import Graph, serving

from datasources.snapshots import Snapshots


@pytest.fixture
async def snapshots(dsn: str) -> AsyncIterator[Snapshots]:
    """The snapshots of a fresh database."""
    snapshots = Snapshots(dsn, offline_after=60)
    keeping = asyncio.create_task(snapshots.run())
    try:
        async with asyncio.timeout(20):
            while await snapshots.latest() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield snapshots
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@pytest.fixture
def graph(dsn: str) -> Iterator[Graph]:
    """A server on a fresh database that shares answers already."""
    with serving(dsn) as graph:
        ready(graph)
        yield graph
