"""The audit log: who failed to prove who they are, which keys are used, what was refused, and what admins did.

What is told alike within a minute is one row with its number of times: a flood of guesses is a line, not a flood of
rows. Nobody waits: one writer adds the rows once a second, and keeps them while the database is away. Failures and
refusals are in the log already, each in the line of its exchange; here only what has no such line gets one. No token,
no variable and no query ever stands in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg

from datasources.audit import AuditKind, AuditRow, record
from datasources.postgres import Database, UpstreamError
from graph.operating.exchanges import Exchange, current

_REFUSALS = frozenset({"FORBIDDEN", "QUERY_TOO_COMPLEX", "RATE_LIMITED", "DOCUMENT_NOT_TRUSTED"})

_MOST = 10_000  # rows that wait; beyond, new ones are dropped and counted
_KEYS = 10_000  # whose use is remembered; beyond, the one used longest ago is told again
_PIECE = 1_000  # rows of one statement
_EVERY = 1.0  # seconds
_LONGEST = 300  # characters
_PATIENCE = 5.0  # seconds for the last rows, when the server ends

_log = logging.getLogger("graph.audit")


class Audit:
    """The audit log as one worker writes it; `counts` tells how many rows were noted, written and dropped."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: OrderedDict[bytes, AuditRow] = OrderedDict()
        self._used: OrderedDict[str | None, bytes] = OrderedDict()
        self._away = False
        self.counts: Counter[str] = Counter(noted=0, written=0, dropped=0, failures=0)

    def note(
        self,
        kind: str,
        *,
        code: str | None = None,
        viewer: str | None = None,
        address: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Take note of something; never waits. Viewer and address are those of the exchange where they are left out."""
        now = current.get()
        row = AuditRow(
            at=datetime.now(UTC),
            kind=AuditKind(kind),
            code=_plain(code),
            viewer=_plain(viewer or (now.viewer.name if now else None)),
            address=_plain(address or (now.address if now else None)),
            request_id=now.id if now else None,
            detail=_plain(detail),
        )
        if row.kind is AuditKind.KEY_USED and not self._first_use(row):
            return
        if row.kind in {AuditKind.KEY_USED, AuditKind.ADMIN_ACTION}:
            _tell(row)
        self.counts["noted"] += 1
        self._add(row)

    def refused(self, now: Exchange) -> None:
        """Take note of an exchange that was refused, if that was for one of the reasons that matter here."""
        token = current.set(now)
        try:
            for code in _REFUSALS.intersection(now.codes):
                self.note(AuditKind.OPERATION_REFUSED, code=code)
        finally:
            current.reset(token)

    async def run(self) -> None:
        """Write what waits once a second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.write()

    async def write(self) -> None:
        """Write what waits; what cannot be written goes on waiting."""
        while self._waiting:
            rows = [self._waiting.pop(id_) for id_ in list(self._waiting)[:_PIECE]]
            written = False
            try:
                await record(self._database, rows)
                written = True
            except (UpstreamError, asyncpg.PostgresError) as error:
                self._fail(error)
                return
            finally:
                if not written:
                    for row in rows:
                        self._add(row)
            self._away = False
            self.counts["written"] += len(rows)

    async def close(self) -> None:
        """Write what still waits; what the database does not take in time is counted as dropped."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.write()
        except TimeoutError:
            _log.warning("the audit log did not get its last rows written in time")
        if self._waiting:
            _log.error("%s rows of the audit log are lost, since the database did not take them", len(self._waiting))

    def _fail(self, error: Exception) -> None:
        if not self._away:
            _log.warning("the audit log waits for the database: %s", error)
        self._away = True
        self.counts["failures"] += 1

    def _first_use(self, row: AuditRow) -> bool:
        """Whether this is a key's first use in this hour."""
        if self._used.get(row.viewer) == row.id:
            return False
        self._used[row.viewer] = row.id
        self._used.move_to_end(row.viewer)
        if len(self._used) > _KEYS:
            self._used.popitem(last=False)
        return True

    def _add(self, row: AuditRow) -> None:
        waiting = self._waiting.get(row.id)
        if waiting is not None:
            self._waiting[row.id] = replace(waiting, times=waiting.times + row.times)
        elif len(self._waiting) < _MOST:
            self._waiting[row.id] = row
        else:
            if not self.counts["dropped"]:
                _log.error("the audit log drops rows: %s wait for the database already", _MOST)
            self.counts["dropped"] += 1


def _plain(text: str | None) -> str | None:
    """Text from outside as it may stand in a row: short, and nothing that cannot be printed or stored."""
    return None if text is None else text[:_LONGEST].encode("unicode_escape").decode("ascii")


def _tell(row: AuditRow) -> None:
    said = {"kind": row.kind, "code": row.code, "viewer": row.viewer, "address": row.address, "detail": row.detail}
    _log.info("%s: %s %s", row.kind, row.viewer, row.detail or "", extra={**said, "request_id": row.request_id})
