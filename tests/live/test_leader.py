"""One worker of many leads, and another goes on when it is stopped, killed, frozen or cut off."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest
from redis_server import until

from subscriptions.leader import LEDGER, Leadership

_CANDIDATE = """
import asyncio, sys
from subscriptions.leader import Leadership

async def main(dsn):
    leadership = Leadership(dsn)
    await leadership.start()
    for held in (True, False) * 3:
        await leadership.turned(held)
        print("leads" if held else "follows", flush=True)

asyncio.run(main(sys.argv[1]))
"""


@asynccontextmanager
async def candidates(dsn: str, count: int, key: int = LEDGER) -> AsyncIterator[list[Leadership]]:
    async with AsyncExitStack() as stack:
        standing = [Leadership(dsn, key) for _ in range(count)]
        for leadership in standing:
            await leadership.start()
            stack.push_async_callback(leadership.stop)
        yield standing


@asynccontextmanager
async def leading_process(dsn: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _CANDIDATE, dsn, stdout=PIPE)
    try:
        assert await said(process) == "leads"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), 10)


async def said(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


async def end_session(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted", timeout=10
        )
    finally:
        await connection.close(timeout=5)


def leaders(standing: list[Leadership]) -> int:
    return sum(leadership.held for leadership in standing)


async def test_of_many_one_leads(dsn: str) -> None:
    async with candidates(dsn, 4) as standing:
        await until(lambda: leaders(standing) == 1)
        followers = [leadership for leadership in standing if not leadership.held]
        asked_again = asyncio.gather(*(asyncio.wait_for(follower.turned(True), 2.5) for follower in followers))
        with pytest.raises(TimeoutError):
            await asked_again
        assert leaders(standing) == 1


async def test_whoever_stops_hands_over(dsn: str) -> None:
    async with candidates(dsn, 2) as standing:
        await until(lambda: leaders(standing) == 1)
        first = next(leadership for leadership in standing if leadership.held)
        await first.stop()
        assert not first.held
        await until(lambda: leaders(standing) == 1)


async def test_a_leader_whose_session_ends_knows_it_and_somebody_leads_again(dsn: str) -> None:
    async with candidates(dsn, 2) as standing:
        await until(lambda: leaders(standing) == 1)
        first = next(leadership for leadership in standing if leadership.held)
        lost = asyncio.create_task(first.turned(False))
        await end_session(dsn)
        await asyncio.wait_for(lost, 10)
        await until(lambda: leaders(standing) == 1)


async def test_another_goes_on_when_the_leader_is_killed(dsn: str) -> None:
    async with leading_process(dsn) as process, candidates(dsn, 1) as (heir,):
        process.send_signal(signal.SIGKILL)
        await asyncio.wait_for(heir.turned(True), 10)


@pytest.mark.slow
async def test_another_goes_on_when_the_leader_freezes_and_the_old_one_finds_that_out(dsn: str) -> None:
    async with leading_process(dsn) as process:
        os.kill(process.pid, signal.SIGSTOP)
        async with candidates(dsn, 1) as (heir,):
            await asyncio.wait_for(heir.turned(True), 15)
            os.kill(process.pid, signal.SIGCONT)
            assert await said(process) == "follows"
            assert heir.held


async def test_different_keys_have_leaders_of_their_own(dsn: str) -> None:
    async with candidates(dsn, 1) as (one,), candidates(dsn, 1, key=1) as (other,):
        await until(lambda: one.held and other.held)


async def test_a_database_that_is_away_is_no_leader() -> None:
    async with candidates("postgresql://nobody@127.0.0.1:1/nothing", 1) as (leadership,):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(leadership.turned(True), 0.5)
        assert not leadership.held


@pytest.mark.parametrize(
    ("error", "level"), [(asyncpg.InternalClientError("strange"), "WARNING"), (RuntimeError("unforeseen"), "ERROR")]
)
async def test_whatever_happens_to_a_candidate_it_stands_again(
    dsn: str, error: Exception, level: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve, terms = Leadership._serve, iter([error])

    async def stumble_once(leadership: Leadership) -> None:
        for stumble in terms:
            raise stumble
        await serve(leadership)

    monkeypatch.setattr(Leadership, "_serve", stumble_once)
    async with candidates(dsn, 1) as (leadership,):
        await asyncio.wait_for(leadership.turned(True), 10)
    assert [record.levelname for record in caplog.records if record.levelname != "INFO"] == [level]
