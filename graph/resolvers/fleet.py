"""The fleet from the root."""

from __future__ import annotations

from typing import Annotated

import strawberry

from datasources.fleet import FleetScope
from graph.types.fleet import Fleet
from graph.types.roles import requires
from graph.viewer import Role


@strawberry.type
class FleetQueries:
    """The fleet from the root."""

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Fleet,
        description="All robots, the queue and today, in numbers.",
    )
    @staticmethod
    def fleet(
        environment: Annotated[
            str | None, strawberry.argument(description="Only this environment; all if left out.")
        ] = None,
    ) -> FleetScope:
        return FleetScope(environment)
