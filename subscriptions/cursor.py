"""Cursors of the ledger: where a subscriber stands, as opaque text that any worker can go on from."""

from __future__ import annotations

import base64
import binascii
import re

from datasources.events import Position

_SHAPE = re.compile(r"([0-9a-f]{12}):(\d{1,18}):((?:\d{1,18}-\d{1,18}(?:,\d{1,18}-\d{1,18})*)?)")
_LONGEST = 65_536  # characters of a cursor


class BadCursor(ValueError):
    """Text that is no cursor of a ledger."""


def write_cursor(identity: str, position: Position) -> str:
    """The cursor of a position in the ledger of that name."""
    gaps = ",".join(f"{first}-{last}" for first, last in position.gaps)
    return base64.urlsafe_b64encode(f"{identity}:{position.high}:{gaps}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[str, Position]:
    """The ledger's name and the position that a cursor tells; raises BadCursor where it is none."""
    try:
        padded = text[:_LONGEST] + "=" * (-len(text) % 4)
        match = _SHAPE.fullmatch(base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii"))
    except (binascii.Error, ValueError) as error:
        raise BadCursor("not a cursor of a subscription") from error
    if match is None:
        raise BadCursor("not a cursor of a subscription")
    high, gaps, before = int(match[2]), [], 0
    for text_range in filter(None, match[3].split(",")):
        first, last = (int(number) for number in text_range.split("-"))
        if not before < first <= last < high:
            raise BadCursor("not a cursor of a subscription")
        gaps.append((first, last))
        before = last
    return match[1], Position(high, tuple(gaps))
