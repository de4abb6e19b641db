"""Systems that already hold jobs: followed by row triggers, copied by a backfill, left without a trace.

Each is one SQL file: where its tables are (`find`), which version they are of (`version`), the functions that
map a row of theirs to one of ours, the triggers that call them, and what is copied at first (`backfill`).
"""

from __future__ import annotations

from datasources.sources.attach import (
    AmbiguousSource,
    AttachReport,
    NotMigrated,
    SourceBusy,
    SourceError,
    SourceForbidden,
    SourceNotFound,
    UnknownSource,
    UnsupportedVersion,
    attach,
    detach,
    names,
    renew,
)

__all__ = [
    "AmbiguousSource",
    "AttachReport",
    "NotMigrated",
    "SourceBusy",
    "SourceError",
    "SourceForbidden",
    "SourceNotFound",
    "UnknownSource",
    "UnsupportedVersion",
    "attach",
    "detach",
    "names",
    "renew",
]
