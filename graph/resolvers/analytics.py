"""Analytics from the root."""

from __future__ import annotations

from typing import Annotated

import strawberry

from datasources.analytics import AnalyticsScope
from graph.context import Info
from graph.types.analytics import Analytics, WindowArgument, window_bounds
from graph.types.roles import requires
from graph.viewer import Role


@strawberry.type
class AnalyticsQueries:
    """Analytics from the root."""

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Analytics,
        description="How jobs went over a window of time.",
    )
    @staticmethod
    def analytics(
        info: Info,
        window: WindowArgument = None,
        workflow_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only jobs of this workflow.")
        ] = None,
        robot_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only jobs of this robot.")] = None,
    ) -> AnalyticsScope:
        since, until = window_bounds(window, info.context.now)
        return AnalyticsScope(since, until, workflow_id, robot_id)
