"""Plans: what a document asks, made ready once; one for each way in which its `@skip` and `@include` fall out."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSkipDirective,
    OperationType,
    VariableNode,
    Visitor,
    get_named_type,
    is_introspection_type,
    is_leaf_type,
    is_object_type,
    visit,
)
from graphql import Executor as GraphQLExecutor
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet, collect_fields, collect_subfields
from graphql.pyutils import Path

from datasources.postgres import UpstreamError
from graph.context import Context
from graph.engine.setwise.fields import Field, Foreign, Objects, Selection, TypeName, leaf
from graph.engine.setwise.leaves import leaves
from graph.engine.setwise.places import Place, Run
from graph.engine.setwise.shapes import Column, Shape, Unusual
from graph.engine.setwise.sources import source
from graph.reads import EVERYTHING, NOTHING, OfTypes, reads_of, together

_log = logging.getLogger(__name__)

_MOST_FIELDS = 1000  # of a plan; what asks for more is executed field by field

_Executor = GraphQLExecutor[Any]


class Setwise:
    """The plans of one document, which hold nothing of who asks.

    Together they have so many fields at most, as their memory shall not exceed what the text is worth; beyond that the
    one that was asked for longest ago is made anew.
    """

    def __init__(self, document: DocumentNode, most_fields: int) -> None:
        conditions = _Conditions()
        visit(document, conditions)
        self._conditions = sorted(conditions.names)
        self._most_fields = most_fields
        self._fields = 0
        self._plans: OrderedDict[tuple[object, ...], _Plan] = OrderedDict()

    async def answers(self, executor: _Executor, context: Context, roots: Column) -> Column | None:
        """The data for each of these root values, or None where the reference has to say what it is."""
        alone = executor.operation.operation is OperationType.QUERY  # an event shares its loaders with others
        run = Run(executor, context, alone)
        try:
            plan = self._plan(executor)
            if plan.selection is None:
                return None
            if alone:
                context.read_only(plan.reads)
            found = await plan.selection.objects(run, roots)
        except UpstreamError as error:
            context.after(error)
            return None
        except Exception as error:  # noqa: BLE001  # whatever it is: the reference finds it, too, and says where
            _log.debug("left to graphql-core: %r", error)
            return None
        finally:
            run.end()
            if alone:
                context.read_only(EVERYTHING)
        return None if executor.collected_errors.errors else found

    def _plan(self, executor: _Executor) -> _Plan:
        values = executor.variable_values.coerced
        operation = executor.operation.name and executor.operation.name.value
        key = (operation, *map(values.get, self._conditions))
        if (kept := self._plans.get(key)) is not None:
            self._plans.move_to_end(key)
            return kept
        plan = self._plans[key] = _Planner(executor, min(_MOST_FIELDS, self._most_fields)).plan()
        self._fields += plan.fields
        while self._fields > self._most_fields:
            self._fields -= self._plans.popitem(last=False)[1].fields
        return plan


@dataclass(frozen=True, slots=True)
class _Plan:
    """A selection and what it looks at; without one graphql-core executes the operation."""

    selection: Selection | None
    reads: OfTypes
    fields: int


_LEFT = _Plan(None, EVERYTHING, 1)  # to graphql-core


class _Planner:
    """Makes the plan of an operation, with the fields that graphql-core collects for it."""

    def __init__(self, executor: _Executor, most_fields: int) -> None:
        self._executor = executor
        self._most_fields = most_fields
        self._fields = 0
        self._reads = NOTHING

    def plan(self) -> _Plan:
        """The plan; without a selection where there is none that would be worth its memory, or right."""
        executor, operation = self._executor, self._executor.operation
        root = executor.schema.get_root_type(operation.operation)
        if root is None or operation.operation is OperationType.MUTATION:
            return _LEFT
        collected = collect_fields(executor.schema, executor.fragments, executor.variable_values, root, operation)
        try:
            selection = self._selection(root, collected.grouped_field_set, None)
        except Unusual:
            return _LEFT
        return _Plan(selection, self._reads, self._fields)

    def _selection(self, parent: GraphQLObjectType, grouped: GroupedFieldSet, path: Path | None) -> Selection:
        self._fields += len(grouped)
        if self._fields > self._most_fields:
            raise Unusual
        return Selection(
            [self._field(key, parent, details, Path(path, key, parent.name)) for key, details in grouped.items()]
        )

    def _field(self, key: str, parent: GraphQLObjectType, details: list[FieldDetails], path: Path) -> Field:
        name = details[0].node.name.value
        if name == "__typename":
            return TypeName(key, parent.name)
        definition = self._executor.schema.get_field(parent, name)
        if definition is None:
            raise Unusual
        place, type_ = Place(parent, definition, details, path), get_named_type(definition.type)
        self._reads = together(self._reads, reads_of(parent.name, place.strawberry))
        if is_leaf_type(type_):
            return leaf(key, source(place), Shape.of(definition.type), leaves(type_))
        if not is_object_type(type_) or is_introspection_type(type_):
            self._reads = EVERYTHING
            return Foreign(key, place)
        executor = self._executor
        collected = collect_subfields(
            executor.schema, executor.fragments, executor.variable_values, executor.operation, type_, details
        )
        below = self._selection(type_, collected.grouped_field_set, path)
        return Objects(key, source(place), Shape.of(definition.type), place, type_.is_type_of, below)


class _Conditions(Visitor):
    """Collects the variables that decide whether something is asked at all."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        """Take those of `@skip` and `@include`."""
        if node.name.value in {GraphQLSkipDirective.name, GraphQLIncludeDirective.name}:
            values = [argument.value for argument in node.arguments or ()]
            self.names.update(value.name.value for value in values if isinstance(value, VariableNode))
