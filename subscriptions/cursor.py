"""Cursors of the ledger: where a subscriber stands, as opaque text that any worker can go on from.

The text is the ledger's name, the highest number, and each gap as the distance from the one before, with how many more
numbers it has: a cursor with thousands of gaps still fits into a frame. The full stop tells that nothing is cut off,
for a cursor with fewer gaps would claim more.
"""

from __future__ import annotations

import base64
import binascii
import re

from datasources.events import Position, Range

_SHAPE = re.compile(r"([0-9a-f]{12}):(0|[1-9]\d{0,17}):((?:[1-9]\d{0,17}(?:\+[1-9]\d{0,17})?(?:,(?!\.)|(?=\.)))*)\.")
_LONGEST = 49_152  # characters of a cursor: with its operation it must fit into a frame of 64 KiB


class BadCursor(ValueError):
    """Text that is no cursor of a ledger."""

    def __init__(self) -> None:
        super().__init__("not a cursor of a subscription")


def write_cursor(identity: str, position: Position) -> str:
    """The cursor of a position in the ledger of that name."""
    gaps, before = [], 0
    for first, last in position.gaps:
        gaps.append(f"{first - before}+{last - first}" if last > first else f"{first - before}")
        before = last
    text = f"{identity}:{position.high}:{','.join(gaps)}."
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[str, Position]:
    """The ledger's name and the position that a cursor tells; raises BadCursor where it is none."""
    if len(text) > _LONGEST:
        raise BadCursor
    try:
        padded = text + "=" * (-len(text) % 4)
        match = _SHAPE.fullmatch(base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii"))
    except (binascii.Error, ValueError) as error:
        raise BadCursor from error
    if match is None:
        raise BadCursor
    gaps: list[Range] = []
    before = -1
    for gap in filter(None, match[3].split(",")):
        distance, _, more = gap.partition("+")
        first = max(before, 0) + int(distance)
        last = first + int(more or 0)
        if first == before + 1:
            raise BadCursor
        gaps.append((first, last))
        before = last
    if before >= int(match[2]):
        raise BadCursor
    return match[1], Position(int(match[2]), tuple(gaps))
