"""How long to wait before something that failed is tried again: longer each time, and not all at the same moment."""

from __future__ import annotations

from secrets import SystemRandom

_DOUBLINGS = 60  # more would be too large for a float one day, and any wait is at its longest by then


def backoff(attempt: int, first: float, longest: float) -> float:
    """Seconds before an attempt, counted from 0: none, then up to `first`, and up to twice as many each time."""
    if attempt == 0:
        return 0.0
    return SystemRandom().uniform(0, min(longest, first * 2.0 ** min(attempt - 1, _DOUBLINGS)))
