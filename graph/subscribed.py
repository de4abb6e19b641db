"""What a subscription asks, and whether two ask the same."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import orjson
from graphql import FieldNode, OperationType, StringValueNode, VariableNode, Visitor, visit

from graph.execution import Answer, Operation, Refused

_LEDGER = frozenset({"jobUpdates", "nodeExecutions", "activity"})


@dataclass(frozen=True, slots=True)
class Question:
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
    def of(cls, operation: Operation) -> Question:
        """What an operation asks; raises Refused where it is no subscription."""
        root = next(
            (node for node in operation.definition.selection_set.selections if isinstance(node, FieldNode)), None
        )
        if operation.type is not OperationType.SUBSCRIPTION or root is None:
            message = "This is no subscription to one field: send queries and mutations as requests."
            error = {"message": message, "extensions": {"code": "NOT_A_SUBSCRIPTION"}}
            raise Refused(Answer({"errors": [error]}, executed=False))
        variables = dict(operation.request.variables or {})
        value = next((argument.value for argument in root.arguments or () if argument.name.value == "after"), None)
        after = value.value if isinstance(value, StringValueNode) else None
        names = _Names()
        visit(operation.document, names)
        if isinstance(value, VariableNode):
            after = variables.get(value.name.value)
            if names.variables.count(value.name.value) == 2:  # where it is declared, and here
                variables.pop(value.name.value, None)
        request = operation.request
        key = (request.query, request.operation_name, orjson.dumps(variables, option=orjson.OPT_SORT_KEYS))
        return cls(root.name.value, key, after, frozenset(names.as_of))


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
