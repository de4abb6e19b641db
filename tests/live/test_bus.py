"""The bus between workers, in memory and over a real server that is killed, frozen and restarted."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from redis_server import RedisServer, redis_server, until

from datasources.events import EventRow, Position
from datasources.settings import Settings
from subscriptions.bus import GAP, Bus, BusRefused, decode_batch, encode_batch
from subscriptions.feed import Batch


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


class Inbox:
    """What a bus has handed over."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def __call__(self, channel: str, message: Any) -> None:
        self.messages.append(message)

    def numbers(self) -> list[int]:
        """The numbers in what was heard."""
        return [message["n"] for message in self.messages if message is not GAP]

    def gaps(self) -> int:
        """How often something may have been missed."""
        return self.messages.count(GAP)


@asynccontextmanager
async def listening(
    url: str, on_message: Callable[[str, Any], Awaitable[None] | None], *channels: str, namespace: str = "test"
) -> AsyncIterator[Bus]:
    bus = Bus(url, channels or ("events",))
    await bus.start(on_message, namespace)
    try:
        yield bus
    finally:
        await bus.stop()


@pytest.fixture(params=["memory", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    server: RedisServer = request.getfixturevalue("server")
    return server.url


async def test_messages_arrive_in_the_order_of_their_publication(url: str) -> None:
    inbox = Inbox()
    async with listening(url, inbox) as bus:
        for n in range(200):
            assert await bus.publish("events", {"n": n})
        await until(lambda: len(inbox.numbers()) == 200)
    assert inbox.numbers() == list(range(200))


async def test_channels_are_told_apart(url: str) -> None:
    heard: list[tuple[str, Any]] = []
    async with listening(url, lambda *message: heard.append(message), "events", "queue") as bus:
        await bus.publish("queue", {"n": 1})
        await bus.publish("events", {"n": 2})
        await bus.publish("unheard", {"n": 3})
        await until(lambda: len([message for _, message in heard if message is not GAP]) == 2)
    assert {(channel, message["n"]) for channel, message in heard if message is not GAP} == {
        ("queue", 1),
        ("events", 2),
    }


async def test_a_subscriber_that_raises_hears_the_next_message(url: str, caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox()

    async def on_message(channel: str, message: Any) -> None:
        inbox(channel, message)
        if message is not GAP and message["n"] == 0:
            raise RuntimeError("cannot take this one")

    async with listening(url, on_message) as bus:
        await bus.publish("events", {"n": 0})
        await bus.publish("events", {"n": 1})
        await until(lambda: inbox.numbers() == [0, 1])
        assert bus.failed == 1
    assert "cannot take this one" in caplog.text


async def test_a_subscriber_that_is_too_slow_is_told_of_a_gap_and_holds_up_no_other_channel(url: str) -> None:
    slow, quick = Inbox(), Inbox()
    go_on = asyncio.Event()

    async def on_message(channel: str, message: Any) -> None:
        if channel == "events" and message is not GAP:
            await go_on.wait()
        (slow if channel == "events" else quick)(channel, message)

    async with listening(url, on_message, "events", "queue") as bus:
        for n in range(300):
            await bus.publish("events", {"n": n})
            await bus.publish("queue", {"n": n})
            if n % 50 == 49:
                await until(lambda: len(quick.numbers()) == n + 1)  # noqa: B023  # waited for within the round
        assert slow.numbers() == []
        heard_before = slow.gaps()
        go_on.set()
        await bus.publish("events", {"n": 300})
        await until(lambda: bool(slow.numbers()) and slow.numbers()[-1] == 300)
        assert bus.overflows == 1
    assert slow.gaps() == heard_before + 1
    assert len(slow.numbers()) < 300
    assert slow.numbers() == sorted(slow.numbers())


async def test_a_bus_that_has_stopped_leaves_no_task_behind(url: str) -> None:
    before = asyncio.all_tasks()
    async with listening(url, Inbox()) as bus:
        await bus.publish("events", {"n": 1})
    await until(lambda: asyncio.all_tasks() == before)


_PUBLISHER = """
import asyncio, sys
from subscriptions.bus import Bus

async def main(url):
    bus = Bus(url, ["events"])
    await bus.start(lambda channel, message: None, "test")
    for n in range(100):
        assert await bus.publish("events", {"n": n})
    await bus.stop()

asyncio.run(main(sys.argv[1]))
"""


async def test_a_message_reaches_another_process(server: RedisServer) -> None:
    inbox = Inbox()
    async with listening(server.url, inbox):
        publisher = await asyncio.create_subprocess_exec(sys.executable, "-c", _PUBLISHER, server.url)
        assert await asyncio.wait_for(publisher.wait(), 30) == 0
        await until(lambda: len(inbox.numbers()) == 100)
    assert inbox.numbers() == list(range(100))


async def test_two_deployments_on_one_server_do_not_hear_each_other(server: RedisServer) -> None:
    ours, theirs = Inbox(), Inbox()
    async with listening(server.url, ours, namespace="ours") as bus, listening(server.url, theirs, namespace="theirs"):
        await bus.publish("events", {"n": 1})
        await until(lambda: ours.numbers() == [1])
    assert theirs.numbers() == []


async def test_a_server_that_dies_is_found_again_and_the_gap_is_told(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    async with listening(server.url, inbox) as bus:
        await bus.publish("events", {"n": 1})
        await until(lambda: inbox.numbers() == [1])
        assert inbox.messages[0] is GAP
        server.kill()
        await until(lambda: not bus.connected)
        assert not await bus.publish("events", {"n": 2})
        await asyncio.to_thread(server.start)
        await until(lambda: bus.connected)
        assert await bus.publish("events", {"n": 3})
        await until(lambda: inbox.numbers() == [1, 3])
        assert bus.unpublished == 1
    assert inbox.gaps() == 2
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_server_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    server, inbox = RedisServer(tmp_path), Inbox()
    async with listening(server.url, inbox) as bus:
        assert not bus.connected
        assert not await bus.publish("events", {"n": 1})
        await asyncio.to_thread(server.start)
        try:
            await until(lambda: bus.connected)
            assert await bus.publish("events", {"n": 2})
            await until(lambda: inbox.numbers() == [2])
        finally:
            server.kill()


@pytest.mark.slow
async def test_a_server_that_answers_nothing_is_noticed(server: RedisServer) -> None:
    inbox = Inbox()
    async with listening(server.url, inbox) as bus:
        await until(lambda: inbox.gaps() == 1)
        server.freeze()
        try:
            async with asyncio.timeout(10):
                assert not await bus.publish("events", {"n": 1})
            await until(lambda: not bus.connected)
        finally:
            server.thaw()
        await until(lambda: bus.connected)
        assert await bus.publish("events", {"n": 2})
        await until(lambda: inbox.numbers()[-1:] == [2])
        assert inbox.gaps() == 2


async def test_messages_that_are_not_ours_are_skipped(server: RedisServer) -> None:
    inbox = Inbox()
    async with listening(server.url, inbox) as bus:
        for stranger in (b"\xff\x00", b"[1, 2]", b"null", b""):
            await asyncio.to_thread(server.send, "casare:test:events", stranger)
        await bus.publish("events", {"n": 1})
        await until(lambda: inbox.numbers() == [1])
    assert inbox.messages == [GAP, {"n": 1}]


async def test_a_wrong_password_is_an_error_that_does_not_tell_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(tmp_path, password="the-right-one") as server:
        async with listening(server.url, Inbox()) as bus:
            assert bus.connected
        for url in (server.url.replace("right", "wrong"), server.url.replace(":the-right-one@", "")):
            bus = Bus(url, ["events"])
            with pytest.raises(BusRefused, match=f"redis://127.0.0.1:{server.port}/0 refuses us") as refused:
                await bus.start(Inbox())
            assert "the-wrong-one" not in str(refused.value)
    assert "the-wrong-one" not in caplog.text


@pytest.mark.parametrize("url", ["kafka://:secret@broker", "redis://:secret@host:99999/0"])
def test_a_url_that_is_no_bus_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(BusRefused) as refused:
        Bus(url, ["events"])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["kafka://:secret@broker", "redis://:sec/ret@host", "redis://:secret@", "memory://x"])
def test_a_setting_that_is_no_bus_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(bus=SecretStr(url))
    (problem,) = refused.value.errors(include_input=False)
    assert "secret" not in problem["msg"]


_names = st.none() | st.text(max_size=5)
_events = st.builds(
    EventRow,
    seq=st.just(0),
    at=st.datetimes(timezones=st.just(UTC)),
    kind=st.sampled_from(["job", "node", "robot"]),
    job_id=_names,
    robot_id=_names,
    position=st.none() | st.integers(0, 2**31 - 1),
    workflow_id=_names,
    environment=st.text(max_size=5),
    status=st.just("busy"),
    previous_status=_names,
)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Any batch that a feed can read: events in gaps and beyond, after which some gaps are forgotten."""
    before = Position(0).with_events(sorted(draw(st.sets(st.integers(1, 30), max_size=15))))
    unseen = [seq for seq in range(1, 40) if not before.covers(seq)]
    numbers = sorted(draw(st.sets(st.sampled_from(unseen), max_size=6)))
    events = [replace(draw(_events), seq=seq) for seq in numbers]
    after = before.with_events(numbers)
    kept = draw(st.sets(st.sampled_from(after.gaps))) if after.gaps else set()
    return Batch(before, events, Position(after.high, tuple(sorted(kept))))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault of a batch
@given(batches())
def test_a_batch_that_went_over_the_wire_is_the_batch(batch: Batch) -> None:
    assert decode_batch(orjson.loads(orjson.dumps(encode_batch(batch)))) == batch
