"""Rows in Postgres' binary COPY format.

A row is fragments laid side by side, so what many rows share is encoded once, and the server has no text to
parse: that, and not Postgres, would set the pace.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Where Postgres begins to count the microseconds of a timestamptz."""

NULL = struct.pack(">i", -1)

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = struct.pack(">h", -1)
_ROWS_A_MESSAGE = 500

_MOMENT = struct.Struct(">iq")


def microseconds(at: datetime) -> int:
    """A moment as Postgres counts it."""
    return (at - EPOCH) // timedelta(microseconds=1)


def moment(at: int) -> datetime:
    """The moment that lies so many microseconds after Postgres' epoch."""
    return EPOCH + timedelta(microseconds=at)


def columns(count: int) -> bytes:
    """What every row of a table with so many columns starts with."""
    return struct.pack(">h", count)


def text(value: str | None) -> bytes:
    """A text field."""
    if value is None:
        return NULL
    encoded = value.encode()
    return struct.pack(">i", len(encoded)) + encoded


def integer(value: int) -> bytes:
    """An integer field of four bytes."""
    return struct.pack(">ii", 4, value)


def double(value: float | None) -> bytes:
    """A double precision field."""
    return NULL if value is None else struct.pack(">id", 8, value)


def timestamp(at: int | None) -> bytes:
    """A timestamptz field, from microseconds since Postgres' epoch."""
    return NULL if at is None else _MOMENT.pack(8, at)


async def stream(rows: Iterator[bytes], sent: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The rows as messages of a COPY; tells after each message how many rows went."""
    yield _SIGNATURE
    count = 0
    while batch := list(islice(rows, _ROWS_A_MESSAGE)):
        yield b"".join(batch)
        count += len(batch)
        sent(count)
    yield _TRAILER
