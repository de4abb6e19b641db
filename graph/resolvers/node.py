"""Any object by its global id."""

from __future__ import annotations

import asyncio
from typing import Annotated

import strawberry

from graph.context import Info
from graph.errors import BadUserInput
from graph.types.node import Node, Row, read_global_id
from graph.types.roles import requires
from graph.viewer import Role

_MOST = 100


@strawberry.type
class NodeQueries:
    """Any object from the root."""

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Node | None,
        description="The object with this global id; null if there is none.",
    )
    @staticmethod
    async def node(
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="A global id, as `id` gave it.")],
    ) -> Row | None:
        return await _load(info, id)

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=list[Node | None],
        description="The objects with these global ids, in their order; null where there is none.",
    )
    @staticmethod
    async def nodes(
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Global ids, 100 at most.")],
    ) -> list[Row | None]:
        if len(ids) > _MOST:
            raise BadUserInput(f"ids may hold {_MOST} ids at most, not {len(ids)}.")
        return list(await asyncio.gather(*(_load(info, id) for id in ids)))


async def _load(info: Info, id: str) -> Row | None:
    type_name, key = read_global_id(id)
    loaders = info.context.loaders
    match type_name:
        case "Job":
            return await loaders.jobs.load(key)
        case "Robot":
            return await loaders.robots.load(key)
        case "Workflow":
            return await loaders.workflows.load(key)
    raise BadUserInput(f"There is no object type {type_name!r:.60} with ids.", "BAD_ID")
