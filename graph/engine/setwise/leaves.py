"""Leaves: a whole column of scalars or enums at once, as JSON has them.

Values of the type that a scalar expects stay as they are, which one look at the types in a column tells; orjson writes
them as the scalar would have. All others go one by one through the scalar itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from math import isfinite
from operator import attrgetter
from types import NoneType
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
    Undefined,
)

from graph.engine.setwise.shapes import Column, Unusual
from graph.types.scalars import format_time

_zone_of = attrgetter("tzinfo")
_LARGEST = 2**31 - 1  # of an Int


def leaves(type_: GraphQLLeafType) -> Callable[[Column], Column]:
    """How a column of this type, in which null may stand, is made presentable."""
    one_by_one = _one_by_one(type_.coerce_output_value)
    if (enum := _enum(type_)) is not None:
        kind, names = enum
        kinds = {kind, NoneType}
        return lambda values: [*map(names.get, values)] if kinds.issuperset(map(type, values)) else one_by_one(values)
    native = (datetime, _in_utc) if type_.coerce_output_value is format_time else _SCALARS.get(type_)
    if native is None:
        return one_by_one
    only, fit = native

    def whole(values: Column) -> Column:
        kinds = set(map(type, values))
        present = [value for value in values if value is not None] if NoneType in kinds else values
        kinds.discard(NoneType)
        return values if not kinds or (kinds == {only} and fit(present)) else one_by_one(values)

    return whole


def _one_by_one(coerce: Callable[[Any], Any]) -> Callable[[Column], Column]:
    def presentable(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Exception):
            raise Unusual
        found = coerce(value)
        if found is None or found is Undefined:
            raise Unusual
        return found

    return lambda values: [presentable(value) for value in values]


def _enum(type_: GraphQLLeafType) -> tuple[type[Enum], dict[Enum, Any]] | None:
    """The Python enum behind one of Strawberry's, and how its members are called."""
    kind = getattr(type_, "wrapped_cls", None) if isinstance(type_, GraphQLEnumType) else None
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        return None
    return kind, {member: type_.coerce_output_value(member) for member in kind}


def _in_utc(values: Column) -> bool:
    return list(map(_zone_of, values)).count(UTC) == len(values)


def _any(_values: Column) -> bool:
    return True


# The Python type whose values need no coercion, as long as a column of them is fit for JSON.
_SCALARS: dict[GraphQLLeafType, tuple[type, Callable[[Column], bool]]] = {
    GraphQLString: (str, _any),
    GraphQLID: (str, _any),
    GraphQLBoolean: (bool, _any),
    GraphQLInt: (int, lambda values: min(values) >= -_LARGEST and max(values) <= _LARGEST),
    GraphQLFloat: (float, lambda values: isfinite(sum(values))),
}
