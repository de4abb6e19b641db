"""Roles in the schema, and the directive that names the one a field asks for."""

from __future__ import annotations

from collections.abc import Mapping

import strawberry
from graphql import GraphQLObjectType, GraphQLSchema
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from graph.types.scalars import described_enum
from graph.viewer import Role

described_enum(
    Role,
    "What somebody may do.",
    {
        Role.ANONYMOUS: "Anybody, whoever they are.",
        Role.VIEWER: "May ask, and watch.",
        Role.OPERATOR: "A viewer who sees what may hold customers' data.",
        Role.DEVELOPER: "An operator who builds what robots run.",
        Role.ADMIN: "May do everything.",
        Role.ROBOT: "May report, and nothing else.",
    },
)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="requires",
    description="Only those may ask for the field who have this role, or one that includes it.",
)
class Requires:
    """The role that a field asks for."""

    role: Role


def requires(role: Role) -> list[object]:
    """The directives of a field that asks for a role."""
    return [Requires(role=role)]


def required_roles(schema: GraphQLSchema) -> Mapping[tuple[str, str], Role]:
    """The role that each field with the directive asks for, by type and field."""
    return {
        (type_.name, name): directive.role
        for type_ in schema.type_map.values()
        if isinstance(type_, GraphQLObjectType)
        for name, field in type_.fields.items()
        if isinstance(definition := field.extensions.get("strawberry-definition"), StrawberryField)
        for directive in definition.directives
        if isinstance(directive, Requires)
    }
