"""Turns: when many sockets are told something, each is written to in its turn.

Writing is what takes longest of telling a crowd, and the loop does nothing else meanwhile. In turns, what happens next
is read from Postgres between them rather than after the last. A crowd is written to so many times a second at most as
leaves time for that; what a socket is told until its turn is one system call.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable

_IN_ONE_PASS = 100  # sockets in one pass of the event loop
_APART = 20e-6  # seconds from round to round for each socket of the first, of which writing to it takes about half
_FARTHEST_APART = 0.02  # seconds: larger crowds need longer for a round than that


class Turns:
    """The sockets of an event loop that have something to be written, the one that has waited longest first."""

    def __init__(self) -> None:
        self._round: deque[Callable[[], None]] = deque()
        self._next: deque[Callable[[], None]] = deque()
        self._not_before = 0.0
        self._scheduled = False

    def add(self, loop: AbstractEventLoop, write: Callable[[], None]) -> None:
        """Have something written behind what waits already."""
        self._next.append(write)
        if not self._scheduled:
            self._schedule_round(loop)

    def _schedule_round(self, loop: AbstractEventLoop) -> None:
        self._scheduled = True
        if loop.time() >= self._not_before:
            loop.call_soon(self._begin, loop)
        else:
            loop.call_at(self._not_before, self._begin, loop)

    def _begin(self, loop: AbstractEventLoop) -> None:
        self._round, self._next = self._next, self._round
        self._not_before = loop.time() + min(_APART * len(self._round), _FARTHEST_APART)
        self._pass(loop)

    def _pass(self, loop: AbstractEventLoop) -> None:
        try:
            for _ in range(min(_IN_ONE_PASS, len(self._round))):
                self._round.popleft()()
        finally:
            self._scheduled = bool(self._round)
            if self._round:
                loop.call_soon(self._pass, loop)
            elif self._next:
                self._schedule_round(loop)
