"""What the answer to a document can cost, told before anything is read.

A fragment that spreads another twice doubles with every level, and a page of pages of pages multiplies: a document
of a few lines can ask for billions of fields. Pages count as full; what has no page size is short.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_introspection_type,
    is_list_type,
    value_from_ast_untyped,
)

_SIZES = ("last", "first", "ids", "bins")  # arguments that say how long a list is; the first one that is given counts
_PAGE = 100  # a longer default is a bound that is hardly ever reached
_USUAL = 20
_LONGEST = 1000  # a list that is asked to be longer is refused by its resolver, in better words
_POINTS = 1500  # of a time series, which tells its step and not its length
_INTROSPECTED = 10  # types, fields, arguments: about so many of each
_OBJECT = 5  # in plain fields: an object is built, and often waited for


class Cost:
    """Counts the largest answer that an operation can have: a field is 1, an object 5; the document must be valid."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._operation = operation
        defaults = {
            definition.variable.name.value: value_from_ast_untyped(definition.default_value)
            for definition in operation.variable_definitions or ()
            if definition.default_value is not None
        }
        self._variables = {**defaults, **variables}
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._counted: dict[str, int] = {}

    def total(self) -> int:
        """The cost of the whole operation."""
        root = self._schema.get_root_type(self._operation.operation)
        return 0 if root is None else self._selected(self._operation.selection_set, root)

    def _selected(self, selections: SelectionSetNode, parent: GraphQLNamedType) -> int:
        return sum(self._selection(node, parent) for node in selections.selections)

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType) -> int:
        if isinstance(node, FieldNode):
            return self._field(node, parent)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value)
        if isinstance(node, InlineFragmentNode):
            on = self._schema.type_map[node.type_condition.name.value] if node.type_condition else parent
            return self._selected(node.selection_set, on)
        raise TypeError(f"a selection cannot be a {node.kind}")

    def _fragment(self, name: str) -> int:
        if name not in self._counted:
            fragment = self._fragments[name]
            on = self._schema.type_map[fragment.type_condition.name.value]
            self._counted[name] = self._selected(fragment.selection_set, on)
        return self._counted[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType) -> int:
        if node.selection_set is None or not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return 1
        field = self._schema.get_field(parent, node.name.value)
        if field is None:
            return 1
        length = self._introspected(field) if is_introspection_type(parent) else self._length(node, field)
        return _OBJECT + length * self._selected(node.selection_set, get_named_type(field.type))

    def _length(self, node: FieldNode, field: GraphQLField) -> int:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        for name in _SIZES:
            if name in field.args:
                default = field.args[name].default_value
                size = value_from_ast_untyped(given[name], self._variables) if name in given else default
                if isinstance(size, list):
                    return len(size)
                if isinstance(size, int):
                    return min(max(size, 1), _LONGEST) if name in given or size <= _PAGE else _USUAL
        return _POINTS if "step" in field.args else 1

    @staticmethod
    def _introspected(field: GraphQLField) -> int:
        return _INTROSPECTED if is_list_type(get_nullable_type(field.type)) else 1
