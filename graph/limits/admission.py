"""How many may come in: connections of a viewer and of an address, operations of a viewer, messages of a socket.

Each worker counts its own. Who is not known is told apart by address alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from datasources.settings import Settings
from graph.limits.pace import network, payer
from graph.operating.metrics import Metrics
from graph.viewer import Viewer

TOO_MANY = 4429
TOO_MANY_CONNECTIONS = "TOO_MANY_CONNECTIONS"
TOO_MANY_MESSAGES = "TOO_MANY_MESSAGES"
TOO_MANY_OPERATIONS = "TOO_MANY_OPERATIONS"

_BURST = 10.0  # seconds' worth of messages that may come at once: a client begins all its operations together


class Crowded(Exception):
    """One more than there may be; with its code, and what to do about it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Admission:
    """The connections and operations of one worker, by whom they are of."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._of_addresses: Counter[str] = Counter()
        self._of_viewers: Counter[str] = Counter()
        self._operations: Counter[str] = Counter()

    @contextmanager
    def from_address(self, address: str | None) -> Iterator[None]:
        """Let a connection of an address in for as long as the block lasts; raises Crowded."""
        most = self._settings.max_sockets_per_address
        with self._one_of(
            self._of_addresses, network(address), most, TOO_MANY_CONNECTIONS, "connections from this address"
        ):
            yield

    @contextmanager
    def of_viewer(self, viewer: Viewer) -> Iterator[None]:
        """Let a connection of a viewer in for as long as the block lasts; raises Crowded."""
        if not viewer.known:
            yield
            return
        most = self._settings.max_sockets_per_viewer
        with self._one_of(self._of_viewers, viewer.name, most, TOO_MANY_CONNECTIONS, "connections of this viewer"):
            yield

    @contextmanager
    def operation(self, viewer: Viewer) -> Iterator[None]:
        """Let an operation on a connection run for as long as the block lasts; raises Crowded."""
        most = self._settings.max_operations_per_viewer
        with self._one_of(self._operations, payer(viewer), most, TOO_MANY_OPERATIONS, "operations of this viewer"):
            yield

    def on_socket(self, running: int) -> None:
        """Whether one more operation may run on a socket that runs so many; raises Crowded."""
        if running >= self._settings.max_operations_per_socket:
            raise _crowded(TOO_MANY_OPERATIONS, running, "operations on this socket")

    def messages(self) -> Ration:
        """What a socket may say."""
        rate = self._settings.socket_messages_per_second
        return Ration(rate, rate * _BURST)

    def count(self, crowded: Crowded) -> None:
        """Count a refusal that is not that of a whole request: of those the exchange tells."""
        self._metrics.rejected(crowded.code)

    @contextmanager
    def _one_of(self, counts: Counter[str], who: str, most: int, code: str, what: str) -> Iterator[None]:
        if counts[who] >= most:
            raise _crowded(code, most, what)
        counts[who] += 1
        try:
            yield
        finally:
            counts[who] -= 1
            if not counts[who]:
                del counts[who]


def _crowded(code: str, most: int, what: str) -> Crowded:
    return Crowded(code, f"There are {most:,} {what}, which is the most: end one first.")


class Ration:
    """So many at once, and so many a second for long."""

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: float, most: float) -> None:
        self._rate = rate
        self._most = self._left = most
        self._at = time.monotonic()

    def take(self) -> bool:
        """Take one, if there is one."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
