"""What a subscription asks, and whether two ask the same."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import cast

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    Visitor,
    visit,
)

from graph.engine.execution import Operation
from graph.viewer import Viewer

_LEDGER = frozenset({"jobUpdates", "nodeExecutions", "activity"})


@dataclass(frozen=True, slots=True)
class Topic:
    """A subscription's root field; those with the same `key` are told the same."""

    field: str
    key: Hashable
    after: str | None
    as_of: frozenset[str]

    @property
    def on_ledger(self) -> bool:
        """Whether it tells transitions, none of which may be lost, rather than gauges."""
        return self.field in _LEDGER

    @classmethod
    def of(cls, operation: Operation, viewer: Viewer) -> Topic:
        """What a viewer asks with a subscription."""
        root = _root(operation.document, operation.definition.selection_set)
        variables = dict(operation.request.variables or {})
        value = next((argument.value for argument in root.arguments or () if argument.name.value == "after"), None)
        after = value.value if isinstance(value, StringValueNode) else None
        names = _Names()
        visit(operation.document, names)
        if isinstance(value, VariableNode):
            given = variables.get(value.name.value, _default(operation.definition, value.name.value))
            after = given if isinstance(given, str) else None
            # Only what may stand there is no matter of all: where it is declared, and here.
            if given == after and names.variables.count(value.name.value) == 2:
                variables.pop(value.name.value, None)
        request = operation.request
        key = (
            viewer.sight,
            request.query,
            request.operation_name,
            orjson.dumps(variables, option=orjson.OPT_SORT_KEYS),
        )
        return cls(root.name.value, key, after, frozenset(names.as_of))


def _root(document: DocumentNode, selections: SelectionSetNode) -> FieldNode:
    """The root field, of which validation lets a subscription have one, wherever it stands."""
    match selections.selections[0]:
        case FieldNode() as field:
            return field
        case InlineFragmentNode() as fragment:
            return _root(document, fragment.selection_set)
        case spread:
            name = cast(FragmentSpreadNode, spread).name.value
            fragments = (each for each in document.definitions if isinstance(each, FragmentDefinitionNode))
            return _root(document, next(each.selection_set for each in fragments if each.name.value == name))


def _default(definition: OperationDefinitionNode, name: str) -> str | None:
    """The text that a variable stands for where the request does not say."""
    values = (each.default_value for each in definition.variable_definitions or () if each.variable.name.value == name)
    value = next(values, None)
    return value.value if isinstance(value, StringValueNode) else None


class _Names(Visitor):
    """Collects where variables stand, and under which names `asOf` is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: list[str] = []
        self.as_of: list[str] = []

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.variables.append(node.name.value)

    def enter_field(self, node: FieldNode, *_: object) -> None:
        if node.name.value == "asOf":
            self.as_of.append(node.alias.value if node.alias else "asOf")
