"""The doorbell: it rings for whoever commits, and nobody's commit waits for it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from ledger_scenes import Connect

from subscriptions.doorbell import Doorbell

_EVENT = "INSERT INTO monitor.events (kind, environment, status) VALUES ('job', 'default', 'pending')"
_ROBOT = "INSERT INTO monitor.robots (robot_id, hostname) VALUES ('robot', 'host')"


class Rings:
    """What a doorbell rang for, one by one."""

    def __init__(self) -> None:
        self._rung: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, what: str) -> None:
        self._rung.put_nowait(what)

    async def next(self) -> str:
        async with asyncio.timeout(10):
            return await self._rung.get()

    async def until(self, last: str) -> list[str]:
        rung = [await self.next()]
        while rung[-1] != last:
            rung.append(await self.next())
        return rung


@pytest.fixture
async def rings(dsn: str) -> AsyncIterator[Rings]:
    """A doorbell that listens by now."""
    rings = Rings()
    listening = asyncio.create_task(Doorbell(dsn, rings).run())
    assert await rings.until("robots")
    yield rings
    listening.cancel()
    await asyncio.wait([listening])


@pytest.fixture
async def writer(connect: Connect) -> asyncpg.Connection:
    return await connect()


async def test_it_rings_for_transitions_and_for_robots(rings: Rings, writer: asyncpg.Connection) -> None:
    await writer.execute(_EVENT)
    assert await rings.next() == "events"
    await writer.execute("BEGIN; SET monitor.backfill = on; " + _ROBOT + "; COMMIT")
    assert set(await rings.until("robots")) <= {"events", "robots"}


async def test_it_rings_again_a_moment_later(rings: Rings, writer: asyncpg.Connection) -> None:
    await writer.execute(_EVENT)
    assert [await rings.next(), await rings.next()] == ["events", "events"]


async def test_it_does_not_ring_for_what_is_rolled_back(rings: Rings, writer: asyncpg.Connection) -> None:
    await writer.execute(f"BEGIN; {_EVENT}; ROLLBACK")
    await writer.execute("SELECT pg_notify('monitor', 'afterwards')")
    assert await rings.next() == "afterwards"


async def test_a_transaction_that_stays_open_keeps_nobody_else_from_ringing(
    rings: Rings, writer: asyncpg.Connection, connect: Connect
) -> None:
    other = await connect()
    async with other.transaction():
        await other.execute(_EVENT)
        await writer.execute(_EVENT)
        assert await rings.next() == "events"


async def test_who_commits_while_another_rings_neither_waits_nor_rings(
    rings: Rings, writer: asyncpg.Connection, connect: Connect
) -> None:
    ringing = await connect()
    async with ringing.transaction():
        await ringing.execute(f"SET CONSTRAINTS ALL IMMEDIATE; {_EVENT}")
        await asyncio.wait_for(writer.execute(_EVENT), 10)
        await writer.execute("SELECT pg_notify('monitor', 'afterwards')")
        assert await rings.next() == "afterwards"
    assert "events" in await rings.until("events")
