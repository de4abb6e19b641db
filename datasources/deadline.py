"""A deadline for a wait: `asyncio.timeout` at a fifth of its price, since every request has several of them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Deadline:
    """Ends what its block waits for after so many seconds: the block then raises TimeoutError."""

    __slots__ = ("_cancelled_before", "_late", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._late = False

    def __enter__(self) -> Self:
        """Begin; only a task can be ended."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for the wait of a task")
        self._task = task
        self._cancelled_before = task.cancelling()
        self._timer = task.get_loop().call_later(self._seconds, self._expire)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Raise TimeoutError where the wait was ended by this deadline, and by nobody else."""
        self._timer.cancel()
        if self._late and self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self._late = True
        self._task.cancel()
