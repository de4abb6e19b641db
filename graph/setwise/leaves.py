"""Leaves: a whole column of scalars or enums at once, as JSON has them.

Values of the type that a scalar expects stay as they are, which one look at the types in a column tells; orjson writes
them as the scalar would have. All others go one by one through the scalar itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from math import isfinite
from types import NoneType
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLScalarType,
    GraphQLString,
    Undefined,
)

from graph.setwise.shapes import Column, Unusual
from graph.types.scalars import format_time

_LARGEST = 2**31 - 1  # of an Int


def leaves(type_: GraphQLLeafType) -> Callable[[Column], Column]:
    """How a column of this type, in which null may stand, is made presentable."""
    one_by_one = _one_by_one(type_.coerce_output_value)
    native = _native(type_)
    if native is None:
        return one_by_one
    kind, presentable = native

    def whole(values: Column) -> Column:
        kinds = set(map(type, values))
        if kinds == {kind}:
            found = presentable(values)
        elif kinds == {kind, NoneType}:
            found = presentable([value for value in values if value is not None])
            if found is not None:
                filled = iter(found)
                found = [None if value is None else next(filled) for value in values]
        elif kinds <= {NoneType}:
            return values
        else:
            found = None
        return one_by_one(values) if found is None else found

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


def _native(type_: GraphQLLeafType) -> tuple[type, Callable[[Column], Column | None]] | None:
    """The Python type that needs no coercion, and a check of a column of it, which gives None where it needs some."""
    if isinstance(type_, GraphQLEnumType):
        kind = getattr(type_, "wrapped_cls", None)  # Strawberry's
        return (kind, _names(type_, kind)) if isinstance(kind, type) and issubclass(kind, Enum) else None
    if type_.coerce_output_value is format_time:
        return datetime, lambda values: values if all(value.tzinfo is UTC for value in values) else None
    return _SCALARS.get(type_)


def _as_they_are(values: Column) -> Column:
    return values


def _names(type_: GraphQLEnumType, kind: type[Enum]) -> Callable[[Column], Column]:
    names = {member: type_.coerce_output_value(member) for member in kind}
    return lambda values: [names[value] for value in values]


_SCALARS: dict[GraphQLScalarType, tuple[type, Callable[[Column], Column | None]]] = {
    GraphQLString: (str, _as_they_are),
    GraphQLID: (str, _as_they_are),
    GraphQLBoolean: (bool, _as_they_are),
    GraphQLInt: (int, lambda values: values if min(values) >= -_LARGEST and max(values) <= _LARGEST else None),
    GraphQLFloat: (float, lambda values: values if isfinite(sum(values)) else None),
}
