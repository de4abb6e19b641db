"""What a worker does once for all who want it at the same time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from live_server import LiveServer

from datasources.postgres import Database, UpstreamUnavailable
from datasources.settings import Settings
from subscriptions.feed import Batch
from subscriptions.follower import Follower
from subscriptions.live import Live

MANY = 100


@pytest.fixture
async def live(database: Database, dsn: str) -> AsyncIterator[Live]:
    """One that does nothing by itself but has found the ledger."""
    live = Live(database, dsn, Settings(), collecting=False)
    following = asyncio.create_task(live._follow())
    await live.seen.wait()
    following.cancel()
    yield live
    await live.stop()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """What each reading of the ledger found."""
    found: list[Batch] = []
    look = Follower.look

    async def counted(follower: Follower) -> Batch:
        batch = await look(follower)
        found.append(batch)
        return batch

    monkeypatch.setattr(Follower, "look", counted)
    return found


async def test_many_who_want_to_know_what_is_in_the_ledger_share_a_reading(live: Live, looks: list[Batch]) -> None:
    batches = await asyncio.gather(*(live.look() for _ in range(MANY)))
    assert len(looks) <= 2
    assert all(any(batch is found for found in looks) for batch in batches)


async def test_nobody_is_given_a_reading_that_began_before_it_asked(live: Live, dsn: str) -> None:
    server, background = LiveServer("", dsn), set()
    follower = await live.follower()
    for number in range(20):
        background.update(asyncio.create_task(live.look()) for _ in range(3))
        await asyncio.sleep(0.001 * (number % 4))
        await asyncio.to_thread(server.new_jobs, 1, first=number)
        [row] = await asyncio.to_thread(server.sql, "SELECT max(seq) FROM monitor.events")
        await live.look()
        assert follower.position.high >= row["max"]
    await asyncio.gather(*background)


async def test_a_reading_that_fails_fails_for_all_who_shared_it_and_for_nobody_later(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def fail(_follower: Follower) -> Batch:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.01)
        raise UpstreamUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(Follower, "look", fail)
        outcomes = await asyncio.gather(*(live.look() for _ in range(MANY)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["away"] * MANY
    assert tries <= 2
    assert isinstance(await live.look(), Batch)


async def test_whoever_leaves_in_the_middle_of_a_reading_leaves_none_of_the_others_without(
    live: Live, looks: list[Batch]
) -> None:
    asking = [asyncio.create_task(live.look()) for _ in range(MANY)]
    await asyncio.sleep(0)
    asking[0].cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(batch, Batch) for batch in found[1:])
    assert len(looks) <= 2
