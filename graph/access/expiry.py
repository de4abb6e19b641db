"""When credentials are over while a connection goes on: looked at again every few seconds, as clocks are set and API
keys revoked."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from graph.viewer import Viewer

FORBIDDEN = 4403
TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105  # a code

_LOOK_AGAIN = 4.0  # seconds: a clock that was set, or a machine that slept, is noticed that soon
_LOOK_AGAIN_AT_KEYS = 1.0  # seconds: they may be revoked


@dataclass(frozen=True, slots=True)
class End:
    """Why credentials are over: the code of an error, and the reason a socket is closed with."""

    code: str
    reason: str


EXPIRED = End(TOKEN_EXPIRED, "token expired")
REVOKED = End("UNAUTHENTICATED", "key revoked")


class Expiry:
    """Calls `over` once the viewer's credentials have expired, or were taken back."""

    def __init__(self, over: Callable[[End], None]) -> None:
        self._over = over
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, viewer: Viewer) -> None:
        """Watch these credentials from now on, and no others."""
        self.stop()
        if viewer.expires_at is not None or viewer.holds is not None:
            self._look(viewer)

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, viewer: Viewer) -> None:
        left = math.inf if viewer.expires_at is None else viewer.expires_at - time.time()
        if left <= 0:
            self._over(EXPIRED)
        elif not (viewer.holds is None or viewer.holds()):
            self._over(REVOKED)
        else:
            soon = min(left, _LOOK_AGAIN if viewer.holds is None else _LOOK_AGAIN_AT_KEYS)
            self._timer = asyncio.get_running_loop().call_later(soon, self._look, viewer)
