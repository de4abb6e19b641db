"""Shapes: the nulls and lists around what a field holds, taken off a whole column and put on again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from types import CoroutineType, GeneratorType, NoneType
from typing import Any

from graphql import GraphQLList, GraphQLNonNull, GraphQLOutputType
from graphql.pyutils import UndefinedType

Column = Sequence[Any]  # one value for each parent
Restore = Callable[[Column], Column]

_KINDS_KNOWN = 100  # types of values; those of narrow rows come and go


class Unusual(Exception):
    """Only graphql-core answers this exactly."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Whether null may stand here, and the shape of the items where this is a list."""

    nullable: bool
    items: Shape | None

    @classmethod
    def of(cls, type_: GraphQLOutputType) -> Shape:
        """The shape of a type."""
        inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        return cls(inner is type_, cls.of(inner.of_type) if isinstance(inner, GraphQLList) else None)

    def take_off(self, values: Column) -> tuple[Column, Restore]:
        """What stands within, without nulls and in one list, and how to put what came of it in its places."""
        kinds = set(map(type, values))
        if not all(map(ordinary, kinds)):
            raise Unusual
        if NoneType not in kinds:
            return self._flatten(values)
        if not self.nullable:
            raise Unusual
        flat, restore = self._flatten([value for value in values if value is not None])

        def with_nulls(found: Column) -> Column:
            restored = iter(restore(found))
            return [None if value is None else next(restored) for value in values]

        return flat, with_nulls

    def _flatten(self, values: Column) -> tuple[Column, Restore]:
        if self.items is None:
            return values, _as_it_is
        if not {list, tuple}.issuperset(map(type, values)):
            raise Unusual
        flat, restore = self.items.take_off(list(chain.from_iterable(values)))

        def in_lists(found: Column) -> Column:
            restored = iter(restore(found))
            return [list(islice(restored, len(value))) for value in values]

        return flat, in_lists


def _as_it_is(found: Column) -> Column:
    return found


@lru_cache(_KINDS_KNOWN)
def ordinary(kind: type) -> bool:
    """Whether values of this type mean what they are, rather than an error, or something to wait for."""
    unusual = (Exception, UndefinedType, GeneratorType, CoroutineType)
    return not issubclass(kind, unusual) and not hasattr(kind, "__await__")
