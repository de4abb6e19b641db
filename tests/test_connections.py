"""The connections of a pool: whatever becomes of those who wait for one or hold one, none is lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from random import Random
from typing import Any

import asyncpg
import pytest

from datasources.postgres import Database, UnstorableValue, UpstreamError, UpstreamUnavailable
from datasources.scope import Scope
from datasources.settings import Settings

_SIZE = 3
_OURS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'casare-monitor'"


class _Refused(Exception):
    """What somebody who holds a connection thinks better of."""


async def _visit(database: Database, chance: Random) -> None:
    """Hold a connection for a moment, in one of the ways there are, with one of the ends there are."""
    match chance.randint(0, 5):
        case 0:
            async with database.connection() as connection:
                await connection.fetch("SELECT pg_sleep($1)", chance.random() / 100)
        case 1:
            async with database.connection() as connection:
                await connection.fetch("SELECT 1 / $1::int", 0)
        case 2:
            async with database.transaction() as connection:
                await connection.fetch("SELECT pg_sleep($1)", chance.random() / 100)
                raise _Refused
        case 3:
            async with database.transaction() as connection:
                await connection.fetch("SELECT nothing_of_that_name()")
        case 4:
            async with database.connection() as connection:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        case _:
            async with database.scoped(Scope(frozenset({"blue"}))).transaction() as connection:
                await connection.fetch("SELECT 1")


async def _crowd(database: Database, chance: Random) -> None:
    """Many come at once, and some go before it is their turn, or while they hold a connection."""
    visits = [asyncio.create_task(_visit(database, chance)) for _ in range(60)]
    for visit in visits:
        if chance.random() < 0.5:
            asyncio.get_running_loop().call_later(chance.random() / 30, visit.cancel)
    for outcome in await asyncio.gather(*visits, return_exceptions=True):
        expected = (_Refused, UpstreamError, UnstorableValue, asyncpg.PostgresError, asyncio.CancelledError)
        assert outcome is None or isinstance(outcome, expected), outcome


async def _take(database: Database, number: int) -> None:
    """Hold so many connections at the same time, of which each works."""
    async with AsyncExitStack() as held:
        for _ in range(number):
            connection = await held.enter_async_context(database.connection())
            assert await connection.fetchval("SELECT 1") == 1


async def _opened(dsn: str, **given: Any) -> Database:
    database = Database(dsn, Settings(**{"pool_size": _SIZE, "connect_timeout_seconds": 20, **given}))
    await database.open()
    return database


@pytest.mark.parametrize("seed", range(8))
async def test_no_connection_is_lost_in_a_crowd(empty_dsn: str, seed: int) -> None:
    database = await _opened(empty_dsn)
    try:
        async with asyncio.timeout(60):
            for turn in range(3):
                await _crowd(database, Random(f"{seed}.{turn}"))
                await _take(database, _SIZE)
        observer = await asyncpg.connect(empty_dsn, timeout=10)
        try:
            assert len(await observer.fetch(_OURS)) <= _SIZE
        finally:
            await observer.close(timeout=5)
    finally:
        await database.close()


async def test_no_more_connections_than_allowed_are_held_at_once(empty_dsn: str) -> None:
    database = await _opened(empty_dsn, connect_timeout_seconds=0.5)
    try:
        with pytest.raises(UpstreamUnavailable):
            await _take(database, _SIZE + 1)
        await _take(database, _SIZE)
    finally:
        await database.close()


async def test_who_waits_has_its_turn_when_the_one_before_gave_up_while_it_was_connecting(empty_dsn: str) -> None:
    database = await _opened(empty_dsn, pool_size=1)
    try:
        first = asyncio.create_task(_take(database, 1))
        await asyncio.sleep(0)
        second = asyncio.create_task(_take(database, 1))
        await asyncio.sleep(0)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        async with asyncio.timeout(10):
            await second
    finally:
        await database.close()


async def test_who_was_handed_a_connection_and_goes_hands_it_on(empty_dsn: str) -> None:
    database = await _opened(empty_dsn, pool_size=1)
    try:
        async with database.connection():
            waiting = [asyncio.create_task(_take(database, 1)) for _ in range(3)]
            await asyncio.sleep(0)
        waiting[0].cancel()  # its turn has come, and it has not run since
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, type(None), type(None)]
    finally:
        await database.close()


async def test_a_closed_pool_lends_nothing_and_keeps_nothing(empty_dsn: str) -> None:
    database = await _opened(empty_dsn)
    other = database.scoped(Scope(frozenset({"blue"})))
    await _take(other, _SIZE)
    await database.close()
    for closed in (database, other):
        with pytest.raises(UpstreamUnavailable):
            await _take(closed, 1)
    observer = await asyncpg.connect(empty_dsn, timeout=10)
    try:
        async with asyncio.timeout(10):
            while await observer.fetch(_OURS):  # noqa: ASYNC110  # Postgres says nothing when it is done
                await asyncio.sleep(0.02)
    finally:
        await observer.close(timeout=5)
