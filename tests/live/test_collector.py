"""The collector says what SQL says, whatever happened and however it was heard of."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from collecting import Scene, Worker, Writer, counted, heard, past, unheard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasources.events import prune_events
from datasources.postgres import Database, UnstorableValue
from datasources.scope import Scope
from datasources.sql import Query
from subscriptions import follower as following
from subscriptions.collector.fleet import LiveFleet
from subscriptions.collector.jobs import USUAL, Bounds

thorough = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
async def sources(connect: Callable[[], Awaitable[asyncpg.Connection]]) -> list[Writer]:
    return [Writer(await connect()) for _ in range(4)]


Steps = list[tuple[Any, ...]]


async def played(
    database: Database, sources: list[Writer], before: Steps, steps: Steps, bounds: Bounds = USUAL
) -> Scene:
    """The scene after those steps, with everything committed and heard of; some came before the workers did."""
    for writer in sources:
        await writer.end("ROLLBACK")
    await sources[0].connection.execute("TRUNCATE monitor.jobs CASCADE")
    scene = Scene(database, sources)
    for step in before:
        await scene.do(step)
    await scene.do(("commit", 0))
    scene.workers = [await Worker.started(database, bounds) for _ in range(2)]
    for step in steps:
        await scene.do(step)
    await scene.end()
    return scene


@given(before=past, steps=st.lists(heard, min_size=5, max_size=60))
@thorough
@pytest.mark.slow
async def test_after_any_reports_source_events_and_rollbacks_every_worker_says_what_sql_says(
    database: Database, sources: list[Writer], before: Steps, steps: Steps
) -> None:
    scene = await played(database, sources, before, steps)
    at = datetime.now(UTC)
    expected = await counted(database, at)
    for worker in scene.workers:
        assert worker.told(at) == expected
        assert await worker.live.compare()
        assert worker.live.counts["differences"] == 0


@given(before=past, steps=st.lists(heard, min_size=5, max_size=60), most=st.integers(0, 2))
@thorough
@pytest.mark.slow
async def test_of_a_crowd_that_waits_the_number_is_right_and_since_when_as_soon_as_it_is_read_anew(
    database: Database, sources: list[Writer], before: Steps, steps: Steps, most: int
) -> None:
    scene = await played(database, sources, before, steps, Bounds(open=most))
    at = datetime.now(UTC)
    expected = await counted(database, at)
    for worker in scene.workers:
        told = worker.told(at)
        assert told | {"queues": numbers(told)} == expected | {"queues": numbers(expected)}
        assert await worker.live.compare()
        assert worker.told(at) == expected


def numbers(told: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {environment: (queue.pending, queue.active) for environment, queue in told["queues"].items()}


@given(before=past, steps=st.lists(heard | unheard, min_size=5, max_size=60))
@thorough
@pytest.mark.slow
async def test_what_no_transition_tells_is_found_by_comparing(
    database: Database, sources: list[Writer], before: Steps, steps: Steps
) -> None:
    scene = await played(database, sources, before, steps)
    for worker in scene.workers:
        await worker.live.refresh()
        await worker.live.compare()
    at = datetime.now(UTC)
    expected = await counted(database, at)
    for worker in scene.workers:
        assert worker.told(at) == expected


async def ended(sources: list[Writer], job: str, minutes: int, status: str = "failed") -> None:
    await sources[0].connection.execute(
        """INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at,
               claimed_at, completed_at)
        SELECT $1, 'pgqueuer', 'w', 'W', $3, $3, greatest(at - interval '2 s', date_trunc('day', now())), at - interval
               '1 s', at FROM (SELECT now() - make_interval(mins => $2) AS at) moment""",
        job,
        minutes,
        status,
    )


async def agrees(database: Database, worker: Worker) -> bool:
    at = datetime.now(UTC)
    return worker.told(at) == await counted(database, at)


async def test_what_stands_in_the_snapshot_already_is_not_counted_again_when_it_is_heard_of(
    database: Database, sources: list[Writer]
) -> None:
    worker = await Worker.started(database)
    await ended(sources, "long-ago", 30)
    await worker.live.rebuild()
    await worker.hear()
    assert await agrees(database, worker)
    assert worker.live.counts["rebuilds"] == 2


async def test_new_jobs_and_those_known_one_by_one_are_counted_without_reading_everything_anew(
    database: Database, sources: list[Writer]
) -> None:
    worker = await Worker.started(database)
    await ended(sources, "just-now", 1)
    await worker.hear()
    await sources[0].connection.execute("UPDATE monitor.jobs SET status = 'pending', completed_at = NULL")
    await worker.hear()
    assert await agrees(database, worker)
    assert worker.live.counts["rebuilds"] == 1


async def test_a_job_of_today_that_ended_long_ago_and_lives_again_makes_the_sums_doubtful(
    database: Database, sources: list[Writer]
) -> None:
    await ended(sources, "long-ago", 30)
    worker = await Worker.started(database)
    await sources[0].connection.execute("UPDATE monitor.jobs SET status = 'pending', completed_at = NULL")
    while not (await worker.follower.look()).events:
        pass
    await worker.live.hear()
    assert not worker.live.sound
    await worker.live.rebuild()
    assert worker.live.sound
    assert await agrees(database, worker)


async def test_beyond_a_bound_jobs_that_ended_are_a_part_of_the_sums_sooner(
    database: Database, sources: list[Writer]
) -> None:
    worker = await Worker.started(database, Bounds(ended=2))
    for number in range(4):
        await ended(sources, f"job-{number}", number)
        await worker.hear()
    assert worker.live.jobs is not None
    assert len(worker.live.jobs.ended) == 2
    assert await agrees(database, worker)
    await sources[0].connection.execute("UPDATE monitor.jobs SET status = 'completed' WHERE job_id = 'job-0'")
    await worker.hear()
    assert worker.live.counts["rebuilds"] == 2
    assert await agrees(database, worker)


async def test_jobs_on_their_way_are_no_difference(database: Database, sources: list[Writer]) -> None:
    worker = await Worker.started(database)
    await ended(sources, "on-its-way", 0)
    await worker.follower.look()
    assert await worker.live.compare()
    await worker.hear()
    assert await worker.live.compare()
    assert await agrees(database, worker)


async def test_a_gap_in_the_ledger_is_bridged_by_reading_everything_anew(
    database: Database, sources: list[Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_KEPT", 2)
    worker = await Worker.started(database)
    for number in range(5):
        await ended(sources, f"job-{number}", 0)
        await worker.follower.look()
    async with database.transaction() as connection:
        await prune_events(connection, seconds=3600, most=1, limit=100)
    await worker.hear()
    assert worker.live.counts["rebuilds"] > 1
    assert await agrees(database, worker)


async def test_of_a_crowd_single_jobs_are_known_as_soon_as_there_is_room(
    database: Database, sources: list[Writer]
) -> None:
    await sources[0].connection.execute(
        """INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at)
        SELECT n, 'pgqueuer', 'w', 'W', 'pending', 'pending', now() - make_interval(secs => 100 - n)
        FROM generate_series(1, 10) n"""
    )
    worker = await Worker.started(database, Bounds(open=4))
    jobs = worker.live.jobs
    assert jobs is not None
    assert (sorted(jobs.pending), jobs.crowd, jobs.thin) == (["1", "2", "3", "4"], 6, False)
    await sources[0].connection.execute(
        "UPDATE monitor.jobs SET status = 'cancelled' WHERE job_id IN ('1', '2', '3', '9')"
    )
    await worker.hear()
    assert (jobs.crowd, jobs.thin) == (5, True)
    assert await agrees(database, worker)


async def test_the_sum_of_environments_is_what_somebody_sees_who_sees_those(
    database: Database, sources: list[Writer]
) -> None:
    for number, environment in enumerate(("a", "a", "b", "c")):
        await sources[0].connection.execute(
            """INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, environment, status, raw_status,
            created_at) VALUES ($1, 'report', 'w', 'W', $2, 'pending', 'pending', now())""",
            str(number),
            environment,
        )
    worker = await Worker.started(database)
    jobs, at = worker.live.jobs, datetime.now(UTC)
    assert jobs is not None
    for environments, depth in ((None, 4), ({"a"}, 2), ({"a", "c"}, 3), (set(), 0), ({"nowhere"}, 0)):
        seen = Scope(None if environments is None else frozenset(environments))
        fleet = LiveFleet(jobs, (), {}, seen, None, at=at, as_of=at, stale=False, offline_after=60)
        assert fleet.queue.pending == fleet.today.total == fleet.waiting["w"] == depth


async def test_a_value_that_was_refused_before_leaves_no_transaction_in_the_way_of_a_snapshot(
    database: Database, sources: list[Writer]
) -> None:
    worker = await Worker.started(database)
    for value in (5, "a\0"):
        with pytest.raises(UnstorableValue):
            await database.fetch(Query("refused", "SELECT :value::text"), {"value": value})
        await worker.live.rebuild()
