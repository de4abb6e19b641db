"""Subscriptions: what many ask alike is executed once for each event, and encoded once.

Subscribers of equal sight with the same document, operation and variables share a stream; `after` makes no difference,
since it only says what one of them has to be told first. That one gets its own part of the ledger (what it missed, or
the state at the beginning), while what happens meanwhile is held back for it, and joins the others at exactly that
place.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from graphql import GraphQLError

from datasources.events import Position
from graph.context import Context, Moments
from graph.engine.answers import Answer, encode
from graph.engine.execution import Executor, Operation, Refused
from graph.errors import present
from graph.streams.shared import SharedStream, Sink, Subscriber
from graph.streams.topic import Topic
from subscriptions.cursor import BadCursor, write_cursor
from subscriptions.follower import Follower
from subscriptions.ledger import AtOnce, Between, LedgerUpdate, Part, start_behind
from subscriptions.live import Live

_NEAR = 100  # missed updates that are few enough to hold back the live ones meanwhile
_JOIN = 10.0  # seconds until a shared stream has come to where a subscriber can join it


class Streams:
    """The subscriptions of one worker."""

    def __init__(self, executor: Executor, live: Live) -> None:
        self._executor = executor
        self._live = live
        self._moments = Moments()
        self._shared: dict[object, SharedStream] = {}
        self.counts: Counter[str] = Counter()

    @property
    def shared(self) -> int:
        """How many streams are executed right now, however many subscribers they have."""
        return len(self._shared)

    async def subscribe(self, operation: Operation, context: Context, sink: Sink, *, after: str | None = None) -> None:
        """Serve a subscription until it is complete; cancel this to unsubscribe.

        `after` is the cursor of a `Last-Event-ID`, which outweighs the operation's own. Raises Refused.
        """
        context.sight, context.moments = self._live.seen_by(context.viewer.scope), self._moments
        topic = Topic.of(operation, context.viewer)
        stream = self._join(topic, operation, context)
        subscriber = Subscriber(sink)
        stream.subscribers.add(subscriber)
        self.counts["operations"] += 1
        try:
            if topic.on_ledger:
                await self._catch_up(stream, subscriber, context, after or topic.after)
            else:
                stream.show(subscriber)
            await subscriber.ended.wait()
            if stream.errors:
                raise Refused(Answer({"errors": stream.errors}, executed=False))
        except BadCursor as error:
            raise Refused(Answer({"errors": [_error(str(error), "BAD_CURSOR")]}, executed=False)) from None
        finally:
            self._leave(topic.key, stream, subscriber)

    async def close(self) -> None:
        """End all of them."""
        streams = list(self._shared.values())
        self._shared.clear()
        await asyncio.gather(*(stream.close() for stream in streams))

    def _join(self, topic: Topic, operation: Operation, context: Context) -> SharedStream:
        stream = self._shared.get(topic.key)
        if stream is None or stream.over:
            stream = SharedStream(self._executor, operation, topic, context.fresh(), self.counts)
            self._shared[topic.key] = stream
            stream.start()
        return stream

    def _leave(self, key: object, stream: SharedStream, subscriber: Subscriber) -> None:
        stream.subscribers.discard(subscriber)
        if not stream.subscribers:
            stream.cancel()
            if self._shared.get(key) is stream:
                del self._shared[key]

    async def _catch_up(
        self, stream: SharedStream, subscriber: Subscriber, context: Context, after: str | None
    ) -> None:
        """Tell a subscriber what it has to know first, then let it go along with the others."""
        await stream.begun()
        if stream.errors:
            return
        if after is None:
            follower = await self._live.follower()
            subscriber.hold(stream.position or follower.position)
            await self._tell(stream, subscriber, context, AtOnce())
        else:
            self.counts["resumed"] += 1
            start = await start_behind(self._live, after)
            if start.missed is not None:
                self.counts["gaps"] += 1
                update = LedgerUpdate(write_cursor(self._live.identity, start.position), missed=start.missed)
                [body] = await self._executor.push(stream.operation, [update], context.fresh())
                await subscriber.sink.send(encode(body), cursor=update.cursor)
            await self._go_behind(stream, subscriber, context, start.position)
        while not await subscriber.let_go():
            # Too much was held back: what is not in memory any more is in the ledger.
            await self._go_behind(stream, subscriber, context, subscriber.told)

    async def _go_behind(
        self, stream: SharedStream, subscriber: Subscriber, context: Context, position: Position
    ) -> None:
        """Tell everything behind a position, up to where the stream is; what it delivers from there on is held."""
        follower = await self._live.follower()
        told = _NEAR
        while told >= _NEAR:
            end = follower.position
            told = await self._tell(stream, subscriber, context, Between(position, end))
            position = end
        end = await _at(stream, follower)
        subscriber.hold(end)
        await self._tell(stream, subscriber, context, Between(position, end))

    async def _tell(self, stream: SharedStream, subscriber: Subscriber, context: Context, part: Part) -> int:
        """Execute a part of the subscription for one subscriber alone; gives how many updates that was."""
        context = context.fresh()
        context.part = part
        count = 0
        async for updates in await self._executor.source(stream.operation, context):
            bodies = await self._executor.push(stream.operation, updates, context.fresh())
            for update, body in zip(updates, bodies, strict=True):
                await subscriber.sink.send(encode(body), cursor=getattr(update, "cursor", None))
            count += len(updates)
        self.counts["backlog"] += count
        return count


async def _at(stream: SharedStream, follower: Follower) -> Position:
    """Where the stream is, once it is as far as the follower is now."""
    trail, ordinal = stream.trail, follower.end
    if trail is None or stream.over:
        return follower.position
    async with asyncio.timeout(_JOIN):
        passing = asyncio.ensure_future(trail.pass_by(ordinal))
        ending = asyncio.ensure_future(stream.ended.wait())
        try:
            await asyncio.wait((passing, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            passing.cancel()
            ending.cancel()
    return follower.position if stream.ended.is_set() else stream.position or follower.position


def _error(message: str, code: str) -> dict[str, Any]:
    error = present(GraphQLError(message), "")
    error["extensions"]["code"] = code
    return error
