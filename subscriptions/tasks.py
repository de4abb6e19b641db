"""Work that never ends by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds between two tries


async def keep_going(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do it until cancelled: what nobody foresaw is logged, and it starts anew."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001  # whatever it was, the worker goes on
            _log.exception("%s stumbled and starts anew", name)
        await asyncio.sleep(_PAUSE)
