"""Followers: whoever comes back gets the rest, from memory, from the ledger or through another worker's feed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_scenes import Scene, Step, Writer, played, schedules, thorough

from datasources.events import Position, prune_events
from datasources.postgres import Database
from subscriptions import feed as feeding
from subscriptions import follower as following
from subscriptions.cursor import read_cursor, write_cursor
from subscriptions.feed import Feed
from subscriptions.follower import Delivered, Follower, Missed, Trail


async def delivered(items: AsyncIterator[Delivered | Missed]) -> list[Delivered]:
    """All of a stream that ends, in which nothing is missed."""
    found = [item async for item in items]
    assert not [item for item in found if isinstance(item, Missed)]
    return [item for item in found if isinstance(item, Delivered)]


def numbers(items: list[Delivered]) -> list[int]:
    return [item.event.seq for item in items]


async def taken(trail: Trail, count: int) -> list[Delivered | Missed]:
    async with asyncio.timeout(20):
        return [await anext(trail) for _ in range(count)]


async def rest(follower: Follower, position: Position) -> list[Delivered]:
    """What somebody gets who comes back with the cursor of this position: the backlog, and what is new."""
    _, resumed = read_cursor(write_cursor("0123456789ab", position))
    assert await follower.reach(resumed)
    trail, began = follower.trail(), follower.end
    backlog = await delivered(follower.between(resumed, follower.position))
    await catch_up(follower)
    new = await taken(trail, follower.end - began)
    return [*backlog, *(item for item in new if isinstance(item, Delivered))]


async def pruned(database: Database, most: int) -> int:
    async with database.transaction() as connection:
        return await prune_events(connection, seconds=3600, most=most, limit=100)


async def catch_up(follower: Follower) -> None:
    while (await follower.look()).full:
        pass


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "BATCH", 3)
    monkeypatch.setattr(following, "_PAGE", 2)
    monkeypatch.setattr(following, "_KEPT", 5)


@pytest.mark.slow
@given(schedule=schedules, data=st.data())
@thorough
@pytest.mark.usefixtures("small")
async def test_whoever_comes_back_at_any_place_to_another_worker_gets_exactly_the_rest(
    database: Database, writers: list[Writer], schedule: list[Step], data: st.DataObject
) -> None:
    async with played(database, writers, schedule) as scene:
        there, here = scene.observers[:2]
        await there.look(scene.committed)
        other = Follower(database, here.feed)
        cut = data.draw(st.integers(0, len(there.events)), label="cut")
        had = {event.seq for event in there.events[:cut]}
        items = await rest(other, there.positions[cut])
        assert sorted(numbers(items)) == sorted(scene.committed - had)
        again = data.draw(st.integers(0, len(items)), label="cut again")
        if again:
            had |= set(numbers(items[:again]))
            assert sorted(numbers(await rest(other, items[again - 1].position))) == sorted(scene.committed - had)


class Worker:
    """A follower that is fed by another worker's batches, of which some get lost, and looks for itself at times."""

    def __init__(self, scene: Scene, database: Database) -> None:
        self._scene = scene
        self.follower = Follower(database, Feed(Position(0)))
        self.items: list[Delivered] = []

    async def do(self, what: str, batch: feeding.Batch) -> None:
        if what == "hears":
            await self.follower.take(batch)
        elif what == "looks":
            await self.follower.look()
        for ordinal in range(len(self.items), self.follower.end):
            [item] = self.follower.recent(ordinal)
            assert item.position.covers(item.event.seq)
            self.items.append(item)
        if what == "hears":
            assert len(self.items) == len(set(numbers(self.items)))
            assert set(numbers(self.items)) >= {event.seq for event in self._scene.observers[0].events}
            assert self.follower.position.dominates(batch.after)


@pytest.mark.slow
@given(schedule=schedules, data=st.data())
@thorough
async def test_a_worker_that_hears_another_misses_and_repeats_nothing_whatever_was_lost_on_the_way(
    database: Database,
    writers: list[Writer],
    monkeypatch: pytest.MonkeyPatch,
    schedule: list[Step],
    data: st.DataObject,
) -> None:
    monkeypatch.setattr(feeding, "BATCH", 3)
    async with played(database, writers, []) as scene:
        worker = Worker(scene, database)
        leader = scene.observers[0]
        for step in schedule:
            await scene.do(step)
            if step[0] == "commit":
                batch = await leader.look_once()
                await worker.do(data.draw(st.sampled_from(["hears", "looks", "misses"])), batch)
        full = True
        while full:
            batch = await leader.look_once()
            full = batch.full
            await worker.do("hears", batch)
        assert set(numbers(worker.items)) == scene.committed
        cut = data.draw(st.integers(0, len(worker.items)), label="cut")
        position = worker.items[cut - 1].position if cut else Position(0)
        other = Follower(database, scene.observers[1].feed)
        had = set(numbers(worker.items[:cut]))
        assert sorted(numbers(await rest(other, position))) == sorted(scene.committed - had)


async def written(writer: Writer, events: int, job: str = "job") -> None:
    await writer.write(job, events)
    await writer.end("COMMIT")


