"""Writers that never rest, and watchers who are cut off and come back with a cursor."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from statistics import quantiles
from typing import Any

import asyncpg
import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from worker_process import Worker

from datasources.events import Position
from subscriptions.cursor import write_cursor

LIFE = ("PENDING", "CLAIMED", "COMPLETED")
WORKFLOWS = ("invoices", "letters")
PATIENCE = 60.0  # seconds for everything that was committed to arrive

Transition = tuple[str, str]

_DOCUMENT = """
subscription Watch($after: String, $filter: JobFilter) {
  jobUpdates(after: $after, filter: $filter) { cursor jobId status previousStatus gap { reason missed } %s }
}"""
_JOB = """
INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at)
VALUES ($1, 'report', $2, $2, 'pending', 'pending', now())"""
_COMMITTED = "SELECT job_id, upper(status) AS status, workflow_id FROM monitor.events WHERE kind = 'job'"

# What asyncpg says when the server goes in the middle of it.
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Writers:
    """Take jobs through their lives, one transition or several in a transaction, some of which come to nothing."""

    def __init__(self, dsn: str, number: int = 10) -> None:
        self._dsn = dsn
        self._number = number
        self._enough = asyncio.Event()
        self.began: dict[Transition, float] = {}

    @asynccontextmanager
    async def at_it(self) -> AsyncIterator[None]:
        """They write for as long as the block lasts."""
        async with asyncio.TaskGroup() as group:
            for writer in range(self._number):
                group.create_task(self._write(writer))
            try:
                yield
            finally:
                self._enough.set()

    async def _write(self, writer: int) -> None:
        choice = random.Random(writer)
        numbers = count()
        while not self._enough.is_set():
            with suppress(*_AWAY):
                await self._write_on(writer, numbers, choice)
            await asyncio.sleep(0.1)

    async def _write_on(self, writer: int, numbers: Iterator[int], choice: random.Random) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=2, command_timeout=5)
        try:
            while not self._enough.is_set():
                stages, job = list(LIFE), f"job-{writer}-{next(numbers)}"
                while stages and await self._move(connection, choice, job, stages):  # noqa: ASYNC110
                    await asyncio.sleep(choice.uniform(0, 0.02))
        finally:
            connection.terminate()

    async def _move(self, connection: asyncpg.Connection, choice: random.Random, job: str, stages: list[str]) -> bool:
        """Take a job some stages on in one transaction; False where that came to nothing."""
        transaction = connection.transaction()
        await transaction.start()
        done = [stages.pop(0) for _ in range(min(len(stages), choice.randint(1, 3)))]
        for status in done:
            if status == "PENDING":
                await connection.execute(_JOB, job, choice.choice(WORKFLOWS))
            else:
                await connection.execute("UPDATE monitor.jobs SET status = $2 WHERE job_id = $1", job, status.lower())
            await asyncio.sleep(choice.choice([0, 0, 0, 0.002, 0.02]))
        if choice.random() < 0.2:
            await transaction.rollback()
            return False
        self.began |= {(job, status): time.monotonic() for status in done}
        await transaction.commit()
        return True


class Watcher:
    """Somebody who loses the connection again and again, and comes back to any worker with the last cursor."""

    def __init__(self, places: list[Worker], cursor: str, seed: int, *, sse: bool, workflow: str | None) -> None:
        self._places = places
        self._cursor = cursor
        self._choice = random.Random(seed)
        self._go = self._sse if sse else self._socket
        self._query = _DOCUMENT % ("job { workflow { workflowName } status }" if seed % 2 else "")
        self._variables: dict[str, Any] = {"filter": {"workflowId": workflow} if workflow else None}
        self.workflow = workflow
        self.lifetime = (0.1, 0.9)
        self.delivered: list[Transition] = []
        self.arrived: dict[Transition, float] = {}
        self.gaps: list[Any] = []
        self.said: list[str] = []
        self.cuts = 0

    async def watch(self) -> None:
        """Watch, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._choice.uniform(*self.lifetime)):
                    await self._go(self._choice.choice(self._places))
            except TimeoutError:
                self.cuts += 1
            except (OSError, WebSocketException, httpx.TransportError) as error:
                self.said.append(f"{type(error).__name__} {error}")
                await asyncio.sleep(self._choice.uniform(0.05, 0.3))

    async def _socket(self, worker: Worker) -> None:
        async with asyncio.timeout(5):
            socket = await connect(
                worker.ws, subprotocols=["graphql-transport-ws"], compression=None, max_size=None, ping_interval=None
            )
        try:
            payload = {"query": self._query, "variables": {**self._variables, "after": self._cursor}}
            await socket.send(json.dumps({"type": "connection_init"}))
            await socket.recv()
            await socket.send(json.dumps({"type": "subscribe", "id": "w", "payload": payload}))
            while True:
                message = json.loads(await socket.recv())
                if message["type"] == "next":
                    self._take(message["payload"])
                elif message["type"] != "ping":
                    self.said.append(json.dumps(message))
                    await asyncio.sleep(self._choice.uniform(0.05, 0.3))
                    return
        finally:
            socket.transport.abort()

    async def _sse(self, worker: Worker) -> None:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": self._cursor}
        asked = {"query": self._query, "variables": self._variables}
        async with (
            httpx.AsyncClient(timeout=None, verify=False) as http,  # certificates take long to load
            http.stream("POST", worker.http, json=asked, headers=headers) as response,
        ):
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    body = json.loads(line.removeprefix("data: "))
                    if "data" not in body:
                        self.said.append(line)
                        await asyncio.sleep(self._choice.uniform(0.05, 0.3))
                        return
                    self._take(body)

    def _take(self, body: Any) -> None:
        update = (body["data"] or {}).get("jobUpdates")
        if update is None:
            self.said.append(json.dumps(body))
            return
        if update["gap"] is not None:
            self.gaps.append(update["gap"])
        else:
            transition = update["jobId"], update["status"]
            self.delivered.append(transition)
            self.arrived.setdefault(transition, time.monotonic())
        self._cursor = update["cursor"]


