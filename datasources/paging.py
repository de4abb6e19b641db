"""Keyset pages: where a page starts is a key, never an offset, so the millionth page costs what the first does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Generic, TypeVar

Row = TypeVar("Row")

# What stands for a missing key, as the `key` of the orderings has it.
_MISSING = {"timestamptz": "infinity", "float8": "-1.0"}


@dataclass(frozen=True, slots=True)
class Ordering:
    """An order of a list: what it sorts by, as SQL, and how its key travels in a cursor."""

    key: str
    type: str
    column: str
    descending: bool

    def key_of(self, row: object) -> str:
        """The sort key of a row as text that Postgres reads back exactly."""
        value = getattr(row, self.column)
        if value is None:
            return _MISSING[self.type]
        return value.isoformat() if isinstance(value, datetime) else str(value)

    def reads(self, key: str) -> bool:
        """Whether the text is a sort key as `key_of` writes it, and so one that Postgres reads."""
        try:
            if self.type == "timestamptz":
                moment = datetime.fromisoformat(key)
                return moment.tzinfo == UTC and moment.isoformat() == key
            if self.type == "float8":
                return isfinite(float(key)) and str(float(key)) == key
        except ValueError:
            return key == _MISSING[self.type]
        return "\0" not in key

    def parts(self, *, backward: bool) -> dict[str, str]:
        """The SQL of this order for a page read forwards, or backwards from its end."""
        descending = self.descending != backward
        return {
            "key": self.key,
            "type": self.type,
            "direction": "DESC" if descending else "ASC",
            "beyond": "<" if descending else ">",
            "within": ">" if descending else "<",
        }


@dataclass(frozen=True, slots=True)
class Key:
    """A place in a list: the sort key of a row, as text, and the row's id."""

    value: str
    id: str


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page: `limit` rows between two places, from the front or, backwards, from the end."""

    limit: int
    after: Key | None = None
    before: Key | None = None
    backward: bool = False

    def parameters(self) -> dict[str, object]:
        """The bounds in reading direction, and one row more than wanted to see whether the list goes on."""
        start, stop = (self.before, self.after) if self.backward else (self.after, self.before)
        return {
            "limit": self.limit + 1,
            "start": start and start.value,
            "start_id": start and start.id,
            "stop": stop and stop.value,
            "stop_id": stop and stop.id,
        }


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """The rows of a page in list order, and whether there are more on either side."""

    rows: Sequence[Row]
    has_next: bool
    has_previous: bool


def page(rows: list[Row], request: PageRequest) -> Page[Row]:
    """The page that `limit + 1` rows in reading direction make."""
    more = len(rows) > request.limit
    rows = rows[: request.limit]
    if request.backward:
        rows.reverse()
        return Page(rows, has_next=request.before is not None, has_previous=more or request.after is not None)
    return Page(rows, has_next=more or request.before is not None, has_previous=request.after is not None)
