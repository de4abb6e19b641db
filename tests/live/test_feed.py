"""The feed against real concurrent transactions, in schedules of hypothesis's choice.

A schedule is a list of steps, each of which is done before the next begins: what fails can be shrunk and repeated.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from conftest import Connect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_writers import Writer

from datasources.events import EventRow, Position
from datasources.postgres import Database
from subscriptions import feed as feeding
from subscriptions.feed import Feed

WRITERS = 4
Step = tuple[str, int, int]

_writers = st.integers(0, WRITERS - 1)
_counts = st.integers(1, 4)
_jobs = st.integers(0, 2)
steps = st.one_of(
    st.tuples(st.sampled_from(["write", "undo"]), _writers, _jobs),
    st.tuples(st.sampled_from(["draw", "bulk"]), _writers, _counts),
    st.tuples(st.sampled_from(["touch", "commit", "commit", "roll back"]), _writers, st.just(0)),
    st.tuples(st.sampled_from(["look", "look once", "pass on"]), st.integers(0, 2), st.just(0)),
)
schedules = st.lists(steps, min_size=8, max_size=60)
thorough = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Observer:
    """A feed with all it has delivered, checked against what was committed since it began."""

    def __init__(self, database: Database, position: Position, seen_before: set[int]) -> None:
        self._database = database
        self.feed = Feed(position)
        self.seen_before = set(seen_before)
        self.events: list[EventRow] = []
        self.positions = [position]

    async def look_once(self) -> feeding.Batch:
        before = self.feed.position
        batch = await self.feed.look(self._database)
        assert batch.before == before
        assert batch.after == self.feed.position or not batch.events
        for row, position in zip(batch.events, batch.positions, strict=True):
            assert not before.covers(row.seq)
            self.events.append(row)
            self.positions.append(position)
            assert position.covers(row.seq)
        return batch

    async def look(self, committed: set[int]) -> None:
        """Look, and have everything that is committed by now, whoever is still at it."""
        while (await self.look_once()).full:
            pass
        numbers = [row.seq for row in self.events]
        assert len(numbers) == len(set(numbers))
        assert set(numbers) == committed - self.seen_before
        for job in {row.job_id for row in self.events}:
            of_job = [row.seq for row in self.events if row.job_id == job]
            assert of_job == sorted(of_job)
        assert all(self.feed.position.covers(number) for number in committed)


class Scene:
    """Writers and strangers with their open transactions, and feeds that look at the ledger meanwhile."""

    def __init__(self, database: Database, writers: Sequence[Writer]) -> None:
        self._database = database
        self.writers = writers
        self.committed: set[int] = set()
        self.observers = [Observer(database, Position(0), set()) for _ in range(2)]

    async def do(self, step: Step) -> None:
        what, which, number = step
        match what:
            case "look":
                await (await self.observer(which)).look(self.committed)
            case "look once":
                await (await self.observer(which)).look_once()
            case "write" | "undo":
                # Whoever writes of a job holds its row: another's transaction waits, and never gets in between.
                job = f"job-{number}"
                if any(job in other.jobs for other in self.writers if other is not self.writers[which]):
                    job = f"job of {which}"
                act = self.writers[which].write if what == "write" else self.writers[which].write_and_undo
                await act(job, 1)
            case "bulk":
                await self.writers[which].write(f"job of {which}", number)
            case "draw":
                await self.writers[which].draw(number)
            case "touch":
                await self.writers[which].write_elsewhere()
            case "commit":
                self.committed |= await self.writers[which].end("COMMIT")
            case "roll back":
                await self.writers[which].end("ROLLBACK")

    async def observer(self, which: int) -> Observer:
        if which == len(self.observers):
            late = await Feed.at_end(self._database)
            self.observers.append(Observer(self._database, late.position, self.committed))
        return self.observers[which]


@pytest.fixture
async def writers(connect: Connect) -> list[Writer]:
    return [Writer(await connect()) for _ in range(WRITERS + 2)]


@asynccontextmanager
async def played(database: Database, writers: list[Writer], schedule: list[Step]) -> AsyncIterator[Scene]:
    """The scene after a schedule that began with an empty ledger and two strangers' open transactions."""
    *_, elsewhere, drawer = writers
    await elsewhere.restart_ledger()
    scene = Scene(database, writers[:WRITERS])
    try:
        await elsewhere.write_elsewhere()
        await drawer.draw(1)
        for step in schedule:
            await scene.do(step)
        yield scene
    finally:
        for writer in writers:
            await writer.end("ROLLBACK")


@given(schedule=schedules, batch=st.sampled_from([1, 2, 3, 1000]))
@thorough
async def test_what_is_committed_is_delivered_once_in_order_by_the_next_look_and_gaps_are_forgotten(
    database: Database, writers: list[Writer], monkeypatch: pytest.MonkeyPatch, schedule: list[Step], batch: int
) -> None:
    monkeypatch.setattr(feeding, "BATCH", batch)
    async with played(database, writers, schedule) as scene:
        for observer in scene.observers:
            await observer.look(scene.committed)
        for writer in scene.writers:
            scene.committed |= await writer.end("COMMIT")
        await writers[-1].end("ROLLBACK")
        # The stranger that wrote elsewhere is still at it.
        for observer in scene.observers:
            for _ in range(3):
                await observer.look(scene.committed)
            assert observer.feed.position.gaps == ()
