"""Rows with the columns that somebody reads, and no others: to decode a row takes longer than all that we do with it.

A statement gives those it is told of (`--? reads_hostname` behind a line of its SQL). The rows that come of it raise
NotRead where anything else is looked at: what was not read is never taken for null.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar, cast

Reads = frozenset[str] | None  # the names of columns, or of what is made of them; None stands for all

_KEPT = 100  # sets of columns of one type of rows
_MEANINGS = "_meanings"  # where a type of narrow rows has those of its words, by column


class NotRead(LookupError):
    """A column was looked at that the statement had not been asked for."""


Row = TypeVar("Row", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True)
class Reading(Generic[Row]):
    """Some columns: what to tell the statement, and the row in a record of them."""

    columns: frozenset[str]
    row: Callable[[Any], Row]


class Columns(Generic[Row]):
    """The columns of a type of rows, which are its fields in their order; the first is read by everybody."""

    def __init__(
        self,
        row: type[Row],
        words: Mapping[str, Mapping[str, object]],
        made_of: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        named = cast(Any, row)  # a NamedTuple, which has no type of its own
        self._row = row
        self._fields: tuple[str, ...] = named._fields
        self._words = words  # of columns that hold one of a few words: what each stands for
        self._made_of = made_of or {}
        self._whole = Reading(_told(self._fields), named.of)
        self._narrow = lru_cache(_KEPT)(self._narrowed)

    def reading(self, reads: Reads, *also: str) -> Reading[Row]:
        """How to read these columns, and those that the statement needs itself."""
        return self._whole if reads is None else self._narrow(reads.union(also))

    def _narrowed(self, reads: frozenset[str]) -> Reading[Row]:
        wanted = {self._fields[0], *reads}.union(*(self._made_of.get(name, ()) for name in reads))
        read = [name for name in self._fields if name in wanted]
        narrow = namedtuple(self._row.__name__, read)  # type: ignore[misc]  # its fields differ
        others: dict[str, object] = {
            name: property(partial(_not_read, name)) for name in self._fields if name not in wanted
        }
        meanings = {name: meaning for name, meaning in self._words.items() if name in wanted}
        words = {name: property(partial(_word, meaning, read.index(name))) for name, meaning in meanings.items()}
        body = {"__slots__": (), _MEANINGS: meanings, **others, **words}
        kind = type(self._row.__name__, (narrow, self._row), body)
        return Reading(_told(read), partial(tuple.__new__, kind))


def by_column(rows: Sequence[object]) -> Mapping[str, Sequence[object]]:
    """Narrow rows turned into columns, by name, all in one go; none of rows of any other type, or of several."""
    kinds = set(map(type, rows))
    kind: Any = kinds.pop() if len(kinds) == 1 else None
    meanings: Mapping[str, Mapping[str, object]] | None = getattr(kind, _MEANINGS, None)
    if meanings is None:
        return {}
    columns: dict[str, Sequence[object]] = dict(zip(kind._fields, zip(*cast(Any, rows), strict=True), strict=True))
    for name, meaning in meanings.items():
        columns[name] = list(map(meaning.__getitem__, cast(Sequence[str], columns[name])))
    return columns


def _told(names: Iterable[str]) -> frozenset[str]:
    return frozenset(f"reads_{name}" for name in names)


def _word(words: Mapping[str, object], place: int, row: Any) -> object:
    return words[row[place]]


def _not_read(name: str, _row: object) -> object:
    raise NotRead(f"{name} was not read")
