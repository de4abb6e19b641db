"""Turns: when many sockets are told something, each is written to in its turn.

Writing is what takes longest of telling a crowd, and the loop does nothing else meanwhile. In turns, what happens next
is read from Postgres between them rather than after the last.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable

_IN_ONE_PASS = 100  # sockets in one pass of the event loop: less than a millisecond


class Turns:
    """The sockets of an event loop that have something to be written, the one that has waited longest first."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, loop: AbstractEventLoop, write: Callable[[], None]) -> None:
        """Have something written behind what waits already."""
        if not self._waiting:
            loop.call_soon(self._pass, loop)
        self._waiting.append(write)

    def _pass(self, loop: AbstractEventLoop) -> None:
        try:
            for _ in range(min(_IN_ONE_PASS, len(self._waiting))):
                self._waiting.popleft()()
        finally:
            if self._waiting:
                loop.call_soon(self._pass, loop)
