"""The bus over Redis, or anything that speaks its protocol.

A connection that ends is noticed by its end or, where nobody says so, by unanswered pings; it is made again with
growing random pauses, and everybody is told of the GAP. redis-py's own reconnecting is off: it would hide that.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

import orjson
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError

from datasources.backoff import backoff
from subscriptions.bus import BusRefused, Mailbox, Message, NotPublished

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0  # seconds before a connection is made again
_STABLE = 1.0  # seconds after which a connection counts as one that worked
_PING = 1.0  # seconds of silence before we ask whether anybody is there
_DEAD = 3.0  # seconds of silence that end a connection
_TIMEOUT = 2.0  # seconds for a connection, or an answer to a command
_PUBLISH = 1.0  # seconds for a message to be published
_REFUSALS = (AuthenticationError, AuthorizationError, NoPermissionError)
_FAILURES = (RedisError, OSError, TimeoutError)


class RedisMailbox(Mailbox):
    """Messages as JSON, in channels named `casare:<namespace>:<channel>`."""

    def __init__(self, url: str) -> None:
        super().__init__()
        try:
            self._redis = Redis.from_url(
                url,
                socket_timeout=_TIMEOUT,
                socket_connect_timeout=_TIMEOUT,
                retry=Retry(NoBackoff(), 0, supported_errors=()),
                protocol=2,
                client_name="casare-monitor",
            )
        except ValueError:
            # What redis-py says here may quote the URL, and that may hold a password.
            raise BusRefused("the bus's URL is not of the form redis://user:password@host:port/number") from None
        self._place = _place(url)
        self._prefix = ""
        self._settled = asyncio.Event()
        self._refusal: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._publishing = asyncio.Lock()
        self.malformed = 0
        self.connections = 0

    async def connect(self) -> None:
        """Connections are made when the channels are known."""

    async def listen(self, namespace: str) -> None:
        """Begin to hear; a server that is away is waited for in the background, one that refuses us is an error."""
        self._prefix = f"casare:{namespace}:"
        self._task = asyncio.create_task(self._stay_connected(), name="bus-redis")
        await self._settled.wait()
        if self._refusal is not None:
            raise BusRefused(f"{self._place} refuses us: {self._refusal}")

    async def disconnect(self) -> None:
        """Hear nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._redis.aclose()

    async def publish(self, channel: str, message: Message) -> None:
        """Tell all workers; raises NotPublished."""
        if not self.connected:
            raise NotPublished(f"{self._place} is not connected")
        try:
            async with asyncio.timeout(_PUBLISH), self._publishing:
                await self._redis.publish(self._prefix + channel, orjson.dumps(message))
        except _FAILURES as error:
            raise NotPublished(_said(error)) from error

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        attempt, complaint = 0, ""
        while True:
            began, connections = loop.time(), self.connections
            try:
                await self._hear()
            except _FAILURES as error:
                if not self._settled.is_set() and isinstance(error, _REFUSALS):
                    self._refusal = _said(error)
                if (reason := _said(error)) != complaint or self.connected:
                    _log.warning("%s is not heard: %s", self._place, reason)
                complaint = reason
            except Exception:  # noqa: BLE001  # a listener that dies would be silence
                _log.exception("%s is not heard", self._place)
            finally:
                self.connected = False
                self._settled.set()
            if self.connections > connections and loop.time() - began > _STABLE:
                attempt = 0
            attempt += 1
            await asyncio.sleep(max(_FIRST_PAUSE, backoff(attempt, _FIRST_PAUSE, _LONGEST_PAUSE)))

    async def _hear(self) -> None:
        """Hear what is said for as long as the connection lives."""
        async with self._redis.pubsub() as pubsub:
            await self._subscribed(pubsub)
            self.connections += 1
            self.connected = True
            _log.info("%s is heard", self._place)
            self._settled.set()
            self.offer_gap()
            loop = asyncio.get_running_loop()
            heard = loop.time()
            while True:
                message = await pubsub.get_message(timeout=_PING)
                if message is None:
                    if loop.time() - heard > _DEAD:
                        raise TimeoutError(f"no answer for {_DEAD:g} s")
                    await pubsub.ping()
                    continue
                heard = loop.time()
                if message["type"] == "message":
                    self._take(message["channel"], message["data"])

    async def _subscribed(self, pubsub: PubSub) -> None:
        """Wait until the server has confirmed the channels, which is one command: from then on nothing is missed."""
        await pubsub.subscribe(*(self._prefix + channel for channel in self._waiting))
        if await pubsub.get_message(timeout=_TIMEOUT) is None:
            raise TimeoutError(f"no answer for {_TIMEOUT:g} s")

    def _take(self, channel: bytes, data: bytes) -> None:
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError:
            message = None
        if isinstance(message, dict):
            self.offer(channel.decode().removeprefix(self._prefix), message)
        else:
            self.malformed += 1
            _log.warning("%s carries a message that is not ours", self._place)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _place(url: str) -> str:
    """Where the server is, without anything secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 6379}{parts.path}"
