"""The audit log in the database: who failed to prove who they are, what was refused, and what admins did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b

from datasources.postgres import Connection, Database, fetch
from datasources.sql import queries

_SQL = queries("audit")


class AuditKind(StrEnum):
    """What sort of thing happened."""

    AUTHENTICATION_FAILED = "authentication_failed"
    KEY_USED = "key_used"
    OPERATION_REFUSED = "operation_refused"
    ADMIN_ACTION = "admin_action"

    @property
    def seconds(self) -> int:
        """How long the same again is the same entry."""
        return 3600 if self is AuditKind.KEY_USED else 60


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Something that happened, so many times within a minute."""

    at: datetime
    kind: AuditKind
    code: str | None
    viewer: str | None
    address: str | None
    request_id: str | None
    detail: str | None
    times: int = 1

    @property
    def id(self) -> bytes:
        """The same for what is told alike within a minute; of keys that are used, within an hour."""
        told = [self.kind, int(self.at.timestamp() // self.kind.seconds), self.viewer]
        if self.kind is not AuditKind.KEY_USED:
            told += [self.code, self.address, self.detail]
        return blake2b(repr(told).encode(), digest_size=16).digest()


async def record(database: Database, rows: Sequence[AuditRow]) -> None:
    """Add entries of distinct ids; those that stand there have happened again."""
    rows = sorted(rows, key=lambda row: row.id)  # all writers in one order, or they might wait for each other
    await database.fetch(
        _SQL["record"],
        {
            "ids": [row.id for row in rows],
            "ats": [row.at for row in rows],
            "kinds": [row.kind for row in rows],
            "codes": [row.code for row in rows],
            "viewers": [row.viewer for row in rows],
            "addresses": [row.address for row in rows],
            "request_ids": [row.request_id for row in rows],
            "details": [row.detail for row in rows],
            "times": [row.times for row in rows],
        },
    )


async def newest(database: Database, last: int, kind: AuditKind | None = None) -> list[AuditRow]:
    """The newest entries, newest first."""
    rows = await database.fetch(_SQL["newest"], {"last": last, "kind": kind})
    return [AuditRow(at, AuditKind(kind), *rest) for at, kind, *rest in rows]


async def prune_audit(connection: Connection, *, seconds: float, limit: int) -> int:
    """Forget up to `limit` entries that are older; gives how many."""
    return len(await fetch(connection, _SQL["prune_audit"], {"seconds": seconds, "limit": limit}))
