"""Who reads the ledger: every worker for itself, or, with a bus between them, one for all.

The one that leads reads and tells; the others take what they are told. Whoever hears nothing for a moment, or hears
that something may have been lost, reads for itself: the bus makes reading rarer, it is never the only way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum
from typing import Any

from datasources.settings import Settings
from subscriptions.bus import GAP, Bus, BusRefused, decode_batch, encode_batch
from subscriptions.feed import Batch
from subscriptions.follower import Follower
from subscriptions.leader import Leadership

_log = logging.getLogger(__name__)

_CHANNEL = "events"
_SILENCE = 2.0  # seconds without a word after which a worker reads for itself


class BusState(Enum):
    """How a worker hears the others."""

    ALONE = "each worker reads the ledger for itself"
    CONNECTED = "connected"
    AWAY = "not connected: each worker reads the ledger for itself meanwhile"
    REFUSED = "refused: each worker reads the ledger for itself"


class SharedTail:
    """One worker's part in reading the ledger."""

    def __init__(self, dsn: str, settings: Settings) -> None:
        url = settings.bus.get_secret_value()
        self._bus = None if url.startswith("memory:") else Bus(url, (_CHANNEL,))
        self._leadership = Leadership(dsn)
        self._follower: Follower | None = None
        self._wake: Callable[[], None] = lambda: None
        self._missed = False
        self._refused = False

    @property
    def state(self) -> BusState:
        """How this worker hears the others."""
        if self._bus is None:
            return BusState.REFUSED if self._refused else BusState.ALONE
        return BusState.CONNECTED if self._bus.connected else BusState.AWAY

    async def start(self, follower: Follower, namespace: str, wake: Callable[[], None]) -> None:
        """Take part; `wake` is called when this worker should look."""
        self._follower, self._wake = follower, wake
        if self._bus is None:
            return
        try:
            await self._bus.start(self._hear, namespace)
        except BusRefused as error:
            _log.error("every worker reads the ledger for itself: %s", error)  # the reason says it all
            self._bus, self._refused = None, True
            return
        await self._leadership.start()

    async def stop(self) -> None:
        """Take part no more."""
        await self._leadership.stop()
        if self._bus is not None:
            await self._bus.stop()

    def to_look(self) -> bool:
        """Whether this worker has to read the ledger now."""
        if self._bus is None or not self._bus.connected or self._leadership.held or self._missed:
            self._missed = False
            return True
        silent_since = self._follower.seen_at if self._follower else 0.0
        return asyncio.get_running_loop().time() - silent_since > _SILENCE

    async def tell(self, batch: Batch) -> None:
        """Tell the others what was read, if this worker reads for them."""
        if batch.events and self._bus is not None and self._leadership.held:
            await self._bus.publish(_CHANNEL, encode_batch(batch))

    async def _hear(self, _channel: str, message: Any) -> None:
        if message is GAP:
            self._missed = True
            self._wake()
        elif self._follower is not None and not self._leadership.held:
            await self._follower.take(decode_batch(message))
