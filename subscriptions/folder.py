"""The folder: history goes from what just ended into the rollups that questions about a month are answered from.

Every worker has one, and whichever comes first folds while the others pass by. Nobody waits for it: what is not folded
yet is counted all the same.
"""

from __future__ import annotations

import asyncio
import logging
from secrets import SystemRandom

import asyncpg

from datasources.backoff import backoff
from datasources.postgres import Database, UnstorableValue, UpstreamError, UpstreamTimeout
from datasources.rollups import Unfolded, fold, fold_gap, folding, set_aside, unfolded

_log = logging.getLogger(__name__)

_EVERY = 2.0  # seconds: often enough to keep the rest small, seldom enough to write each rollup only so often
_PIECE = 10_000  # changes of one transaction
_LONGEST_PAUSE = 60.0  # seconds more, after failures
_TELL = 100_000  # changes between two words on how far it is


class Folder:
    """One worker's part in folding.

    `folded` counts changes, `days` whole days from their jobs, `refused` changes that cannot be folded, and `failures`
    attempts.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._piece = _PIECE
        self.folded = 0
        self.days = 0
        self.refused = 0
        self.failures = 0

    async def run(self) -> None:
        """Fold every few seconds, until cancelled."""
        attempt = 0
        while True:
            pause = backoff(attempt, _EVERY, _LONGEST_PAUSE)
            await asyncio.sleep(SystemRandom().uniform(0.8, 1.2) * _EVERY + pause)
            try:
                await self.fold()
                attempt = 0
            except (UpstreamError, asyncpg.PostgresError) as error:
                attempt += 1
                self.failures += 1
                _log.warning("folding has to be repeated: %s", error)

    async def fold(self) -> None:
        """Fold all there is, unless another worker is at it."""
        told = self.folded
        # In turns: what comes in now does not wait for a past of millions.
        while await self._fold_piece() or await self._fold_day():
            if self.folded - told >= _TELL:
                told = self.folded
                _log.info("folded %s changes into the rollups, %s to go", told, (await self._left()).changes)

    async def _fold_piece(self) -> bool:
        """Fold a piece, or find out why it cannot be; whether there may be more."""
        try:
            async with folding(self._database) as connection:
                folded = 0 if connection is None else await fold(connection, limit=self._piece)
        except (UnstorableValue, asyncpg.IntegrityConstraintViolationError, UpstreamTimeout) as error:
            if self._piece > 1:
                self._piece //= 10
            elif isinstance(error, UpstreamTimeout):
                raise
            else:
                await self._refuse(error)
            return True
        more = folded == self._piece
        self._piece = min(_PIECE, self._piece * 10)
        self.folded += folded
        return more

    async def _fold_day(self) -> bool:
        """Fold a day from its jobs; whether there was one."""
        async with folding(self._database) as connection:
            day = None if connection is None else await fold_gap(connection)
        if day is None:
            return False
        self.days += 1
        left = (await self._left()).days
        _log.info("folded %s of %s, %s changes; %s days to go", f"{day.day:%Y-%m-%d}", day.source, day.changes, left)
        return True

    async def _left(self) -> Unfolded:
        async with self._database.connection() as connection:
            return await unfolded(connection)

    async def _refuse(self, error: Exception) -> None:
        async with folding(self._database) as connection:
            if connection is not None:
                await set_aside(connection, code=type(error).__name__, message=str(error))
                self.refused += 1
                _log.error("a change cannot be folded and is left out of the history: %s", error)
