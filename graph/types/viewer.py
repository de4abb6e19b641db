"""Viewer: who asks, and what they may still ask."""

from __future__ import annotations

from datetime import datetime, timedelta

import strawberry

from graph.context import Info
from graph.limits.pace import Standing, payer
from graph.viewer import Role
from graph.viewer import Viewer as Somebody


@strawberry.type(
    description="What a viewer may spend. Costs count the fields of answers with all pages full; an object counts as 5."
)
class RateLimit:
    """A limit; its root is where somebody stands."""

    limit: int = strawberry.field(description="What operations may cost in any minute, in fields.")
    remaining: int = strawberry.field(description="What of it is left now that this operation is paid for, in fields.")

    @strawberry.field(description="What this very operation costs, in fields.")
    @staticmethod
    def cost(_standing: strawberry.Parent[Standing], info: Info) -> int:
        return info.context.cost

    @strawberry.field(description="When all of the limit is left again, if nothing more is asked until then.")
    @staticmethod
    def reset_at(standing: strawberry.Parent[Standing], info: Info) -> datetime:
        return info.context.now + timedelta(seconds=standing.reset)


@strawberry.type(description="Whoever asks.")
class Viewer:
    """Somebody; its root is a graph.viewer.Viewer."""

    name: str = strawberry.field(description="What they are called; `anonymous` for whoever shows no credentials.")

    @strawberry.field(
        description="Their roles; viewer, operator, developer and admin each include those before, and admin all."
    )
    @staticmethod
    def roles(somebody: strawberry.Parent[Somebody]) -> list[Role]:
        return [role for role in Role if role in somebody.roles]

    @strawberry.field(description="The environments that they see; null if they see all.")
    @staticmethod
    def environments(somebody: strawberry.Parent[Somebody]) -> list[str] | None:
        seen = somebody.scope.environments
        return None if seen is None else sorted(seen)

    @strawberry.field(
        graphql_type=RateLimit | None,
        description="What they may spend; of those without credentials everybody on one network together. "
        "Null where nothing is limited, or while that cannot be told.",
    )
    @staticmethod
    async def rate_limit(somebody: strawberry.Parent[Somebody], info: Info) -> Standing | None:
        pace = info.context.pace
        return None if pace is None else await pace.status(payer(somebody))
