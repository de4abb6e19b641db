"""Analytics from the root."""

from __future__ import annotations

from typing import Annotated

import strawberry

from datasources.windows import AnalyticsScope
from graph.context import Info
from graph.types.analytics import Analytics
from graph.types.roles import requires
from graph.types.windows import ExactArgument, WindowArgument, analytics_scope
from graph.viewer import Role


@strawberry.type
class AnalyticsQueries:
    """Analytics from the root."""

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Analytics,
        description="How jobs went over a window of time. Of a robot's jobs of one workflow it is read from those "
        "jobs, else from rollups.",
    )
    @staticmethod
    async def analytics(
        info: Info,
        window: WindowArgument = None,
        workflow_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only jobs of this workflow.")
        ] = None,
        robot_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only jobs of this robot.")] = None,
        environment: Annotated[str | None, strawberry.argument(description="Only jobs of this environment.")] = None,
        exact: ExactArgument = False,
    ) -> AnalyticsScope:
        return await analytics_scope(
            info, window, exact, workflow_id=workflow_id, robot_id=robot_id, environment=environment
        )
