"""Places: a field of a document with what graphql-core knows of it, and a run of the plan it belongs to."""

from __future__ import annotations

from asyncio import Future
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import Executor as GraphQLExecutor
from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_nullable_type,
    is_scalar_type,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path
from strawberry.relay import GlobalID
from strawberry.types.arguments import StrawberryArgument, convert_arguments
from strawberry.types.base import StrawberryOptional
from strawberry.types.field import StrawberryField

from graph.context import Context, Info
from graph.loaders.batching import Loader

Arguments = dict[str, Any]


class Place:
    """A field of a selection: its nodes, which may be several that were merged, and its arguments."""

    def __init__(
        self, parent: GraphQLObjectType, definition: GraphQLField, details: list[FieldDetails], path: Path
    ) -> None:
        self.parent = parent
        self.definition = definition
        self.details = details
        self.nodes = [each.node for each in details]
        self.path = path  # without the numbers of items, which differ from parent to parent
        self.strawberry: StrawberryField | None = definition.extensions.get("strawberry-definition")
        self.constant = not any(_varies(argument.value) for argument in self.nodes[0].arguments or ())
        self.arguments: Arguments | None = None if definition.args else {}
        self.plain = _plain(definition)


@dataclass(slots=True)
class Run:
    """One execution of a plan."""

    executor: GraphQLExecutor[Any]
    context: Context
    alone: bool  # nobody else asks loaders now: they need not wait for more
    asked: list[Future[Any]] = field(default_factory=list)  # of loaders, which end what nobody waits for

    def ask(self, loader: Loader[Any, Any], keys: list[Any]) -> Future[list[Any]]:
        """Ask a loader, together with whatever else is asked of it now."""
        future = loader.load_many(keys)
        self.asked.append(future)
        return future

    def end(self) -> None:
        """Wait for nothing any more."""
        for future in self.asked:
            future.cancel()

    def info(self, place: Place) -> GraphQLResolveInfo[Any]:
        """What graphql-core tells a resolver."""
        return self.executor.build_resolve_info(place.definition, place.nodes, place.parent, place.path)

    def strawberry_info(self, place: Place) -> Info:
        """What Strawberry tells a resolver."""
        return Info(_raw_info=self.info(place), _field=cast(StrawberryField, place.strawberry))

    def coerced(self, place: Place) -> Arguments:
        """A field's arguments as graphql-core coerces them."""
        if not place.definition.args:
            return {}
        first = place.details[0]
        return get_argument_values(
            place.definition, first.node, self.executor.variable_values, first.fragment_variable_values
        )

    def arguments(self, place: Place) -> Arguments:
        """A field's arguments as its Python function takes them; made once where no variable stands in them."""
        if place.arguments is not None:
            return place.arguments
        if place.plain is None:
            arguments = self._converted(place)
        else:
            arguments = {place.plain[name]: value for name, value in self.coerced(place).items()}
        if place.constant:
            place.arguments = arguments
        return arguments

    def _converted(self, place: Place) -> Arguments:
        strawberry = cast(Any, self.executor.schema)._strawberry_schema  # where Strawberry finds itself again
        return convert_arguments(
            self.coerced(place),
            [] if place.strawberry is None else place.strawberry.arguments,
            strawberry.schema_converter.scalar_registry,
            strawberry.config,
            self.strawberry_info(place),
        )


def _plain(definition: GraphQLField) -> dict[str, str] | None:
    """What the Python function calls each argument, where it takes all of them as graphql-core coerces them."""
    names = {}
    for name, argument in definition.args.items():
        known: StrawberryArgument | None = argument.extensions.get("strawberry-definition")
        if known is None or known.is_maybe or not is_scalar_type(get_nullable_type(argument.type)):
            return None
        kind = known.type.of_type if isinstance(known.type, StrawberryOptional) else known.type
        if kind is GlobalID:
            return None
        names[name] = known.python_name
    return names


def _varies(value: ValueNode) -> bool:
    """Whether a variable stands in a value."""
    if isinstance(value, ListValueNode):
        return any(map(_varies, value.values))
    if isinstance(value, ObjectValueNode):
        return any(_varies(field.value) for field in value.fields)
    return isinstance(value, VariableNode)
