"""What is kept for a scope is there for as long as somebody looks through it, and the same for all who do."""

from __future__ import annotations

import asyncio
import gc

from live_server import LiveServer

from datasources.postgres import Database
from datasources.scope import Scope
from datasources.settings import Settings
from subscriptions.feed import Feed
from subscriptions.follower import Follower
from subscriptions.live import Live

OPEN, SECRET = Scope(frozenset({"open"})), Scope(frozenset({"secret"}))


def readings() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks()} & {"robots", "queue"}


async def test_those_of_the_same_scope_share_a_sight_whatever_else_they_may_see(database: Database, dsn: str) -> None:
    live = Live(database, dsn, Settings())
    sight = live.seen_by(OPEN)
    assert live.seen_by(Scope(frozenset({"open"}), masked=True)) is sight
    assert live.seen_by(SECRET) is not sight
    assert live.seen_by(Scope(masked=True)) is live.everything


async def test_a_sight_is_read_while_it_is_watched_and_forgotten_afterwards(database: Database, dsn: str) -> None:
    live = Live(database, dsn, Settings())
    async with live.seen_by(OPEN).robots.watching(), live.seen_by(SECRET).queue.watching():
        assert readings() == {"robots", "queue"}
    async with asyncio.timeout(10):
        while readings():  # noqa: ASYNC110  # there is no event for the end of somebody else's task
            await asyncio.sleep(0.01)
    gc.collect()
    assert list(live._sights.values()) == [live.everything]


async def test_many_scopes_take_turns_at_the_database(database: Database, dsn: str) -> None:
    live = Live(database, dsn, Settings())
    sights = [live.seen_by(Scope(frozenset({f"environment-{number}"}))) for number in range(20)]
    async with live._turns.robots:
        waiting = [asyncio.create_task(sight.robots.refresh()) for sight in sights]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
    await asyncio.gather(*waiting)
    assert all(sight.robots.read_at is not None for sight in sights)


async def test_a_collector_that_has_just_begun_does_not_take_back_what_sql_has_said(
    database: Database, dsn: str
) -> None:
    live = Live(database, dsn, Settings())
    sight, follower = live.everything, Follower(database, await Feed.at_end(database))
    await asyncio.gather(live.collector.live_jobs.begin(follower), sight.robots.refresh(), live.reported.refresh())
    server = LiveServer("", dsn)
    await asyncio.to_thread(server.new_jobs, 3)
    depths, moments = [], []

    async def read() -> None:
        await sight.queue.refresh()
        depths.append(sum(queue.pending for _, queue in sight.queue.since(0)))
        moments.append(sight.queue.as_of)

    await read()
    live.collector._begun.set()
    assert live.collector.get_queue_depth() == 0
    await read()
    await asyncio.to_thread(server.new_jobs, 1, first=3)
    await follower.look()
    await live.collector.live_jobs.hear()
    await read()
    assert depths == [3, 3, 4]
    assert moments == sorted(moments)
    assert sight._in_memory
