"""The collector says what SQL says, whatever happened and however it was heard of."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from collecting import Scene, Worker, Writer, counted, heard, unheard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasources.postgres import Database

thorough = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
async def sources(connect: Callable[[], Awaitable[asyncpg.Connection]]) -> list[Writer]:
    return [Writer(await connect()) for _ in range(4)]


async def played(database: Database, sources: list[Writer], steps: list[tuple[Any, ...]]) -> Scene:
    """The scene after those steps, with everything committed and heard of."""
    for writer in sources:
        await writer.end("ROLLBACK")
    await sources[0].connection.execute("TRUNCATE monitor.jobs CASCADE")
    scene = Scene(database, sources, [await Worker.started(database) for _ in range(2)])
    for step in steps:
        await scene.do(step)
    await scene.end()
    return scene


@given(steps=st.lists(heard, min_size=5, max_size=50))
@thorough
@pytest.mark.slow
async def test_after_any_reports_source_events_and_rollbacks_every_worker_says_what_sql_says(
    database: Database, sources: list[Writer], steps: list[tuple[Any, ...]]
) -> None:
    scene = await played(database, sources, steps)
    at = datetime.now(UTC)
    expected = await counted(database, at)
    for worker in scene.workers:
        assert worker.told(at) == expected
        assert await worker.live.compare()
        assert worker.live.counts["differences"] == 0


@given(steps=st.lists(heard | unheard, min_size=5, max_size=50))
@thorough
@pytest.mark.slow
async def test_what_no_transition_tells_is_found_by_comparing(
    database: Database, sources: list[Writer], steps: list[tuple[Any, ...]]
) -> None:
    scene = await played(database, sources, steps)
    for worker in scene.workers:
        await worker.live.refresh()
        await worker.live.compare()
    at = datetime.now(UTC)
    expected = await counted(database, at)
    for worker in scene.workers:
        assert worker.told(at) == expected
