"""Whoever asks, from the root."""

from __future__ import annotations

import strawberry

from graph.context import Info
from graph.types.roles import requires
from graph.types.viewer import Viewer
from graph.viewer import Role
from graph.viewer import Viewer as Somebody


@strawberry.type
class ViewerQueries:
    """Whoever asks, from the root."""

    @strawberry.field(
        directives=requires(Role.ANONYMOUS),
        graphql_type=Viewer,
        description="Whoever asks: their name, what they may see, and how much they may still ask.",
    )
    @staticmethod
    def viewer(info: Info) -> Somebody:
        return info.context.viewer
