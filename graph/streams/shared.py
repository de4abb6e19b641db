"""A stream that subscribers share: one task, one execution and one encoding for each event."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Protocol

from graphql import GraphQLError

from datasources.events import Position
from datasources.robots import RobotRow
from graph.context import Context
from graph.engine.answers import encode
from graph.engine.execution import Executor, Operation, Refused
from graph.errors import present
from graph.streams.topic import Topic
from subscriptions.cursor import read_cursor
from subscriptions.follower import Trail
from subscriptions.ledger import FromNow, LedgerUpdate

_HELD = 1000  # updates held back for one subscriber
_TOGETHER = 4096  # bytes for each subscriber that are handed over together: a socket writes them with one system call


class Sink(Protocol):
    """One subscriber's operation on one connection."""

    def offer(self, payload: bytes, key: str | None, cursor: str | None) -> None:
        """Take a response without waiting; with a key, it may replace one with that key that still waits."""

    async def send(self, payload: bytes, *, cursor: str | None) -> None:
        """Take a response when there is room for it."""


class Subscriber:
    """One sink of a shared stream: away while it catches up, then held back, then live."""

    __slots__ = ("_held", "_live", "_overflown", "ended", "sink", "told")

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.ended = asyncio.Event()
        self.told = Position(0)
        self._live = False
        self._held: deque[tuple[bytes, str | None, str | None]] | None = None
        self._overflown = False

    def hold(self, position: Position) -> None:
        """From now on, keep what the stream delivers behind this position."""
        self.told, self._held, self._overflown = position, deque(), False

    def offer(self, payload: bytes, key: str | None, cursor: str | None) -> None:
        """Take what the stream delivers."""
        if self._live:
            self.sink.offer(payload, key, cursor)
        elif self._held is not None and len(self._held) < _HELD:
            self._held.append((payload, key, cursor))
        else:
            self._overflown = True

    async def let_go(self) -> bool:
        """Tell what was held back, then be live; False where something could not be held."""
        while self._held:
            payload, _, cursor = self._held.popleft()
            await self.sink.send(payload, cursor=cursor)
            if cursor is not None:
                self.told = read_cursor(cursor)[1]
        if self._overflown:
            return False
        self.go_live()
        return True

    def go_live(self) -> None:
        """Take everything as it comes."""
        self._live, self._held = True, None


class SharedStream:
    """A subscription as it is executed for all who ask the same."""

    def __init__(
        self, executor: Executor, operation: Operation, topic: Topic, context: Context, counts: Counter[str]
    ) -> None:
        self._executor = executor
        self._topic = topic
        self._counts = counts
        self._part = FromNow()
        self._latest: dict[str, bytes] = {}
        self._delivered: str | None = None
        self._shown: object = None
        self._task: asyncio.Task[None] | None = None
        context.part = self._part
        context.forget = self._forget
        self._context = context
        self.operation = operation
        self.subscribers: set[Subscriber] = set()
        self.errors: list[dict[str, Any]] = []
        self.ended = asyncio.Event()

    @property
    def trail(self) -> Trail | None:
        """Where it is on the ledger."""
        return self._part.trail

    @property
    def position(self) -> Position | None:
        """Everything up to there is delivered; None where it is not on the ledger."""
        if self._delivered is not None:
            return read_cursor(self._delivered)[1]
        return None if self.trail is None else self.trail.position

    @property
    def over(self) -> bool:
        """Whether it has come to its end."""
        return self.ended.is_set()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=f"stream-{self._topic.field}")

    def cancel(self) -> None:
        """End without waiting for the end."""
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """End, and wait for it."""
        self.cancel()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=5)

    async def begun(self) -> None:
        """Wait until it stands on the ledger, or has ended without getting there."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._part.begun, self.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def show(self, subscriber: Subscriber) -> None:
        """Tell a newcomer the newest of each gauge, and everything from now on."""
        subscriber.go_live()
        for key, payload in self._latest.items():
            subscriber.offer(payload, key, None)

    async def _run(self) -> None:
        try:
            async for events in await self._executor.source(self.operation, self._context):
                bodies = await self._executor.push(self.operation, events, self._context_of(events))
                unwritten = 0
                for event, body in zip(events, bodies, strict=True):
                    unwritten += self._deliver(event, body)
                    self._delivered = getattr(event, "cursor", None)
                    if unwritten >= _TOGETHER:
                        # Connections write meanwhile: a burst alone must make no reader a slow one.
                        await asyncio.sleep(0)
                        unwritten = 0
                await asyncio.sleep(0)
                self._delivered = None
        except Refused as refused:
            self.errors = refused.answer.body["errors"]
        except Exception as error:  # noqa: BLE001  # whatever a resolver raises is shown, or masked and logged
            shown = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
            self.errors = [present(shown, self._context.correlation_id)]
        finally:
            self.ended.set()
            for subscriber in self.subscribers:
                subscriber.ended.set()

    def _forget(self, key: str) -> None:
        self._latest.pop(key, None)

    def _context_of(self, events: Sequence[object]) -> Context:
        last = events[-1] if events else None
        if isinstance(last, LedgerUpdate) and last.event is not None:
            return self._context.at(last.event.seq)
        return self._context.fresh()

    def _deliver(self, event: object, body: dict[str, Any]) -> int:
        """Hand an answer to everybody; gives its size in bytes."""
        self._counts["executions"] += 1
        if self._topic.on_ledger:
            key, cursor = None, getattr(event, "cursor", None)
        else:
            key, cursor = event.robot_id if isinstance(event, RobotRow) else "", None
            if self._topic.field == "fleet" and self._unchanged(body):
                return 0
        payload = encode(body)
        if key is not None:
            self._latest[key] = payload
        self._counts["deliveries"] += len(self.subscribers)
        for subscriber in tuple(self.subscribers):
            subscriber.offer(payload, key, cursor)
        return len(payload)

    def _unchanged(self, body: dict[str, Any]) -> bool:
        """Whether a live query answers what it answered last, whenever that was."""
        data = body.get("data") or {}
        shown = [
            {name: value for name, value in fleet.items() if name not in self._topic.as_of}
            for fleet in data.values()
            if isinstance(fleet, dict)
        ]
        before, self._shown = self._shown, (shown, [error["message"] for error in body.get("errors", ())])
        return before == self._shown
