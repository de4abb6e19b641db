"""When to stop: told by a signal, or because the process that started us is gone, however it went."""

from __future__ import annotations

import asyncio
import os
import signal

_LOOK_SECONDS = 2.0


def stopped_by_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def until_over(stop: asyncio.Event) -> None:
    """Wait until told to stop, or until our parent has died: nobody would stop us then."""
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent:
        await wait(stop, _LOOK_SECONDS)
    stop.set()


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but no longer than so many seconds."""
    try:
        await asyncio.wait_for(event.wait(), timeout=seconds)
    except TimeoutError:
        return