@pytest.fixture
async def follower(database: Database) -> Follower:
    return Follower(database, await Feed.at_end(database))


@pytest.mark.usefixtures("small")
async def test_a_stream_that_falls_behind_what_is_in_memory_reads_the_ledger_and_comes_back(
    follower: Follower, writers: list[Writer]
) -> None:
    trail = follower.trail()
    await written(writers[0], 4)
    await catch_up(follower)
    items = await taken(trail, 2)
    for _ in range(3):
        await written(writers[0], 10)
        await writers[1].write_and_undo("job", 2)
        await writers[1].end("ROLLBACK")
        await catch_up(follower)
        items += await taken(trail, 9)
    items += await taken(trail, 5)
    found = [item for item in items if isinstance(item, Delivered)]
    assert numbers(found) == [*range(1, 15), *range(17, 27), *range(29, 39)]
    assert found[-1].position == follower.position


@pytest.mark.usefixtures("small")
async def test_a_number_that_appears_late_reaches_a_stream_which_is_catching_up(
    follower: Follower, writers: list[Writer]
) -> None:
    trail = follower.trail()
    await writers[0].write("late", 1)
    await written(writers[1], 12)
    await catch_up(follower)
    items = await taken(trail, 3)
    await writers[0].end("COMMIT")
    await written(writers[1], 1)
    await catch_up(follower)
    items += await taken(trail, 11)
    found = [item for item in items if isinstance(item, Delivered)]
    assert sorted(numbers(found)) == list(range(1, 15))


async def test_a_stream_wakes_when_something_is_delivered(follower: Follower, writers: list[Writer]) -> None:
    waiting = asyncio.create_task(taken(follower.trail(), 1))
    await asyncio.sleep(0)
    await written(writers[0], 1)
    await catch_up(follower)
    [item] = await waiting
    assert isinstance(item, Delivered)
    assert item.event.seq == 1


async def test_events_beyond_retention_are_told_as_missed_with_their_number(
    database: Database, follower: Follower, writers: list[Writer]
) -> None:
    await written(writers[0], 10)
    await catch_up(follower)
    assert await pruned(database, most=4) == 6
    missed, *others = [item async for item in follower.between(Position(2), follower.position)]
    assert missed == Missed("RETENTION", 4, Position(6))
    assert numbers([item for item in others if isinstance(item, Delivered)]) == [7, 8, 9, 10]


async def test_nothing_is_missed_by_whoever_had_all_that_was_forgotten(
    database: Database, follower: Follower, writers: list[Writer]
) -> None:
    await written(writers[0], 10)
    await catch_up(follower)
    await pruned(database, most=4)
    assert numbers(await delivered(follower.between(Position(6), follower.position))) == [7, 8, 9, 10]


async def test_numbers_that_were_rolled_back_are_not_missed(
    database: Database, follower: Follower, writers: list[Writer]
) -> None:
    await writers[0].write("undone", 3)
    await writers[0].end("ROLLBACK")
    await written(writers[0], 2)
    await catch_up(follower)
    assert numbers(await delivered(follower.between(Position(0), follower.position))) == [4, 5]


@pytest.mark.usefixtures("small")
async def test_what_is_forgotten_while_somebody_catches_up_is_told_as_missed(
    database: Database, follower: Follower, writers: list[Writer]
) -> None:
    await written(writers[0], 10)
    await catch_up(follower)
    items: list[Delivered | Missed] = []
    async for item in follower.between(Position(0), follower.position):
        items.append(item)
        if len(items) == 2:
            await pruned(database, most=3)
    assert items[2] == Missed("RETENTION", 5, Position(7))
    assert numbers([item for item in items if isinstance(item, Delivered)]) == [1, 2, 8, 9, 10]
    assert items[-1].position == follower.position


async def test_an_open_transaction_s_events_are_not_missed_when_their_neighbours_are_forgotten(
    database: Database, follower: Follower, writers: list[Writer]
) -> None:
    await writers[0].write("late", 1)
    await written(writers[1], 5)
    await catch_up(follower)
    await pruned(database, most=2)
    missed, *_ = [item async for item in follower.between(Position(0), follower.position)]
    assert missed == Missed("RETENTION", 3, Position(4, ((1, 1),)))


async def test_an_empty_ledger_that_was_pruned_goes_on_where_it_was(
    database: Database, follower: Follower, writers: list[Writer]
) -> None:
    await written(writers[0], 3)
    await pruned(database, most=0)
    assert (await Feed.at_end(database)).position == Position(3)
    await catch_up(follower)
    missed = [item async for item in follower.between(Position(0), Position(3))]
    assert missed == [Missed("RETENTION", 3, Position(3))]


async def test_a_position_beyond_the_ledger_is_not_reached(follower: Follower, writers: list[Writer]) -> None:
    await written(writers[0], 3)
    assert not await follower.reach(Position(4))
    assert await follower.reach(Position(3))


async def test_a_position_is_reached_though_its_worker_knows_of_more_numbers_that_were_rolled_back(
    follower: Follower, writers: list[Writer]
) -> None:
    await writers[0].write("undone", 1)
    await writers[0].end("ROLLBACK")
    await written(writers[1], 1)
    assert await follower.reach(Position(2))
