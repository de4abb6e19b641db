"""When credentials are over while a connection goes on: looked at again every few seconds, as clocks are set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from graph.viewer import Viewer

FORBIDDEN = 4403
EXPIRED = "token expired"
TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105  # a code

_LOOK_AGAIN = 4.0  # seconds: a clock that was set, or a machine that slept, is noticed that soon


class Expiry:
    """Calls `over` once the viewer's credentials have expired."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, viewer: Viewer) -> None:
        """Watch these credentials from now on, and no others."""
        self.stop()
        if viewer.expires_at is not None:
            self._look(viewer.expires_at)

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, expires_at: float) -> None:
        left = expires_at - time.time()
        if left <= 0:
            self._over()
        else:
            self._timer = asyncio.get_running_loop().call_later(min(left, _LOOK_AGAIN), self._look, expires_at)
