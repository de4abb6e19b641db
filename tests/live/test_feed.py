"""The feed against real concurrent transactions, in schedules of hypothesis's choice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_scenes import Step, Writer, played, schedules, thorough

from datasources.events import Position
from datasources.postgres import Database
from subscriptions import feed as feeding
from subscriptions.feed import Feed


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


async def test_a_feed_that_starts_after_a_quiet_time_gets_what_was_open_before_the_newest_event(
    database: Database, writers: list[Writer]
) -> None:
    first, second, *_ = writers
    await first.write("old", 1)
    await first.age(hours=2)
    await first.end("COMMIT")
    await first.write("late", 1)
    await second.write("newest", 1)
    await second.end("COMMIT")
    feed = await Feed.at_end(database)
    assert feed.position == Position(3, ((2, 2),))
    await first.end("COMMIT")
    assert [event.seq for event in (await feed.look(database)).events] == [2]
