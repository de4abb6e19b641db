"""Schedules of concurrent transactions that write to the ledger, or only near it, and feeds that look meanwhile.

A schedule is a list of steps, each of which is done before the next begins: what fails can be shrunk and repeated.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from datasources.events import EventRow, Position
from datasources.postgres import Database
from subscriptions import feed as feeding
from subscriptions.feed import Feed
from subscriptions.follower import Delivered

Connect = Callable[[], Awaitable[asyncpg.Connection]]

_INSERT = """
INSERT INTO monitor.events (kind, job_id, environment, status) SELECT 'job', $1, 'default', 'pending'
FROM generate_series(1, $2) RETURNING seq"""
_RESTART = """
TRUNCATE monitor.events RESTART IDENTITY;
UPDATE monitor.ledger SET pruned = 0"""


class Writer:
    """One connection and its open transaction."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.drawn: set[int] = set()
        self.jobs: set[str] = set()

    async def begin(self) -> None:
        if not self._connection.is_in_transaction():
            await self._connection.execute("BEGIN")

    async def write_elsewhere(self) -> None:
        await self.begin()
        await self._connection.execute("SELECT pg_current_xact_id()")

    async def draw(self, numbers: int) -> None:
        await self.begin()
        await self._connection.execute(
            "SELECT nextval('monitor.events_seq_seq') FROM generate_series(1, $1::int)", numbers
        )

    async def write(self, job: str, events: int) -> None:
        await self.begin()
        self.drawn |= {row["seq"] for row in await self._connection.fetch(_INSERT, job, events)}
        self.jobs.add(job)

    async def write_and_undo(self, job: str, events: int) -> None:
        await self.begin()
        await self._connection.execute("SAVEPOINT before")
        await self._connection.fetch(_INSERT, job, events)
        await self._connection.execute("ROLLBACK TO before")

    async def age(self, hours: int) -> None:
        """Make what the ledger has so much older."""
        await self._connection.execute("UPDATE monitor.events SET at = at - make_interval(hours => $1)", hours)

    async def end(self, how: str) -> set[int]:
        """Commit or roll back; gives the numbers that can be seen now."""
        if self._connection.is_in_transaction():
            await self._connection.execute(how)
        drawn, self.drawn, self.jobs = self.drawn, set(), set()
        return drawn if how == "COMMIT" else set()

    async def restart_ledger(self) -> None:
        await self._connection.execute(_RESTART)


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
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
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
        assert batch.after == self.feed.position
        for row in batch.events:
            assert not before.covers(row.seq)
            self.events.append(row)
            self.positions.append(Delivered(row, before, batch.after).position)
            assert self.positions[-1].covers(row.seq)
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
