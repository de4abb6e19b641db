"""Robots from the root."""

from __future__ import annotations

from typing import Annotated

import strawberry

from datasources.paging import Key
from datasources.robots import RobotCriteria, RobotOrder, robots_count, robots_page
from graph.context import Info
from graph.types.loaded import loaded
from graph.types.paging import After, Before, Connection, ConnectionOf, First, Last, page_request
from graph.types.robots import Robot, RobotFilter
from graph.types.roles import requires
from graph.viewer import Role


@strawberry.type
class RobotQueries:
    """Robots from the root."""

    @loaded(
        Robot | None,
        lambda loaders: loaders.robots,
        directives=requires(Role.VIEWER),
        description="The robot with this id; null if there is none.",
    )
    @staticmethod
    def robot(
        _query: strawberry.Parent[None],
        robot_id: Annotated[strawberry.ID, strawberry.argument(description="The robot's id.")],
    ) -> str:
        return robot_id

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Connection[Robot],
        description="All robots, a page at a time.",
    )
    @staticmethod
    async def robots(
        info: Info,
        first: First = 50,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[
            RobotFilter | None, strawberry.argument(description="Which of them; all if left out.")
        ] = None,
        order_by: Annotated[RobotOrder, strawberry.argument(description="In which order.")] = RobotOrder.ROBOT_ID_ASC,
    ) -> ConnectionOf:
        database, offline_after = info.context.database, info.context.settings.offline_after_seconds
        criteria = RobotCriteria() if filter is None else filter.criteria()
        list_name = f"robots:{order_by.name}"
        request = page_request(list_name, order_by.value, first, after, last, before)
        reads = info.context.reads.get("Robot")
        page = await robots_page(database, criteria, order_by, request, offline_after, reads)
        return ConnectionOf(
            page,
            list_name,
            lambda robot: Key(order_by.value.key_of(robot), robot.robot_id),
            lambda: robots_count(database, criteria, offline_after),
        )
