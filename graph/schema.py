"""The schema: the root types gather what each noun brings."""

from __future__ import annotations

import strawberry
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema, Undefined
from strawberry.schema.config import StrawberryConfig

from graph.resolvers.activity import ActivityQueries
from graph.resolvers.analytics import AnalyticsQueries
from graph.resolvers.fleet import FleetQueries
from graph.resolvers.jobs import JobQueries
from graph.resolvers.node import NodeQueries
from graph.resolvers.reports import Mutation
from graph.resolvers.robots import RobotQueries
from graph.resolvers.subscription import Subscription
from graph.resolvers.viewer import ViewerQueries
from graph.resolvers.workflows import WorkflowQueries
from graph.types.jobs import Job
from graph.types.robots import Robot
from graph.types.scalars import SCALARS
from graph.types.workflows import Workflow


@strawberry.type(description="Every question about the fleet.")
class Query(
    FleetQueries,
    RobotQueries,
    JobQueries,
    WorkflowQueries,
    AnalyticsQueries,
    ActivityQueries,
    NodeQueries,
    ViewerQueries,
):
    """The root of all questions."""


def build_schema() -> strawberry.Schema:
    """The schema, ready to be executed or printed."""
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Job, Robot, Workflow],
        config=StrawberryConfig(scalar_map=dict(SCALARS)),
    )
    _omit_null_defaults(core(schema))
    return schema


def core(schema: strawberry.Schema) -> GraphQLSchema:
    """The graphql-core schema that Strawberry built: what is executed."""
    return schema._schema


def sdl() -> str:
    """The schema as text, for `schema.graphql`."""
    return build_schema().as_str() + "\n"


def _omit_null_defaults(schema: GraphQLSchema) -> None:
    """What may be left out has no default worth showing: `after: String`, not `after: String = null`."""
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for field in type_.fields.values():
                for argument in field.args.values():
                    if argument.default_value is None:
                        argument.default_value = Undefined
        elif isinstance(type_, GraphQLInputObjectType):
            for input_field in type_.fields.values():
                if input_field.default_value is None:
                    input_field.default_value = Undefined
