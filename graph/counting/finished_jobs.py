"""Jobs as they end, counted from the ledger by one worker of a server: all of them read it, one counts.

That one holds a lock on a file, which the system gives back when it dies; another then goes on from its own place.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from pathlib import Path

from datasources.events import EventRow
from datasources.metrics import runs
from datasources.postgres import Database, UpstreamError
from graph.operating.metrics import DIRECTORY, Metrics
from subscriptions.follower import Delivered
from subscriptions.live import Live

if sys.platform != "win32":
    import fcntl

_log = logging.getLogger(__name__)

_EVERY = 1.0  # seconds
_PIECE = 500  # jobs of one statement
_MOST = 10_000  # jobs that wait to be counted; beyond them the oldest count without their times
_OUTCOMES = {"completed", "failed", "cancelled"}


class FinishedJobs:
    """Counts jobs that end, with how long they ran and waited."""

    def __init__(self, database: Database, metrics: Metrics, live: Live) -> None:
        self._database = database
        self._metrics = metrics
        self._live = live
        self._waiting: deque[EventRow] = deque()
        self._lock: int | None = None

    async def run(self) -> None:
        """Count, until cancelled."""
        try:
            while not self._ours():  # noqa: ASYNC110  # what is waited for happens in another process
                await asyncio.sleep(_EVERY)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._count())
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _ours(self) -> bool:
        """Whether it is this worker that counts."""
        directory = os.environ.get(DIRECTORY)
        if directory is None or sys.platform == "win32":
            return True
        lock = os.open(Path(directory) / "finished-jobs.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    async def _listen(self) -> None:
        while True:
            try:
                trail = (await self._live.follower()).trail()
                break
            except UpstreamError:
                await asyncio.sleep(_EVERY)  # the follower says itself what is wrong
        async for item in trail:
            if isinstance(item, Delivered) and item.event.kind == "job" and item.event.status in _OUTCOMES:
                self._waiting.append(item.event)
                if len(self._waiting) > _MOST:
                    event = self._waiting.popleft()
                    self._metrics.job(event.status, event.environment, None, None)

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            while self._waiting:
                events = [self._waiting.popleft() for _ in range(min(_PIECE, len(self._waiting)))]
                try:
                    found = await runs(self._database, [event.job_id for event in events if event.job_id is not None])
                except UpstreamError as error:
                    _log.warning("jobs that ended are counted without their times: %s", error)
                    found = {}
                for event in events:
                    run = found.get(event.job_id or "")
                    duration, wait = (None, None) if run is None else (run.duration, run.queue_wait)
                    self._metrics.job(event.status, event.environment, duration, wait)
