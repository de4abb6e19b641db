"""Activity from the root."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import strawberry

from datasources.activity import NEWEST_FIRST, ActivityCriteria, ActivityType, activity_count, activity_page
from datasources.paging import Key
from graph.context import Info
from graph.errors import BadUserInput
from graph.types.activity import Activity
from graph.types.paging import After, Connection, ConnectionOf, First, page_request
from graph.types.roles import requires
from graph.types.updates import ActivityKind
from graph.viewer import Role

_LIST_NAME = "activity"
_SEQ = re.compile(r"[0-9]{1,18}")


@strawberry.type
class ActivityQueries:
    """Activity from the root."""

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Connection[Activity],
        description="What happened, newest first, a page at a time; as far back as the ledger is kept.",
    )
    @staticmethod
    async def activity(
        info: Info,
        first: First = 50,
        after: After = None,
        since: Annotated[datetime | None, strawberry.argument(description="Only what was recorded since then.")] = None,
        kinds: Annotated[
            list[ActivityKind] | None, strawberry.argument(description="Only of these kinds; all if left out.")
        ] = None,
        types: Annotated[
            list[ActivityType] | None,
            strawberry.argument(description="Only of these types; all, and what has no type, if left out."),
        ] = None,
    ) -> ConnectionOf:
        database = info.context.database
        criteria = ActivityCriteria(since, None if kinds is None else [kind.value for kind in kinds], types)
        request = page_request(_LIST_NAME, NEWEST_FIRST, first, after)
        if request.after is not None and not _SEQ.fullmatch(request.after.id):
            raise BadUserInput("after is not a cursor of this API.", "BAD_CURSOR")
        page = await activity_page(database, criteria, request)
        return ConnectionOf(
            page,
            _LIST_NAME,
            lambda row: Key(NEWEST_FIRST.key_of(row), str(row.seq)),
            lambda: activity_count(database, criteria),
        )
