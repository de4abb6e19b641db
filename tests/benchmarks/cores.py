"""Which cores the measured server has to itself, and which are for everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def apart() -> Iterator[frozenset[int]]:
    """Keep this process and what it starts off one core, until the block ends; gives that core, or none."""
    if sys.platform != "linux":
        yield frozenset()
        return
    allowed = os.sched_getaffinity(0)
    if len(allowed) == 1:
        yield frozenset()
        return
    server = frozenset({min(allowed)})
    os.sched_setaffinity(0, allowed - server)
    try:
        yield server
    finally:
        os.sched_setaffinity(0, allowed)
