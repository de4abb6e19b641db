"""The bus: what one worker tells the others. `memory://` stays in the process, `redis://` reaches all of them.

It is `broadcaster` with mailboxes of our own. Of `Broadcast` only what holds is used: one subscription a channel, made
once and one after the other. Its own queues have no bound and its listener dies with the first error, so a mailbox
hands over one message a channel at a time, keeps a bounded number of others, and never raises. Whoever may have missed
something is told so with GAP, and looks for itself: nothing that must not be lost depends on the bus.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

from broadcaster import Broadcast, BroadcastBackend, Event

from datasources.events import EventRow, Position
from subscriptions.feed import Batch

_log = logging.getLogger(__name__)

_WAITING = 256  # messages of a channel


class Gap(Enum):
    """Messages may have been missed."""

    GAP = "gap"


GAP: Final = Gap.GAP
Message = Mapping[str, Any]
OnMessage = Callable[[str, Message | Gap], Awaitable[None] | None]


class BusRefused(Exception):
    """The bus will not have us, and waiting will not change that."""


class NotPublished(Exception):
    """A message did not reach the bus."""


class Mailbox(BroadcastBackend):
    """Where messages arrive: bounded, and beyond the bound they become a GAP."""

    connected = False

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Message | Gap]] = {}
        self._in_hand: set[str] = set()
        self._arrived = asyncio.Event()
        self.overflows = 0
        self.gaps = 0

    async def subscribe(self, channel: str) -> None:
        """Take in what is said on a channel."""
        self._waiting.setdefault(channel, deque())

    async def unsubscribe(self, channel: str) -> None:
        """Take in nothing more of it."""
        self._waiting.pop(channel, None)

    async def listen(self, namespace: str) -> None:
        """Begin to hear what is said, where that takes more than being there."""
        self.connected = True

    def offer(self, channel: str, message: Message | Gap) -> None:
        """Put a message into its box; never waits. A GAP says all that those before it did."""
        waiting = self._waiting.get(channel)
        if waiting is None:
            return
        if len(waiting) >= _WAITING:
            self.overflows += 1
            message = GAP
        if message is GAP:
            self.gaps += 1
            waiting.clear()
        waiting.append(message)
        self._arrived.set()

    def offer_gap(self) -> None:
        """Tell everybody that something may have been missed."""
        for channel in self._waiting:
            self.offer(channel, GAP)

    def handled(self, channel: str) -> None:
        """The message that was handed over is done with: the next one may go."""
        self._in_hand.discard(channel)
        self._arrived.set()

    async def next_published(self) -> Event:
        """The next message of a channel that has none in hand."""
        while True:
            for channel, waiting in self._waiting.items():
                if waiting and channel not in self._in_hand:
                    self._in_hand.add(channel)
                    return Event(channel, waiting.popleft())  # type: ignore[arg-type]  # broadcaster says str, and means any
            self._arrived.clear()
            await self._arrived.wait()


class MemoryMailbox(Mailbox):
    """Messages pass as they are, within the process."""

    async def connect(self) -> None:
        """There is nothing to connect to."""

    async def disconnect(self) -> None:
        """Nor to disconnect from."""
        self.connected = False

    async def publish(self, channel: str, message: Message) -> None:
        """Put it into our own box."""
        self.offer(channel, message)


class Bus:
    """The channels of one worker."""

    def __init__(self, url: str, channels: Sequence[str]) -> None:
        self._mailbox = _mailbox(url)
        self._broadcast = Broadcast(backend=self._mailbox)
        self._channels = tuple(dict.fromkeys(channels))
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self.published = self.unpublished = self.received = self.failed = 0

    @property
    def connected(self) -> bool:
        """Whether messages are heard at this moment; where not, GAP follows as soon as they are again."""
        return self._mailbox.connected

    @property
    def gaps(self) -> int:
        """How often a subscriber was told that it may have missed something."""
        return self._mailbox.gaps

    @property
    def overflows(self) -> int:
        """How often a subscriber was too slow for its mailbox."""
        return self._mailbox.overflows

    async def start(self, on_message: OnMessage, namespace: str = "") -> None:
        """Hand every message to `on_message`, a channel's one after the other; raises BusRefused.

        GAP comes with every connection, the first one included. Buses with different namespaces never meet.
        """
        await self._broadcast.connect()
        self._stack.push_async_callback(self._broadcast.disconnect)
        try:
            for channel in self._channels:
                subscriber = await self._stack.enter_async_context(self._broadcast.subscribe(channel))
                deliveries = self._deliver(channel, subscriber.get, on_message)
                self._tasks.append(asyncio.create_task(deliveries, name=f"bus-{channel}"))
            await self._mailbox.listen(namespace)
        except BaseException:
            await self.stop()
            raise

    async def publish(self, channel: str, message: Message) -> bool:
        """Tell all workers, this one included; False where that failed. Takes a second at most."""
        try:
            await self._broadcast.publish(channel, message)
        except NotPublished as error:
            self.unpublished += 1
            _log.debug("not published on %s: %s", channel, error)
            return False
        self.published += 1
        return True

    async def stop(self) -> None:
        """Hear and say nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._stack.aclose()

    async def _deliver(self, channel: str, get: Callable[[], Awaitable[Event]], on_message: OnMessage) -> None:
        while True:
            event = await get()
            message: Any = event.message
            self.received += message is not GAP
            try:
                handling = on_message(channel, message)
                if handling is not None:
                    await handling
            except Exception:  # noqa: BLE001  # whatever a subscriber does, the next message is delivered
                self.failed += 1
                _log.exception("a message on %s could not be handled", channel)
            finally:
                self._mailbox.handled(channel)


def _mailbox(url: str) -> Mailbox:
    match urlsplit(url).scheme:
        case "memory":
            return MemoryMailbox()
        case "redis" | "rediss":
            try:
                from subscriptions.redis import RedisMailbox  # noqa: PLC0415  # comes with the extra `redis`
            except ModuleNotFoundError as error:
                raise BusRefused("the bus needs the package redis: pip install 'casare-monitor[redis]'") from error
            return RedisMailbox(url)
        case _:
            raise BusRefused("the bus is memory:// or redis://")


def encode_batch(batch: Batch) -> dict[str, Any]:
    """A batch as plain JSON."""
    events = [
        [event.seq, event.at.isoformat(), *(getattr(event, field.name) for field in fields(event)[2:])]
        for event in batch.events
    ]
    return {"before": _plain(batch.before), "after": _plain(batch.after), "events": events}


def decode_batch(message: Message) -> Batch:
    """The batch that was encoded."""
    before, after = _position(message["before"]), _position(message["after"])
    events = [EventRow(seq, datetime.fromisoformat(at), *others) for seq, at, *others in message["events"]]
    return Batch(before, events, after)


def _plain(position: Position) -> list[Any]:
    return [position.high, [list(gap) for gap in position.gaps]]


def _position(plain: Sequence[Any]) -> Position:
    high, gaps = plain
    return Position(high, tuple((first, last) for first, last in gaps))
