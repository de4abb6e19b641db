"""A thousand who are cut off at once, and who come back at once."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import psutil
import pytest
from cutting_proxy import cut
from live_server import Client, LiveServer, has_begun, serving_live, task_names
from redis_server import until

from datasources.events import Position
from datasources.settings import Settings
from graph.transports.messages import pong
from subscriptions.cursor import write_cursor

pytestmark = pytest.mark.slow

MANY = 1000
PATIENCE = 60.0
QUERY = "subscription ($after: String) { jobUpdates(after: $after) { cursor jobId } }"
TOLD = re.compile(rb'"cursor":"([^"]+)","jobId":"([^"]+)"')
UPGRADE = (
    b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
POST = (
    "POST /graphql HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
    "Content-Length: %d\r\n\r\n%s"
)


class Visitor:
    """A subscriber who looks only for what it is told, in whatever bytes it comes."""

    def __init__(self, server: LiveServer, transport: str, cursor: str) -> None:
        self._port = int(server.http.rpartition(":")[2])
        self._transport = transport
        self._cursor = cursor

    async def come(self) -> None:
        """Connect, and subscribe behind what was told last."""
        self._heard = bytearray()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        payload = {"query": QUERY, "variables": {"after": self._cursor}}
        if self._transport == "stream":
            body = json.dumps(payload)
            self._writer.write((POST % (len(body), body)).encode())
            return
        self._writer.write(UPGRADE)
        await self._reader.readuntil(b"\r\n\r\n")
        self._say({"type": "connection_init"})
        self._say({"type": "subscribe", "id": "1", "payload": payload})

    async def hear(self, count: int) -> list[str]:
        """The next jobs that it is told of."""
        while len(told := TOLD.findall(self._heard)) < count:
            chunk = await self._reader.read(1 << 16)
            assert chunk, self._heard
            self._heard += chunk
        self._heard.clear()
        self._cursor = told[-1][0].decode()
        return [job.decode() for _, job in told]

    def cut(self) -> None:
        """Lose the connection."""
        cut(self._writer)

    def _say(self, message: object) -> None:
        text = json.dumps(message).encode()
        self._writer.write(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)  # masked with zeros


@pytest.fixture(params=["socket", "stream"])
def transport(request: pytest.FixtureRequest) -> str:
    """WebSocket, and Server-Sent Events."""
    transport: str = request.param
    return transport


@pytest.fixture
def server(dsn: str) -> Iterator[LiveServer]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8 * MANY)), hard))
    with serving_live(dsn) as server:
        yield server
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def crowd(server: LiveServer, transport: str) -> AsyncIterator[list[Visitor]]:
    """Subscribers from the beginning, all of whom know of the first job."""
    (ledger,) = await asyncio.to_thread(server.sql, "SELECT identity FROM monitor.ledger")
    cursor = write_cursor(ledger["identity"], Position(0))
    await asyncio.to_thread(server.new_jobs, 1)
    visitors = [Visitor(server, transport, cursor) for _ in range(MANY)]
    async with asyncio.timeout(PATIENCE):
        assert await come(visitors, 1) == [["j0"]] * MANY
    try:
        yield visitors
    finally:
        for visitor in visitors:
            visitor.cut()


async def come(visitors: list[Visitor], count: int) -> list[list[str]]:
    """Let all of them come at once, and hear so much each."""
    await asyncio.gather(*(visitor.come() for visitor in visitors))
    return await asyncio.gather(*(visitor.hear(count) for visitor in visitors))


def nobody(server: LiveServer) -> bool:
    """Whether nobody is there any more."""
    traffic = server.traffic
    return traffic.open_sockets == traffic.open_streams == traffic.open_operations == 0


def tasks() -> int:
    """How many there are in all the loops of this process."""
    return len(task_names())


async def test_a_thousand_who_are_cut_off_at_once_come_back_and_miss_nothing(
    server: LiveServer, transport: str
) -> None:
    async with crowd(server, transport) as visitors, asyncio.timeout(PATIENCE):
        for visitor in visitors:
            visitor.cut()
        await asyncio.to_thread(server.new_jobs, 2, first=1)
        began = time.monotonic()
        assert await come(visitors, 2) == [["j1", "j2"]] * MANY
        print(f"{MANY} came back in {time.monotonic() - began:.2f} s")
        await asyncio.to_thread(server.new_jobs, 1, first=3)
        assert await asyncio.gather(*(visitor.hear(1) for visitor in visitors)) == [["j3"]] * MANY


async def test_a_thousand_abrupt_ends_leave_nothing_behind(server: LiveServer, transport: str) -> None:
    await until(has_begun)
    process = psutil.Process()
    files, running = process.num_fds() + Settings().pool_size, tasks()
    async with crowd(server, transport):
        assert server.traffic.open_operations == MANY
    began = time.monotonic()
    await until(partial(nobody, server))
    print(f"nobody is there after {time.monotonic() - began:.2f} s", end=", ")
    await until(lambda: process.num_fds() <= files)
    print(f"no connection after {time.monotonic() - began:.2f} s", end=", ")
    await until(lambda: tasks() <= running)
    print(f"no task after {time.monotonic() - began:.2f} s")


def test_who_introduces_itself_while_the_server_is_busy_is_heard(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    thinking = threading.Event()

    def think(_: object) -> bytes:
        thinking.set()
        time.sleep(1)
        return pong(None)

    monkeypatch.setattr("graph.transports.websocket._INIT_WAIT", 0.5)
    monkeypatch.setattr("graph.transports.websocket.pong", think)
    with Client(f"{server.ws}/graphql") as busy, Client(f"{server.ws}/graphql") as newcomer:
        busy.say({"type": "ping"})
        assert thinking.wait(PATIENCE)
        newcomer.introduce()
