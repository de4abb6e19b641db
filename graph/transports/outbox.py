"""The outbox: what one connection has yet to send, bounded, so that a slow watcher costs nobody but itself.

A gauge takes the place of its older value, so that there is one at most for each thing that is watched, and its bytes
are those of the stream's newest. Of anything else there is a bound: a backlog waits for room, and what cannot wait ends
the connection: its client comes back with a cursor and has lost nothing. Who takes nothing for ten seconds is cut off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

MOST_MESSAGES = 256
MOST_BYTES = 1 << 20
WRITE_DEADLINE = 10.0  # seconds for a peer to make room for one message

SLOW_CONSUMER = 4410
SLOW_REASON = "slow consumer: resume with your cursor"


@dataclass(slots=True)
class Traffic:
    """What the connections of this worker have done so far, and how many of them are open."""

    open_sockets: int = 0
    open_streams: int = 0
    open_operations: int = 0
    sockets: int = 0
    streams: int = 0
    operations: int = 0
    deliveries: int = 0
    coalesced: int = 0
    closed_slow: int = 0
    aborted: int = 0

    @contextmanager
    def socket(self) -> Iterator[None]:
        """Count a WebSocket as long as it is open."""
        self.sockets += 1
        self.open_sockets += 1
        try:
            yield
        finally:
            self.open_sockets -= 1

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count an answer that is a stream over HTTP, as long as it is open."""
        self.streams += 1
        self.open_streams += 1
        try:
            yield
        finally:
            self.open_streams -= 1

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Count an operation as long as it runs."""
        self.operations += 1
        self.open_operations += 1
        try:
            yield
        finally:
            self.open_operations -= 1


class Peer(Protocol):
    """The far end of a connection, as its outbox sees it."""

    def take(self, head: bytes, payload: bytes, tail: bytes) -> bool:
        """Take a message that will be written in its turn; false where it has to wait for the peer."""

    async def write(self, head: bytes, payload: bytes, tail: bytes) -> None:
        """Write a message once the peer has read enough of what came before."""

    async def close(self, code: int, reason: str) -> None:
        """Say why this is the end."""

    def abort(self) -> None:
        """Drop the connection with whatever it still holds."""


@dataclass(slots=True, eq=False)
class _Message:
    head: bytes
    payload: bytes
    tail: bytes
    owner: object | None
    key: str | None

    @property
    def size(self) -> int:
        return len(self.head) + len(self.payload) + len(self.tail)


class Outbox:
    """What waits for one peer. `owner` is the operation that a message belongs to, None for the protocol's own."""

    # Of a thousand sockets nothing is in the processor's cache: what lies together is told faster.
    __slots__ = (
        "_bytes",
        "_closing",
        "_ending",
        "_gauges",
        "_peer",
        "_peer_takes",
        "_room",
        "_traffic",
        "_waiting",
        "_wake",
        "_writing",
    )

    def __init__(self, peer: Peer, traffic: Traffic) -> None:
        self._peer = peer
        self._peer_takes = peer.take
        self._traffic = traffic
        self._waiting: deque[_Message] = deque()
        self._gauges: dict[tuple[object | None, str], _Message] = {}
        self._bytes = 0
        self._writing = False
        self._ending = False
        self._closing: tuple[int, str] | None = None
        self._wake = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether the end has been decided."""
        return self._closing is not None

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._waiting and not self._writing

    def put(self, message: bytes) -> None:
        """Send a message of the protocol itself."""
        self.offer(b"", message, b"", None)

    def offer(self, head: bytes, payload: bytes, tail: bytes, owner: object | None, key: str | None = None) -> None:
        """Send a message, or keep it for later; without room for it this is the end of the connection."""
        if not self._waiting and not self._writing and self._closing is None and self._peer_takes(head, payload, tail):
            if owner is not None:
                self._traffic.deliveries += 1
            return
        message = _Message(head, payload, tail, owner, key)
        older = None if key is None else self._gauges.get((owner, key))
        if older is not None:
            older.head, older.payload = head, payload
            self._traffic.coalesced += 1
        elif self._fits(message):
            self._add(message)
        else:
            self._traffic.closed_slow += 1
            self.close(SLOW_CONSUMER, SLOW_REASON)

    async def send(self, head: bytes, payload: bytes, tail: bytes, *, owner: object) -> None:
        """Send a message as soon as there is room for it."""
        message = _Message(head, payload, tail, owner, None)
        while self._closing is None and not self._fits(message):
            self._room.clear()
            await self._room.wait()
        self.offer(head, payload, tail, owner)

    def forget(self, owner: object) -> None:
        """Drop what still waits of an operation."""
        kept = [message for message in self._waiting if message.owner is not owner]
        if len(kept) < len(self._waiting):
            self._waiting = deque(kept)
            self._gauges = {(message.owner, message.key): message for message in kept if message.key is not None}
            self._bytes = sum(message.size for message in kept if message.key is None)
            self._room.set()

    def end(self) -> None:
        """Be done once everything that waits is sent."""
        self._ending = True
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Drop everything that waits and close the connection; the first reason counts."""
        if self._closing is None:
            self._closing = code, reason
            self._waiting.clear()
            self._gauges.clear()
            self._bytes = 0
            self._room.set()
            self._wake.set()

    async def run(self) -> None:
        """Send what has to wait, until the connection ends one way or another."""
        try:
            while self._closing is None and (self._waiting or not self._ending):
                if self._waiting:
                    await self._write(self._take())
                else:
                    self._wake.clear()
                    await self._wake.wait()
            if self._closing is not None:
                async with asyncio.timeout(WRITE_DEADLINE):
                    await self._peer.close(*self._closing)
        except TimeoutError:
            self._traffic.aborted += 1
            self._peer.abort()
        except OSError:  # how servers tell that the peer has gone
            return

    async def _write(self, message: _Message) -> None:
        self._writing = True
        try:
            async with asyncio.timeout(WRITE_DEADLINE):
                await self._peer.write(message.head, message.payload, message.tail)
        finally:
            self._writing = False
        if message.owner is not None:
            self._traffic.deliveries += 1

    def _fits(self, message: _Message) -> bool:
        """Whether there is room; there always is for a gauge, and for one message, however large."""
        count = len(self._waiting) - len(self._gauges)
        if message.key is not None or count == 0:
            return True
        return count < MOST_MESSAGES and self._bytes + message.size <= MOST_BYTES

    def _add(self, message: _Message) -> None:
        if self._closing is not None:
            return
        self._waiting.append(message)
        if message.key is None:
            self._bytes += message.size
        else:
            self._gauges[(message.owner, message.key)] = message
        self._wake.set()

    def _take(self) -> _Message:
        message = self._waiting.popleft()
        if message.key is None:
            self._bytes -= message.size
        else:
            del self._gauges[(message.owner, message.key)]
        self._room.set()
        return message


async def until_first(group: asyncio.TaskGroup, *ends: Coroutine[Any, Any, None]) -> None:
    """Run all of them until one is done."""
    tasks = [group.create_task(end) for end in ends]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
