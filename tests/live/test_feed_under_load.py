"""Eight writers at once, and somebody who loses the connection two hundred times meanwhile."""

import asyncio
import random
from collections import defaultdict
from itertools import count

import asyncpg
import pytest
from ledger_scenes import Connect

from datasources.events import Position
from datasources.postgres import Database
from subscriptions.cursor import read_cursor, write_cursor
from subscriptions.feed import Feed
from subscriptions.follower import Delivered, Follower, Missed

WRITERS = 8
CUTS = 200
_LIFE = ("pending", "claimed", "completed")
_JOB = """
INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at)
VALUES ($1, 'report', 'workflow', 'workflow', 'pending', 'pending', now())"""


async def write(connection: asyncpg.Connection, writer: int, enough: asyncio.Event) -> None:
    """Take jobs through their lives, one transition or several in a transaction, some of which come to nothing."""
    choice = random.Random(writer)
    for number in count():
        if enough.is_set():
            return
        job, stages = f"job-{writer}-{number // 3}", _LIFE[number % 3 :][: choice.randint(1, 3)]
        transaction = connection.transaction()
        await transaction.start()
        for status in stages:
            if status == "pending":
                await connection.execute(f"{_JOB} ON CONFLICT DO NOTHING", job)
            else:
                await connection.execute("UPDATE monitor.jobs SET status = $2 WHERE job_id = $1", job, status)
            await asyncio.sleep(choice.choice([0, 0, 0, 0.002, 0.02]))
        await (transaction.rollback() if choice.random() < 0.2 else transaction.commit())
        await asyncio.sleep(choice.uniform(0, 0.02))


async def keep_looking(follower: Follower, seed: int) -> None:
    choice = random.Random(seed)
    while True:
        while (await follower.look()).full:
            pass
        await asyncio.sleep(choice.uniform(0, 0.05))


class Watcher:
    """Somebody who comes back to either worker with the last cursor."""

    def __init__(self, followers: list[Follower], position: Position) -> None:
        self._followers = followers
        self._cursor = write_cursor("0123456789ab", position)
        self._choice = random.Random(7)
        self.events: list[tuple[int, str | None]] = []

    async def watch(self, most: int) -> None:
        """Take up to so many events, and be cut off."""
        follower = self._choice.choice(self._followers)
        _, position = read_cursor(self._cursor)
        assert await follower.reach(position)
        trail, here = follower.trail(), follower.position
        async for item in follower.between(position, here):
            self._take(item)
            most -= 1
            if most <= 0:
                return
        while most > 0:
            self._take(await anext(trail))
            most -= 1

    def _take(self, item: Delivered | Missed) -> None:
        assert isinstance(item, Delivered)
        self.events.append((item.event.seq, item.event.job_id))
        self._cursor = write_cursor("0123456789ab", item.position)


@pytest.mark.slow
async def test_whoever_is_cut_off_two_hundred_times_gets_every_committed_event_once_and_in_order_of_its_job(
    database: Database, connect: Connect
) -> None:
    stranger = await connect()
    await stranger.execute("BEGIN; SELECT pg_current_xact_id()")
    start = await Feed.at_end(database)
    followers = [Follower(database, Feed(start.position)) for _ in range(2)]
    watcher = Watcher(followers, start.position)
    choice, enough = random.Random(3), asyncio.Event()
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        looking = [tasks.create_task(keep_looking(follower, seed)) for seed, follower in enumerate(followers)]
        writing = [tasks.create_task(write(await connect(), writer, enough)) for writer in range(WRITERS)]
        for _ in range(CUTS):
            await watcher.watch(choice.randint(1, 20))
        enough.set()
        await asyncio.wait(writing)
        events = await stranger.fetchval("SELECT count(*) FROM monitor.events")
        await watcher.watch(events - len(watcher.events))
        for task in looking:
            task.cancel()
    committed = {row["seq"] for row in await stranger.fetch("SELECT seq FROM monitor.events")}
    numbers = [seq for seq, _ in watcher.events]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) == committed
    of_job = defaultdict(list)
    for seq, job in watcher.events:
        of_job[job].append(seq)
    assert all(seqs == sorted(seqs) for seqs in of_job.values())
    for follower in followers:
        for _ in range(3):
            await follower.look()
        assert follower.position == Position(max(committed))