class Watch:
    """Several watchers of one database, and what they must have seen."""

    def __init__(self, dsn: str, writers: Writers, watchers: list[Watcher]) -> None:
        self._dsn = dsn
        self._writers = writers
        self.watchers = watchers

    @property
    def cuts(self) -> int:
        """How often they were cut off."""
        return sum(watcher.cuts for watcher in self.watchers)

    async def check(self) -> None:
        """Wait for the last of what was committed, and compare: everything once, and in the order of its job."""
        committed: dict[str | None, set[Transition]] = defaultdict(set)
        connection = await asyncpg.connect(self._dsn, timeout=10)
        try:
            for job, status, workflow in await connection.fetch(_COMMITTED, timeout=30):
                committed[workflow].add((job, status))
                committed[None].add((job, status))
        finally:
            connection.terminate()
        deadline = time.monotonic() + PATIENCE
        for watcher in self.watchers:
            while not committed[watcher.workflow] <= set(watcher.delivered) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        for watcher in self.watchers:
            assert watcher.gaps == []
            assert set(watcher.delivered) == committed[watcher.workflow], watcher.said
            assert len(watcher.delivered) == len(set(watcher.delivered))
            stages = defaultdict(list)
            for job, status in watcher.delivered:
                stages[job].append(LIFE.index(status))
            assert all(stage == sorted(stage) for stage in stages.values())

    def report(self) -> str:
        """How long it took from the commit to the watcher, in milliseconds, where nobody was away."""
        began = self._writers.began
        waits = [
            (at - began[transition]) * 1000
            for watcher in self.watchers
            for transition, at in watcher.arrived.items()
            if transition in began
        ]
        percentiles = quantiles(waits, n=100)
        return (
            f"{len(self.watchers[0].delivered)} transitions, {self.cuts} cuts, commit to delivery: "
            f"p50 {percentiles[49]:.1f} ms, p99 {percentiles[98]:.1f} ms, most {max(waits):.1f} ms"
        )


@asynccontextmanager
async def watched(dsn: str, places: list[Worker], number: int = 4) -> AsyncIterator[Watch]:
    """Writers and watchers; the writers rest when the block ends, the watchers when everything has arrived."""
    connection = await asyncpg.connect(dsn, timeout=10)
    identity = await connection.fetchval("SELECT identity FROM monitor.ledger")
    connection.terminate()
    writers = Writers(dsn)
    watchers = [
        Watcher(
            places,
            write_cursor(identity, Position(0)),
            seed,
            sse=seed % 3 == 2,
            workflow=WORKFLOWS[0] if seed == number - 1 else None,
        )
        for seed in range(number)
    ]
    watch = Watch(dsn, writers, watchers)
    tasks = [asyncio.create_task(watcher.watch()) for watcher in watchers]
    try:
        async with writers.at_it():
            yield watch
        await watch.check()
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)
