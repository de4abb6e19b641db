"""Turns: when many sockets are told something, each is written to in its turn.

Writing is what takes longest of telling a crowd, and the loop does nothing else meanwhile. In turns, what happens next
is read from Postgres between them rather than after the last. A crowd is written to so many times a second at most as
leaves time for that; what a socket is told until its turn is one system call.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable

_IN_ONE_PASS = 100  # sockets in one pass of the event loop: less than a millisecond
_APART = 20e-6  # seconds from round to round for each socket of the first, about twice what writing to it takes


class Turns:
    """The sockets of an event loop that have something to be written, the one that has waited longest first."""

    def __init__(self) -> None:
        self._round: deque[Callable[[], None]] = deque()
        self._next: deque[Callable[[], None]] = deque()
        self._not_before = 0.0

    def add(self, loop: AbstractEventLoop, write: Callable[[], None]) -> None:
        """Have something written behind what waits already."""
        if not self._round and not self._next:
            self._await_round(loop)
        self._next.append(write)

    def _await_round(self, loop: AbstractEventLoop) -> None:
        if loop.time() >= self._not_before:
            loop.call_soon(self._begin, loop)
        else:
            loop.call_at(self._not_before, self._begin, loop)

    def _begin(self, loop: AbstractEventLoop) -> None:
        self._round, self._next = self._next, self._round
        self._not_before = loop.time() + _APART * len(self._round)
        self._pass(loop)

    def _pass(self, loop: AbstractEventLoop) -> None:
        try:
            for _ in range(min(_IN_ONE_PASS, len(self._round))):
                self._round.popleft()()
        finally:
            if self._round:
                loop.call_soon(self._pass, loop)
            elif self._next:
                self._await_round(loop)
