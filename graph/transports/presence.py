"""Clients of HTTP that go away while we work for them: nobody goes on, and the statements end with the work.

What they report is taken to its end all the same: it may be the last that a robot said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from graph.operating.exchanges import exchange

T = TypeVar("T")

GONE = 499  # the status that only the log and the metrics see

_A_WHILE = 0.5  # seconds that are not worth a look whether somebody is still there


class ClientGone(Exception):
    """Nobody is there any more to hear the answer."""


async def while_there(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What comes of work, once the request's body is read; raises ClientGone where its client went away before."""
    loop, worker = asyncio.get_running_loop(), asyncio.current_task()
    watching: asyncio.Task[None] | None = None
    gone, now = False, exchange()

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        if worker is not None and not now.reports:
            gone = True
            worker.cancel()

    def begin() -> None:
        nonlocal watching
        watching = loop.create_task(watch())

    look = loop.call_later(_A_WHILE, begin)
    try:
        return await work
    except asyncio.CancelledError:
        if gone and worker is not None and worker.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        look.cancel()
        if watching is not None:
            watching.cancel()
