"""What the answer to an operation can cost, told before anything is read: a field is 1, an object 5.

A page counts as full. Where its size stands in a variable, the cost is kept as a sum over such pages, so that a
request that only brings other values is weighed in microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLSchema,
    Undefined,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_introspection_type,
    is_leaf_type,
    is_list_type,
    value_from_ast_untyped,
)

OBJECT = 5  # in plain fields: an object is built, and often waited for

_SIZES = ("last", "first", "ids", "bins", "input")  # arguments that say how much there is; the first given one counts
_PAGE = 100  # a longer default is a bound that is hardly ever reached, and what is read beyond has one of its own
_LONGEST = 1000  # a list that is asked to be longer is refused by its resolver, in better words
_SHORT = 10  # a list that has no size: of types' fields, of kinds of errors
_ARGUMENTS = 3  # of a field, in introspection: few have more, and nothing below leads back to fields
_POINTS = 1500  # of a time series, which tells its step and not its length


@dataclass(slots=True)
class Sum:
    """A number, plus so many times each of some pages."""

    fixed: int = 0
    pages: dict[int, int] = field(default_factory=dict)

    def add(self, other: Sum, times: int = 1) -> None:
        """Count another one in, so many times."""
        self.fixed += times * other.fixed
        for page, count in other.pages.items():
            self.pages[page] = self.pages.get(page, 0) + times * count

    def worth(self, pages: Sequence[int]) -> int:
        """The number, once those of the pages are known."""
        return self.fixed + sum(count * pages[page] for page, count in self.pages.items())


Size = Callable[[object], int]  # how long the value of an argument makes a list


@dataclass(frozen=True, slots=True)
class Length:
    """How long a list is: as the first of these variables says that has a value, or else."""

    variables: tuple[tuple[str, Size], ...]
    otherwise: int

    def known(self, variables: Mapping[str, Any]) -> int:
        """The length with these variables."""
        sizes = (size(variables[name]) for name, size in self.variables if variables.get(name) is not None)
        return next(sizes, self.otherwise)


class Pages:
    """The pages of a document whose size stands in a variable; each may hold those before it."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._pages: list[tuple[Length, Sum]] = []
        self._types = len(schema.type_map)

    def full(self, node: FieldNode, definition: GraphQLField, parent: GraphQLNamedType, item: Sum) -> Sum:
        """The cost of a field that has this item, or a page full of them."""
        length = self._length(node, definition, parent)
        whole = Sum(1 if is_introspection_type(parent) else OBJECT)
        if length.variables:
            self._pages.append((length, item))
            whole.pages[len(self._pages) - 1] = 1
        else:
            whole.add(item, length.otherwise)
        return whole

    def total(self, cost: Sum, variables: Mapping[str, Any]) -> int:
        """What it comes to with these variables."""
        worths: list[int] = []
        if cost.pages:
            for length, item in self._pages:
                worths.append(length.known(variables) * item.worth(worths))
        return cost.worth(worths)

    def _length(self, node: FieldNode, definition: GraphQLField, parent: GraphQLNamedType) -> Length:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        variables: list[tuple[str, Size]] = []
        for name in _SIZES:
            argument = definition.args.get(name)
            if argument is None or (size := _size_of(argument)) is None:
                continue
            value = given.get(name)
            if isinstance(value, VariableNode):
                variables.append((value.name.value, size))
            elif value is not None and (known := value_from_ast_untyped(value)) is not None:
                return Length(tuple(variables), size(known))
            if argument.default_value is not Undefined and argument.default_value is not None:
                return Length(tuple(variables), min(argument.default_value, _PAGE))
        return Length(tuple(variables), _LONGEST if variables else self._unsized(definition, parent))

    def _unsized(self, definition: GraphQLField, parent: GraphQLNamedType) -> int:
        if not is_list_type(get_nullable_type(definition.type)) or is_leaf_type(get_named_type(definition.type)):
            return 1
        if parent.name == "__Schema":
            return self._types
        if parent.name == "__Field":
            return _ARGUMENTS
        if "step" in definition.args:
            return _POINTS
        return 1 if parent.name.endswith("Connection") else _SHORT


def _size_of(argument: GraphQLArgument) -> Size | None:
    if is_list_type(get_nullable_type(argument.type)):
        return _items
    return None if isinstance(get_named_type(argument.type), GraphQLInputObjectType) else _number


def _items(value: object) -> int:
    """How many a list has; what is no list stands for a list of itself."""
    return min(len(value), _LONGEST) if isinstance(value, list) else 1


def _number(value: object) -> int:
    """A number as it may count, 100.0 as 100; what is none will be refused, and counts as the most until then."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _LONGEST
    if value < 1:
        return 1
    return ceil(value) if value < _LONGEST else _LONGEST
